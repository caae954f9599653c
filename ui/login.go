package ui

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
)

// signIn is what the sign-in page shows.
type signIn struct {
	Next, ClientID, Problem string
}

func (u *UI) loginPage(v *visit) error {
	return v.show(http.StatusOK, view{Title: "Sign in", Name: "login", Main: "narrow", Body: signIn{Next: localPath(v.r.FormValue("next"))}}, nil)
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
		body := signIn{next, creds.ClientID, fault.Message(err)}
		return v.show(http.StatusUnauthorized, view{Title: "Sign in", Name: "login", Main: "narrow", Body: body}, nil)
	}
	if err != nil {
		return err
	}
	expires := time.Now().Add(sessionLife)
	who := begun{clientID: caller.ClientID, certificate: creds.Certificate}
	if creds.Certificate != "" {
		who.scopes = append([]string{}, caller.Scopes...) // for servers of an older version
		if caller.Expires.Before(expires) {
			expires = caller.Expires
		}
	}
	token, err := u.sessions.start(ctx, who, expires)
	if err != nil {
		return err
	}
	u.setCookie(v.w, token, expires)
	return v.redirect(next)
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
