package access

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/session"
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
	Sessions []session.Opened
	Clients  []auth.Client
	More     bool   // clients than are shown
	Make     string // where to make a client
	Choices  home.Choices
	KeysOff  bool
	Deeds    []record // lately
}

func (ps *Pages) profile(v *page.Visit) error {
	if !v.SignedIn() {
		return nil
	}
	ctx := v.R.Context()
	p := profile{Is: v.Session.Holder.Person, Filter: strings.TrimSpace(v.R.FormValue("q")), Make: "/auth/clients/create"}
	p.Static = strings.HasPrefix(v.Session.ClientID, "static/")
	var err error
	if p.Is {
		if p.Person, err = ps.Login.Person(ctx, v.Session.ClientID); err != nil {
			return err
		}
	}
	if p.Sessions, err = ps.Sessions.List(ctx, v.Session); err != nil {
		return err
	}
	const most = 100
	if p.Clients, err = ps.Auth.Clients(ctx, login.Below(v.Session.ClientID), "", most+1); err != nil {
		return err
	}
	if p.More = len(p.Clients) > most; p.More {
		p.Clients = p.Clients[:most]
	}
	if p.Choices, _, err = ps.Settings.Of(ctx, v.Session); err != nil {
		return err
	}
	p.KeysOff = slices.Contains(p.Choices.Keys, "*")
	deeds, err := ps.Auth.ClientHistory(ctx, v.Session.ClientID, 0, 10)
	if err != nil {
		return err
	}
	p.Deeds = recordsOf(deeds)
	own, err := ps.Login.Beyond(ctx, v.Session.Scopes)
	if err != nil {
		return err
	}
	p.Scopes, p.Public = len(own), len(v.Session.Scopes)-len(own)
	var shown []string
	for _, s := range own {
		if strings.Contains(strings.ToLower(s), strings.ToLower(p.Filter)) {
			shown = append(shown, s)
		}
	}
	p.Shown, p.Areas = len(shown), login.InWords(shown)
	return v.Show(http.StatusOK, page.View{Title: "Profile", Name: "profile", Main: "narrow", Body: p}, nil)
}

// deleteClient takes back what somebody gave to a program.
func (ps *Pages) deleteClient(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	id := v.R.PostFormValue("id")
	if !v.SignedIn() {
		return nil
	}
	if !strings.HasPrefix(id, login.Below(v.Session.ClientID)) {
		return fault.New(fault.Forbidden, "This client is not in your name.")
	}
	if err := v.Allow(scope.String("auth:delete-client:" + id)); err != nil {
		return err
	}
	if err := ps.Auth.DeleteClient(v.R.Context(), v.Session.ClientID, id); err != nil {
		return err
	}
	return v.Redirect("/profile#clients")
}

// endSessions ends one of the sessions of who asks, or all.
func (ps *Pages) endSessions(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	if !v.SignedIn() {
		return nil
	}
	id := v.R.PostFormValue("id")
	if v.R.PostFormValue("all") == "" && id == "" {
		return v.Redirect("/profile")
	}
	if v.R.PostFormValue("all") != "" {
		id = ""
	}
	if err := ps.Sessions.EndOf(v.R.Context(), v.Session, id); err != nil {
		return err
	}
	if id == "" {
		ps.Log.InfoContext(v.R.Context(), "somebody signed out everywhere", "clientId", v.Session.ClientID)
		ps.Sessions.SetCookie(v.W, nil, time.Unix(1, 0))
		return v.Redirect("/")
	}
	return v.Redirect("/profile#sessions")
}
