package ui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
)

// signIn is what the sign-in page shows.
type signIn struct {
	Next, ClientID, Problem string
	Choices                 []login.Choice
}

func (u *UI) showSignIn(v *visit, status int, s signIn) error {
	s.Choices = u.deps.Login.Choices()
	return v.show(status, view{Title: "Sign in", Name: "login", Main: "narrow", Body: s}, nil)
}

func (u *UI) loginPage(v *visit) error {
	return u.showSignIn(v, http.StatusOK, signIn{Next: localPath(v.r.FormValue("next"))})
}

// login checks the credentials and starts a session, which is checked again at each request.
// Temporary credentials keep their end.
func (u *UI) login(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, 64<<10)
	creds := hawk.Credentials{
		ClientID:    strings.TrimSpace(v.r.PostFormValue("clientId")),
		AccessToken: strings.TrimSpace(v.r.PostFormValue("accessToken")),
		Certificate: strings.TrimSpace(v.r.PostFormValue("certificate")),
	}
	next := localPath(v.r.PostFormValue("next"))
	ctx := v.r.Context()
	caller, err := u.deps.Auth.CheckToken(ctx, creds)
	if errors.Is(err, fault.Unauthenticated) {
		u.log.InfoContext(ctx, "a sign-in was refused", "clientId", creds.ClientID, "error", err)
		return u.showSignIn(v, http.StatusUnauthorized, signIn{Next: next, ClientID: creds.ClientID, Problem: fault.Message(err)})
	}
	if err != nil {
		return err
	}
	expires := time.Now().Add(sessionLife)
	who := begun{Holder: login.Holder{ClientID: caller.ClientID, Certificate: creds.Certificate}}
	if creds.Certificate != "" {
		who.scopes = append([]string{}, caller.Scopes...) // for servers of an older version
		if caller.Expires.Before(expires) {
			expires = caller.Expires
		}
	}
	if err := u.startSession(v, who, expires); err != nil {
		return err
	}
	return v.redirect(next)
}

// startSession begins a session with a token of its own, whatever the browser brought along, and ends
// the one it had.
func (u *UI) startSession(v *visit, who begun, expires time.Time) error {
	ctx := v.r.Context()
	who.agent = agentOf(v.r)
	token, err := u.sessions.start(ctx, who, expires)
	if err != nil {
		return err
	}
	if old := tokenOf(v.r); old != nil {
		if err := u.sessions.end(ctx, old); err != nil {
			return err
		}
	}
	u.setCookie(v.w, token, expires)
	return nil
}

// agentOf is what the browser calls itself, as far as it is printable.
func agentOf(r *http.Request) string {
	agent := strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e {
			return -1
		}
		return c
	}, r.UserAgent())
	return agent[:min(len(agent), 200)]
}

// attemptCookie names the cookie of a sign-in under way. With https no other host can set it.
func (u *UI) attemptCookie() string {
	if u.secure {
		return "__Host-treeline_login"
	}
	return "treeline_login"
}

func (u *UI) setAttempt(w http.ResponseWriter, value string) {
	c := &http.Cookie{
		Name: u.attemptCookie(), Value: value, Path: "/", MaxAge: int(login.AttemptLife.Seconds()),
		HttpOnly: true, Secure: u.secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// beginLogin sends the browser to a provider.
func (u *UI) beginLogin(v *visit) error {
	address, cookie, err := u.deps.Login.Begin(v.r.Context(), v.r.PathValue("provider"), localPath(v.r.FormValue("next")))
	if errors.Is(err, fault.Unavailable) {
		u.log.WarnContext(v.r.Context(), "a provider of sign-ins cannot be asked", "provider", v.r.PathValue("provider"), "error", err)
		return u.showSignIn(v, http.StatusServiceUnavailable, signIn{Next: localPath(v.r.FormValue("next")), Problem: fault.Message(err)})
	}
	if err != nil {
		return err
	}
	u.setAttempt(v.w, cookie)
	return v.redirect(address)
}

// finishLogin is where a provider sends the browser back to.
func (u *UI) finishLogin(v *visit) error {
	ctx, name := v.r.Context(), v.r.PathValue("provider")
	cookie := ""
	if c, err := v.r.Cookie(u.attemptCookie()); err == nil {
		cookie = c.Value
	}
	u.setAttempt(v.w, "")
	// The address has a code in it, which no other page needs to see.
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	at, err := u.deps.Login.Finish(ctx, name, cookie, v.r.URL.Query())
	switch {
	case errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.Unavailable):
		u.log.InfoContext(ctx, "a sign-in was refused", "provider", name, "error", err)
		return u.showSignIn(v, statusOf(err), signIn{Next: "/", Problem: fault.Message(err)})
	case err != nil:
		return err
	}
	who := begun{Holder: login.Holder{ClientID: at.Identity, Person: true}}
	if err := u.startSession(v, who, time.Now().Add(u.deps.Login.SessionLife())); err != nil {
		return err
	}
	return v.redirect(localPath(at.Next))
}

func (u *UI) logout(v *visit) error {
	if err := v.post(); err != nil {
		return err
	}
	if v.session.token != nil {
		if err := u.sessions.end(v.r.Context(), v.session.token); err != nil {
			return err
		}
	}
	u.setCookie(v.w, nil, time.Unix(1, 0))
	return v.redirect(localPath(v.r.PostFormValue("next")))
}

// credentials gives the scripts of a page the person's temporary credentials, as the peer's
// getCredentials does (taskcluster-map 15.2).
func (u *UI) credentials(v *visit) (any, error) {
	if err := v.post(); err != nil {
		return nil, err
	}
	if !v.session.holder.Person {
		return nil, fault.New(fault.Conflict, "Only people who signed in at a provider get temporary credentials here; you brought credentials of your own.")
	}
	return u.deps.Login.Credentials(v.r.Context(), v.session.clientID)
}

// signedIn sends visitors to the sign-in page, from which they come back.
func (v *visit) signedIn() bool {
	if v.session.clientID != "" {
		return true
	}
	http.Redirect(v.w, v.r, "/login?"+url.Values{"next": {v.r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	return false
}

// localPath returns a path on this server, "/" for anything else: nobody is sent to another place
// after signing in.
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

const themeCookie = "treeline_theme"

// themeOf returns "light" or "dark", or "" for what the browser prefers.
func themeOf(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}

// theme moves to the next theme, for browsers without script.
func (u *UI) theme(v *visit) error {
	next := map[string]string{"": "light", "light": "dark", "dark": "system"}[themeOf(v.r)]
	http.SetCookie(v.w, &http.Cookie{
		Name: themeCookie, Value: next, Path: "/", MaxAge: 365 * 24 * 3600, Secure: u.secure, SameSite: http.SameSiteLaxMode,
	})
	return v.redirect(localPath(v.r.PostFormValue("next")))
}
