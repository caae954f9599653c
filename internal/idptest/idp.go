// Package idptest runs the places where people prove who they are, for tests: an OpenID Connect
// provider, and GitHub's OAuth and the part of its API that tells of teams. Both are servers of their
// own on loopback that know nothing of our client; they check what they are sent as the specifications
// say, and tests can have them misbehave.
package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// User is somebody who has an account at the provider.
type User struct {
	Subject, Name, Email, Password string
	Groups                         []string
}

// IDP is an OpenID Connect provider with one registered client.
type IDP struct {
	URL          string
	ClientID     string
	ClientSecret string

	mu       sync.Mutex
	users    map[string]*User
	key      jose.JSONWebKey // signs
	keys     []jose.JSONWebKey
	codes    map[string]*grant
	refresh  map[string]*grant
	access   map[string]*grant
	redirect string
	faults   Faults
	asked    int // token requests
	server   *httptest.Server
}

// Faults are ways in which the provider misbehaves.
type Faults struct {
	Nonce     string        // in ID tokens, in place of the client's
	Audience  string        // of ID tokens
	Issuer    string        // of ID tokens
	Iss       string        // in the browser's answer
	Unsigned  bool          // ID tokens have the algorithm none
	ForeignBy bool          // ID tokens are signed with a key that is not published
	Expired   bool          // ID tokens are old
	Subject   string        // in the user info
	Down      bool          // every answer is 503
	NoRefresh bool          // gives no refresh token
	NoGroups  bool          // leaves groups out of ID tokens; the user info has them
	NoIDToken bool          // on refresh, which the specification allows
	Signed    time.Duration // so long ago, ID tokens say, the person signed in: nobody was asked anew
}

// grant is what one sign-in gave.
type grant struct {
	user      string
	nonce     string
	challenge string
	redirect  string
	used      bool
	offline   bool
	maxAge    bool // the client wants to know when the person signed in
}

// New starts a provider that knows one client, which may send people back to redirect.
func New(t testing.TB, redirect string) *IDP {
	t.Helper()
	p := &IDP{
		ClientID: "treeline-of-a-test", ClientSecret: secret(), redirect: redirect,
		users: map[string]*User{}, codes: map[string]*grant{}, refresh: map[string]*grant{}, access: map[string]*grant{},
	}
	p.Rotate(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.jwks)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /authorize", p.signIn)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.fault().Down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	p.URL = p.server.URL
	t.Cleanup(p.server.Close)
	return p
}

// secret draws something that nobody guesses.
func secret() string {
	b := make([]byte, 24)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// Add gives somebody an account.
func (p *IDP) Add(u User) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[u.Name] = &u
}

// Groups changes the groups that somebody is in.
func (p *IDP) Groups(name string, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[name].Groups = groups
}

// Remove takes somebody's account away, and all that it gave.
func (p *IDP) Remove(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, name)
}

// Misbehave sets how the provider misbehaves from now on; the zero Faults is not at all.
func (p *IDP) Misbehave(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = f
}

func (p *IDP) fault() Faults {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults
}

// Asked returns how often tokens were asked for.
func (p *IDP) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Rotate begins to sign with a new key; keys take turns between RSA and elliptic curves. Only the new
// one is published.
func (p *IDP) Rotate(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	key := jose.JSONWebKey{KeyID: secret()[:8], Use: "sig", Algorithm: string(jose.RS256)}
	var err error
	if p.key.Algorithm == string(jose.RS256) {
		key.Algorithm = string(jose.ES256)
		key.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key.Key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.key, p.keys = key, []jose.JSONWebKey{key.Public()}
}

func (p *IDP) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"userinfo_endpoint": p.URL + "/userinfo", "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic"}, "authorization_response_iss_parameter_supported": true,
		"scopes_supported": []string{"openid", "profile", "email", "offline_access"},
	})
}

func (p *IDP) jwks(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	writeJSON(w, http.StatusOK, jose.JSONWebKeySet{Keys: p.keys})
}

var form = template.Must(template.New("form").Parse(`<!doctype html><html lang="en"><title>Example Identity</title>
<style>body{font:16px sans-serif;max-width:22em;margin:4em auto}label{display:block;margin:1em 0}input{width:100%}</style>
<h1>Example Identity</h1>{{if .Problem}}<p id="problem">{{.Problem}}</p>{{end}}
<form method="post"><input type="hidden" name="query" value="{{.Query}}">
<label>Name<input name="name" autofocus></label><label>Password<input name="password" type="password"></label>
<button name="do" value="allow">Sign in</button> <button name="do" value="deny">Cancel</button></form></html>`))

// authorize checks what a client asks for, and shows the form.
func (p *IDP) authorize(w http.ResponseWriter, r *http.Request) {
	if problem := p.wrong(r.URL.Query()); problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	_ = form.Execute(w, map[string]string{"Query": r.URL.RawQuery}) // the browser may have gone
}

func (p *IDP) wrong(q url.Values) string {
	switch {
	case q.Get("client_id") != p.ClientID:
		return "unknown client_id"
	case q.Get("redirect_uri") != p.redirect:
		return "redirect_uri is not registered"
	case q.Get("response_type") != "code":
		return "response_type must be code"
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		return "scope lacks openid"
	case q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43:
		return "PKCE is required"
	case q.Get("state") == "" || q.Get("nonce") == "":
		return "state and nonce are required here"
	case q.Has("max_age") != (q.Get("prompt") == "login"):
		return "the client asks anew by both prompt and max_age"
	}
	return ""
}

func (p *IDP) signIn(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.PostFormValue("query"))
	if problem := p.wrong(q); err != nil || problem != "" {
		http.Error(w, problem, http.StatusBadRequest)
		return
	}
	back := url.Values{"state": {q.Get("state")}, "iss": {p.URL}}
	if iss := p.fault().Iss; iss != "" {
		back.Set("iss", iss)
	}
	if r.PostFormValue("do") == "deny" {
		back.Set("error", "access_denied")
		http.Redirect(w, r, p.redirect+"?"+back.Encode(), http.StatusFound)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.users[r.PostFormValue("name")]
	if u == nil || u.Password != r.PostFormValue("password") {
		w.WriteHeader(http.StatusUnauthorized)
		_ = form.Execute(w, map[string]string{"Query": q.Encode(), "Problem": "That is not right."}) // the browser may have gone
		return
	}
	code := secret()
	p.codes[code] = &grant{
		user: u.Name, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"),
		offline: slices.Contains(strings.Fields(q.Get("scope")), "offline_access"), maxAge: q.Has("max_age"),
	}
	back.Set("code", code)
	http.Redirect(w, r, p.redirect+"?"+back.Encode(), http.StatusFound)
}

// token gives tokens for a code or a refresh token, each of which is good once.
func (p *IDP) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	id, password, ok := r.BasicAuth()
	if unescaped, err := url.QueryUnescape(password); err == nil {
		password = unescaped
	}
	if !ok || id != p.ClientID || password != p.ClientSecret {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	g := p.granted(r)
	if g == nil || p.users[g.user] == nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	again := r.PostFormValue("grant_type") == "refresh_token"
	access := secret()
	p.access[access] = g
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300}
	if g.offline && !p.faults.NoRefresh {
		fresh := secret()
		p.refresh[fresh] = &grant{user: g.user, nonce: g.nonce, offline: true}
		answer["refresh_token"] = fresh
	}
	if !again || !p.faults.NoIDToken {
		token, err := p.idToken(g, access)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer["id_token"] = token
	}
	writeJSON(w, http.StatusOK, answer)
}

// granted uses up a code or a refresh token; one that comes twice, or without the proof, gives nothing.
func (p *IDP) granted(r *http.Request) *grant {
	if r.PostFormValue("grant_type") == "refresh_token" {
		g := p.refresh[r.PostFormValue("refresh_token")]
		if g == nil || g.used {
			return nil
		}
		g.used = true
		return g
	}
	g := p.codes[r.PostFormValue("code")]
	if g == nil || g.used || r.PostFormValue("grant_type") != "authorization_code" || r.PostFormValue("redirect_uri") != g.redirect {
		return nil
	}
	g.used = true
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge {
		return nil
	}
	return g
}

func (p *IDP) idToken(g *grant, access string) (string, error) {
	u, now := p.users[g.user], time.Now()
	sum := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss": p.URL, "sub": u.Subject, "aud": p.ClientID, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": g.nonce,
		"at_hash": base64.RawURLEncoding.EncodeToString(sum[:16]), "preferred_username": u.Name, "email": u.Email, "groups": u.Groups,
	}
	f := p.faults
	for claim, v := range map[string]string{"nonce": f.Nonce, "aud": f.Audience, "iss": f.Issuer} {
		if v != "" {
			claims[claim] = v
		}
	}
	if g.maxAge || f.Signed != 0 {
		claims["auth_time"] = now.Add(-f.Signed).Unix()
	}
	if f.Expired {
		claims["exp"] = now.Add(-time.Hour).Unix()
	}
	if f.NoGroups {
		delete(claims, "groups")
	}
	if f.Unsigned {
		body, err := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(body) + ".", err
	}
	key := p.key
	if f.ForeignBy {
		foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return "", fmt.Errorf("idptest: %w", err)
		}
		key = jose.JSONWebKey{Key: foreign, KeyID: p.key.KeyID, Algorithm: string(jose.ES256)}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("idptest: %w", err)
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

func (p *IDP) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.access[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if g == nil || p.users[g.user] == nil {
		http.Error(w, "unknown token", http.StatusUnauthorized)
		return
	}
	u := p.users[g.user]
	subject := u.Subject
	if p.faults.Subject != "" {
		subject = p.faults.Subject
	}
	writeJSON(w, http.StatusOK, map[string]any{"sub": subject, "preferred_username": u.Name, "email": u.Email, "groups": u.Groups})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}
