package ui

import (
	"net/http"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
)

// profile is what somebody sees about themselves.
type profile struct {
	Person   login.Person
	Is       bool // a person, not a client
	Static   bool
	Areas    []login.Area
	Scopes   int // beyond what everybody has
	Public   int // what everybody has
	Shown    int
	Filter   string
	Sessions []opened
	Clients  []auth.Client
	More     bool   // clients than are shown
	Make     string // where to make a client
}

func (u *UI) profile(v *visit) error {
	if !v.signedIn() {
		return nil
	}
	ctx := v.r.Context()
	p := profile{Is: v.session.holder.Person, Filter: strings.TrimSpace(v.r.FormValue("q")), Make: "/auth/clients/create"}
	p.Static = strings.HasPrefix(v.session.clientID, "static/")
	var err error
	if p.Is {
		if p.Person, err = u.deps.Login.Person(ctx, v.session.clientID); err != nil {
			return err
		}
	}
	if p.Sessions, err = u.sessions.list(ctx, v.session); err != nil {
		return err
	}
	const most = 100
	if p.Clients, err = u.deps.Auth.Clients(ctx, login.Below(v.session.clientID), "", most+1); err != nil {
		return err
	}
	if p.More = len(p.Clients) > most; p.More {
		p.Clients = p.Clients[:most]
	}
	own, err := u.deps.Login.Beyond(ctx, v.session.scopes)
	if err != nil {
		return err
	}
	p.Scopes, p.Public = len(own), len(v.session.scopes)-len(own)
	var shown []string
	for _, s := range own {
		if strings.Contains(strings.ToLower(s), strings.ToLower(p.Filter)) {
			shown = append(shown, s)
		}
	}
	p.Shown, p.Areas = len(shown), login.InWords(shown)
	return v.show(http.StatusOK, view{Title: "Profile", Name: "profile", Main: "narrow", Body: p}, nil)
}

// deleteClient takes back what somebody gave to a program.
func (u *UI) deleteClient(v *visit) error {
	if err := v.post(); err != nil {
		return err
	}
	id := v.r.PostFormValue("id")
	if !v.signedIn() {
		return nil
	}
	if !strings.HasPrefix(id, login.Below(v.session.clientID)) {
		return fault.New(fault.Forbidden, "This client is not in your name.")
	}
	if err := v.allow(scope.String("auth:delete-client:" + id)); err != nil {
		return err
	}
	if err := u.deps.Auth.DeleteClient(v.r.Context(), v.session.clientID, id); err != nil {
		return err
	}
	return v.redirect("/profile#clients")
}

// endSessions ends one of the sessions of who asks, or all.
func (u *UI) endSessions(v *visit) error {
	if err := v.post(); err != nil {
		return err
	}
	if !v.signedIn() {
		return nil
	}
	id := v.r.PostFormValue("id")
	if v.r.PostFormValue("all") == "" && id == "" {
		return v.redirect("/profile")
	}
	if v.r.PostFormValue("all") != "" {
		id = ""
	}
	if err := u.sessions.endOf(v.r.Context(), v.session, id); err != nil {
		return err
	}
	if id == "" {
		u.log.InfoContext(v.r.Context(), "somebody signed out everywhere", "clientId", v.session.clientID)
		u.setCookie(v.w, nil, time.Unix(1, 0))
		return v.redirect("/")
	}
	return v.redirect("/profile#sessions")
}
