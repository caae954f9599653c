// Package loginapi is the door for programs to package login: sites that fetch the credentials a person
// has given them (taskcluster-map 15.3), and the command line. Nothing here looks at cookies; what
// people do in the browser stands in package ui.
//
//	POST /login/oauth/token        a code for a token (RFC 6749, 4.1.3)
//	GET  /login/oauth/credentials  a token for credentials
//	POST /login/cli/redeem         a code of the consent page for credentials
//	POST /login/cli/revoke         credentials, to delete their client
package loginapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/login"
)

const maxForm = 64 << 10 // bytes

// Door serves the endpoints.
type Door struct {
	login   *login.Login
	origins []string
	log     *slog.Logger
}

// New returns the door.
func New(l *login.Login, log *slog.Logger) *Door { return &Door{l, l.Origins(), log} }

// Routes hangs the endpoints into a server.
func (d *Door) Routes(mux web.Router) {
	mux.HandleFunc("POST /login/oauth/token", d.site(d.token))
	mux.HandleFunc("GET /login/oauth/credentials", d.site(d.credentials))
	mux.HandleFunc("OPTIONS /login/oauth/token", d.site(nil))
	mux.HandleFunc("OPTIONS /login/oauth/credentials", d.site(nil))
	mux.HandleFunc("POST /login/cli/redeem", d.form(d.redeem))
	mux.HandleFunc("POST /login/cli/revoke", d.form(d.revoke))
}

// site is for endpoints that the scripts of registered sites call; those of others are told nothing.
func (d *Door) site(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(d.origins, origin) {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Max-Age", "900")
		}
		if next == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		d.form(next)(w, r)
	}
}

// form reads the body, which is small, and forbids keeping the answer.
func (d *Door) form(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			d.answer(w, r, http.StatusBadRequest, map[string]string{"error": "invalid_request", "error_description": "the body is no form"})
			return
		}
		next(w, r)
	}
}

// token answers as RFC 6749 says.
func (d *Door) token(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Get("grant_type") != "authorization_code" {
		d.answer(w, r, http.StatusBadRequest, map[string]string{"error": "unsupported_grant_type", "error_description": "grant_type must be authorization_code"})
		return
	}
	f := r.PostForm
	token, life, err := d.login.Exchange(r.Context(), f.Get("code"), f.Get("redirect_uri"), f.Get("client_id"), f.Get("code_verifier"))
	switch {
	case fault.KindOf(err) == fault.Invalid:
		d.answer(w, r, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": fault.Message(err)})
	case err != nil:
		d.fail(w, r, err)
	default:
		d.answer(w, r, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(life.Seconds())})
	}
}

// granted is the answer that brings credentials.
type granted struct {
	Expires     string     `json:"expires"`
	Credentials credential `json:"credentials"`
}

type credential struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
}

func newGranted(f login.Fetched) granted {
	return granted{f.Expires.UTC().Format("2006-01-02T15:04:05.000Z"), credential{f.ClientID, f.AccessToken}}
}

func (d *Door) credentials(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		d.fail(w, r, fault.New(fault.Unauthenticated, "The Authorization header must be Bearer and the token."))
		return
	}
	f, err := d.login.SiteCredentials(r.Context(), strings.TrimSpace(token))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.answer(w, r, http.StatusOK, newGranted(f))
}

func (d *Door) redeem(w http.ResponseWriter, r *http.Request) {
	f, err := d.login.Redeem(r.Context(), r.PostForm.Get("code"), r.PostForm.Get("code_verifier"))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.answer(w, r, http.StatusOK, newGranted(f))
}

func (d *Door) revoke(w http.ResponseWriter, r *http.Request) {
	err := d.login.Revoke(r.Context(), hawk.Credentials{ClientID: r.PostForm.Get("clientId"), AccessToken: r.PostForm.Get("accessToken")})
	if err != nil {
		d.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (d *Door) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody waits for the answer
	}
	code, status := web.CodeOf(err)
	if status == http.StatusInternalServerError {
		d.log.ErrorContext(r.Context(), "login: an endpoint failed", "path", r.URL.Path, "error", err)
	}
	d.answer(w, r, status, map[string]any{
		"code": code, "message": fault.Message(err),
		"requestInfo": map[string]any{"method": r.Method, "path": r.URL.Path, "time": time.Now().UTC().Format(time.RFC3339)},
	})
}

func (d *Door) answer(w http.ResponseWriter, r *http.Request, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		d.log.ErrorContext(r.Context(), "login: an answer cannot be written", "path", r.URL.Path, "error", err)
		status, text = http.StatusInternalServerError, []byte(`{"code":"InternalServerError","message":"Internal error."}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}
