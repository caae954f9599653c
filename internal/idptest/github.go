package idptest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Account is a person at GitHub.
type Account struct {
	ID    int64
	Login string
	Teams []string // org/slug
	Owns  []string // organizations, as their owner
	In    []string // organizations, as a member
	Asked []string // organizations that have invited the person, as an owner
}

// GitHub behaves as GitHub's documentation says of OAuth apps and of the lists of one's teams and
// memberships. Who is signed in there is what the test says.
type GitHub struct {
	URL, API     string
	ClientID     string
	ClientSecret string // that the app had from its start

	mu       sync.Mutex
	secrets  []string // of the app that hold, the newest last
	account  Account
	codes    map[string]*githubCode
	tokens   map[string]bool
	redirect string
	perPage  int
	down     bool
}

type githubCode struct{ challenge, redirect string }

// NewGitHub starts a GitHub on which account is signed in, and on which an OAuth app with the callback
// address redirect is registered.
func NewGitHub(t testing.TB, redirect string, account Account) *GitHub {
	t.Helper()
	g := &GitHub{ClientID: "Iv1.0123456789abcdef", ClientSecret: secret(), redirect: redirect, account: account, perPage: 100, codes: map[string]*githubCode{}, tokens: map[string]bool{}}
	g.secrets = []string{g.ClientSecret}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", g.authorize)
	mux.HandleFunc("POST /login/oauth/authorize", g.allow)
	mux.HandleFunc("POST /login/oauth/access_token", g.accessToken)
	mux.HandleFunc("GET /api/v3/user", g.api(g.user))
	mux.HandleFunc("GET /api/v3/user/teams", g.api(g.teams))
	mux.HandleFunc("GET /api/v3/user/memberships/orgs", g.api(g.memberships))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	g.URL, g.API = server.URL, server.URL+"/api/v3"
	t.Cleanup(server.Close)
	return g
}

// Become signs another account in, or changes this one's teams.
func (g *GitHub) Become(a Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.account = a
}

// AddSecret gives the OAuth app one more client secret, as its page does; those before hold on.
func (g *GitHub) AddSecret() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secrets = append(g.secrets, secret())
	return g.secrets[len(g.secrets)-1]
}

// DeleteOldSecrets leaves the newest client secret alone. Tokens of people outlive the others.
func (g *GitHub) DeleteOldSecrets() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.secrets = g.secrets[len(g.secrets)-1:]
}

// Withdraw makes every token worthless, as a person does on the page of authorized apps.
func (g *GitHub) Withdraw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.tokens)
}

// PerPage is the longest page of a list.
func (g *GitHub) PerPage(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.perPage = n
}

// Down makes every answer a 502, or ends that.
func (g *GitHub) Down(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

// authorize shows the page on which a person lets an app in.
func (g *GitHub) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != g.ClientID {
		http.Error(w, "Not Found", http.StatusNotFound)
		return
	}
	if u := q.Get("redirect_uri"); u != "" && !strings.HasPrefix(u, g.redirect) {
		http.Redirect(w, r, g.redirect+"?"+url.Values{"error": {"redirect_uri_mismatch"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Authorize</title><h1>Authorize Treeline</h1><p>%s</p><form method="post"><button name="authorize" value="1">Authorize</button> <button name="authorize" value="0">Cancel</button></form></html>`, g.account.Login)
}

func (g *GitHub) allow(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}}
	if r.PostFormValue("authorize") == "1" {
		code := secret()[:20]
		g.codes[code] = &githubCode{q.Get("code_challenge"), q.Get("redirect_uri")}
		back.Set("code", code)
	} else {
		back.Set("error", "access_denied")
	}
	http.Redirect(w, r, g.redirect+"?"+back.Encode(), http.StatusFound)
}

// accessToken answers as GitHub does: with status 200 whatever happens, and form encoded unless JSON is
// asked for.
func (g *GitHub) accessToken(w http.ResponseWriter, r *http.Request) {
	answer := url.Values{}
	code := g.codes[r.PostFormValue("code")]
	switch {
	case r.PostFormValue("client_id") != g.ClientID || !slices.Contains(g.secrets, r.PostFormValue("client_secret")):
		answer.Set("error", "incorrect_client_credentials")
	case code == nil || !proven(code.challenge, r.PostFormValue("code_verifier")):
		answer.Set("error", "bad_verification_code")
	case r.PostFormValue("redirect_uri") != code.redirect:
		answer.Set("error", "redirect_uri_mismatch")
	default:
		token := "gho_" + secret()
		g.tokens[token] = true
		answer = url.Values{"access_token": {token}, "token_type": {"bearer"}, "scope": {"read:org"}}
	}
	delete(g.codes, r.PostFormValue("code"))
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		flat := map[string]string{}
		for k := range answer {
			flat[k] = answer.Get(k)
		}
		writeJSON(w, http.StatusOK, flat)
		return
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	fmt.Fprint(w, answer.Encode())
}

func proven(challenge, verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return challenge == "" || base64.RawURLEncoding.EncodeToString(sum[:]) == challenge
}

// api answers who shows a token.
func (g *GitHub) api(answer func(r *http.Request) []any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !g.tokens[token] {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"message": "Bad credentials"})
			return
		}
		list := answer(r)
		if r.URL.Path == "/api/v3/user" {
			writeJSON(w, http.StatusOK, list[0])
			return
		}
		g.page(w, r, list)
	}
}

// page answers one page of a list, with the Link header that leads on.
func (g *GitHub) page(w http.ResponseWriter, r *http.Request, list []any) {
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("per_page"))
	if err != nil {
		size = 30
	}
	size = min(size, g.perPage)
	at, err := strconv.Atoi(q.Get("page"))
	if err != nil {
		at = 1
	}
	from := min((at-1)*size, len(list))
	to := min(from+size, len(list))
	if to < len(list) {
		q.Set("page", strconv.Itoa(at+1))
		next := g.URL + r.URL.Path + "?" + q.Encode()
		q.Set("page", strconv.Itoa((len(list)+size-1)/size))
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next", <%s>; rel="last"`, next, g.URL+r.URL.Path+"?"+q.Encode()))
	}
	writeJSON(w, http.StatusOK, append([]any{}, list[from:to]...))
}

func (g *GitHub) user(*http.Request) []any {
	return []any{map[string]any{"id": g.account.ID, "login": g.account.Login, "type": "User", "site_admin": false}}
}

func (g *GitHub) teams(*http.Request) []any {
	var out []any
	for i, t := range g.account.Teams {
		org, slug, _ := strings.Cut(t, "/")
		out = append(out, map[string]any{"id": i + 1, "slug": slug, "name": strings.ToUpper(slug), "organization": map[string]any{"login": org, "id": 7}})
	}
	return out
}

func (g *GitHub) memberships(r *http.Request) []any {
	var out []any
	add := func(list []string, state, role string) {
		if want := r.URL.Query().Get("state"); want != "" && want != state {
			return
		}
		for _, org := range list {
			out = append(out, map[string]any{"state": state, "role": role, "organization": map[string]any{"login": org}})
		}
	}
	add(g.account.Owns, "active", "admin")
	add(g.account.In, "active", "member")
	add(g.account.Asked, "pending", "admin")
	return out
}
