package access

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/session"
)

// signInView is what the sign-in page shows.
type signInView struct {
	Next, ClientID, Problem string
	Choices                 []login.Choice
}

func (ps *Pages) showSignIn(v *page.Visit, status int, s signInView) error {
	s.Choices = ps.Login.Choices()
	return v.Show(status, page.View{Title: "Sign in", Name: "login", Main: "narrow", Body: s}, nil)
}

func (ps *Pages) loginPage(v *page.Visit) error {
	return ps.showSignIn(v, http.StatusOK, signInView{Next: page.LocalPath(v.R.FormValue("next"))})
}

// signIn checks the credentials and starts a session, which is checked again at each request.
// Temporary credentials keep their end.
func (ps *Pages) signIn(v *page.Visit) error {
	if err := v.Attempt(); err != nil {
		return err
	}
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	creds := hawk.Credentials{
		ClientID:    strings.TrimSpace(v.R.PostFormValue("clientId")),
		AccessToken: strings.TrimSpace(v.R.PostFormValue("accessToken")),
		Certificate: strings.TrimSpace(v.R.PostFormValue("certificate")),
	}
	next := page.LocalPath(v.R.PostFormValue("next"))
	ctx := v.R.Context()
	caller, err := ps.Auth.CheckToken(ctx, creds)
	if errors.Is(err, fault.Unauthenticated) {
		v.Failed()
		// What was typed is not told: a token may have been typed into the field of the client, and the error
		// repeats it.
		ps.Log.InfoContext(ctx, "a sign-in was refused", "reason", "the credentials are not valid", "certificate", creds.Certificate != "", "browser", agentOf(v.R))
		return ps.showSignIn(v, http.StatusUnauthorized, signInView{Next: next, ClientID: creds.ClientID, Problem: fault.Message(err)})
	}
	if err != nil {
		return err
	}
	expires := time.Now().Add(session.Life)
	who := session.Begun{Holder: login.Holder{ClientID: caller.ClientID, Certificate: creds.Certificate}}
	if creds.Certificate != "" {
		who.Scopes = append([]string{}, caller.Scopes...) // for servers of an older version
		if caller.Expires.Before(expires) {
			expires = caller.Expires
		}
	}
	if err := ps.startSession(v, who, expires); err != nil {
		return err
	}
	return v.Redirect(next)
}

// startSession begins a session with a token of its own, whatever the browser brought along, and ends
// the one it had.
func (ps *Pages) startSession(v *page.Visit, who session.Begun, expires time.Time) error {
	ctx := v.R.Context()
	who.Agent = agentOf(v.R)
	token, err := ps.Sessions.Start(ctx, who, v.Session, expires)
	if err != nil {
		return err
	}
	if old := ps.Sessions.TokenOf(v.R); old != nil {
		if err := ps.Sessions.End(ctx, old); err != nil {
			return err
		}
	}
	ps.Sessions.SetCookie(v.W, token, expires)
	return ps.bring(ctx, v, who.Holder)
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
func (ps *Pages) attemptCookie() string {
	if ps.Sessions.Secure {
		return "__Host-treeline_login"
	}
	return "treeline_login"
}

func (ps *Pages) setAttempt(w http.ResponseWriter, value string) {
	c := &http.Cookie{
		Name: ps.attemptCookie(), Value: value, Path: "/", MaxAge: int(login.AttemptLife.Seconds()),
		HttpOnly: true, Secure: ps.Sessions.Secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// beginLogin sends the browser to a provider.
func (ps *Pages) beginLogin(v *page.Visit) error {
	if err := v.Attempt(); err != nil {
		return err
	}
	v.Failed() // each is kept until it ends, and may never
	return ps.begin(v, v.R.PathValue("provider"), false)
}

// begin sends the browser to a provider; again is for somebody who is signed in and has to prove that anew.
func (ps *Pages) begin(v *page.Visit, provider string, again bool) error {
	address, cookie, err := ps.Login.Begin(v.R.Context(), provider, page.LocalPath(v.R.FormValue("next")), again)
	if errors.Is(err, fault.Unavailable) {
		ps.Log.WarnContext(v.R.Context(), "a provider of sign-ins cannot be asked", "provider", provider, "error", err)
		return ps.showSignIn(v, http.StatusServiceUnavailable, signInView{Next: page.LocalPath(v.R.FormValue("next")), Problem: fault.Message(err)})
	}
	if err != nil {
		return err
	}
	ps.setAttempt(v.W, cookie)
	return v.Redirect(address)
}

// signInAgain has somebody prove anew who they are: at the provider, or with the client's credentials.
func (ps *Pages) signInAgain(v *page.Visit) error {
	if !v.SignedIn() {
		return nil
	}
	provider, _, _ := strings.Cut(v.Session.ClientID, "/")
	if !v.Session.Holder.Person {
		return ps.showSignIn(v, http.StatusOK, signInView{Next: page.LocalPath(v.R.FormValue("next")), ClientID: v.Session.ClientID})
	}
	if err := v.Attempt(); err != nil {
		return err
	}
	v.Failed() // as at beginLogin
	return ps.begin(v, provider, true)
}

// signedInAgain ends a window that was opened for that.
func (ps *Pages) signedInAgain(v *page.Visit) error {
	if !v.SignedIn() {
		return nil
	}
	return v.Show(http.StatusOK, page.View{Title: "Signed in again", Name: "againdone", Main: "narrow", Body: struct {
		Fresh  bool
		Proved time.Time
	}{!v.StaleSignIn(), v.Session.Proved}}, nil)
}

// finishLogin is where a provider sends the browser back to.
func (ps *Pages) finishLogin(v *page.Visit) error {
	ctx, name := v.R.Context(), v.R.PathValue("provider")
	if err := v.Attempt(); err != nil {
		return err
	}
	cookie := ""
	if c, err := v.R.Cookie(ps.attemptCookie()); err == nil {
		cookie = c.Value
	}
	ps.setAttempt(v.W, "")
	// The address has a code in it, which no other page needs to see.
	v.W.Header().Set("Referrer-Policy", "no-referrer")
	at, err := ps.Login.Finish(ctx, name, cookie, v.R.URL.Query())
	switch {
	case errors.Is(err, fault.Unauthenticated), errors.Is(err, fault.Unavailable):
		v.Failed()
		ps.Log.InfoContext(ctx, "a sign-in was refused", "provider", name, "error", err)
		return ps.showSignIn(v, page.StatusOf(err), signInView{Next: "/", Problem: fault.Message(err)})
	case err != nil:
		return err
	}
	who := session.Begun{Holder: login.Holder{ClientID: at.Identity, Person: true}, Proved: at.Proved}
	if err := ps.startSession(v, who, time.Now().Add(ps.Login.SessionLife())); err != nil {
		return err
	}
	return v.Redirect(page.LocalPath(at.Next))
}

func (ps *Pages) logout(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	if v.Session.Token != nil {
		if err := ps.Sessions.End(v.R.Context(), v.Session.Token); err != nil {
			return err
		}
	}
	ps.Sessions.SetCookie(v.W, nil, time.Unix(1, 0))
	return v.Redirect(page.LocalPath(v.R.PostFormValue("next")))
}

// credentials gives the scripts of a page the person's temporary credentials, as the peer's
// getCredentials does (taskcluster-map 15.2).
func (ps *Pages) credentials(v *page.Visit) (any, error) {
	if err := v.Post(); err != nil {
		return nil, err
	}
	if !v.Session.Holder.Person {
		return nil, fault.New(fault.Conflict, "Only people who signed in at a provider get temporary credentials here; you brought credentials of your own.")
	}
	if err := v.Fresh(); err != nil {
		return nil, err // they would change what the session may not
	}
	return ps.Login.Credentials(v.R.Context(), v.Session.ClientID)
}
