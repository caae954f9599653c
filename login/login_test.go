package login_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/login"
)

const (
	rootURL     = "http://localhost:9"
	issuerToken = "web-server-token-of-a-test-0123456789"
	ada         = "example/ad!21a|ada"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), login.Statements...) }

// house is a login room with an identity provider and a GitHub.
type house struct {
	*login.Login
	auth   *auth.Auth
	pool   *pgxpool.Pool
	idp    *idptest.IDP
	github *idptest.GitHub
	config login.Config
	log    *strings.Builder
}

// newRing returns the ring that all servers of a test have.
func newRing(t testing.TB) *crypt.Ring {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// sealed returns the cookie of a sign-in with another end.
func (h *house) sealed(t testing.TB, b begun, expires time.Time) string {
	t.Helper()
	ring, purpose := newRing(t), []byte("login.attempt")
	raw, err := base64.RawURLEncoding.DecodeString(b.cookie)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ring.Open(raw, purpose)
	if err != nil {
		t.Fatal(err)
	}
	var attempt map[string]any
	if err := json.Unmarshal(plain, &attempt); err != nil {
		t.Fatal(err)
	}
	attempt["expires"] = expires
	if plain, err = json.Marshal(attempt); err != nil {
		t.Fatal(err)
	}
	if raw, err = ring.Seal(plain, purpose); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func newHouse(t testing.TB, change ...func(*login.Config)) *house {
	t.Helper()
	h := &house{pool: pgtest.DB(t), log: &strings.Builder{}}
	h.idp = idptest.New(t, rootURL+"/login/example/callback")
	h.idp.Add(idptest.User{Subject: "ad!a", Name: "ada", Email: "ada@example.com", Password: "correct horse", Groups: []string{"readers", "releng"}})
	h.idp.Add(idptest.User{Subject: "bob", Name: "bob", Email: "bob@example.com", Password: "battery staple"})
	h.github = idptest.NewGitHub(t, rootURL+"/login/github/callback", idptest.Account{ID: 1815, Login: "Ada-L", Teams: []string{"acme/devs"}})
	h.config = login.Config{
		Providers: []login.Provider{
			{Name: "example", Type: "oidc", Title: "Example", Issuer: h.idp.URL, ClientID: h.idp.ClientID, ClientSecret: h.idp.ClientSecret},
			{Name: "github", Type: "github", Title: "GitHub", URL: h.github.URL, ClientID: h.github.ClientID, ClientSecret: h.github.ClientSecret},
		},
		RegisteredClients: []login.Site{
			{ClientID: "herder", Title: "Tree Herder", ResponseType: "code", Scope: []string{"hooks:trigger-hook:*", "queue:rerun-task:*"}, RedirectURI: []string{"https://herder.example.com/login"}, MaxExpires: "3 days"},
			{ClientID: "quick", ResponseType: "token", Whitelisted: true, Scope: []string{"queue:rerun-task:*"}, RedirectURI: []string{"https://quick.example.com/"}, MaxExpires: "1 hour"},
		},
	}
	for _, f := range change {
		f(&h.config)
	}
	h.Login, h.auth = h.replica(t)
	for role, scopes := range map[string][]string{
		"login-identity:*":      login.PersonScopes(),
		"example-group:readers": {"queue:rerun-task:*"},
		"example-group:releng":  {"hooks:trigger-hook:release/*"},
		"github-team:acme/devs": {"queue:cancel-task:*"},
		auth.Anonymous:          {"queue:status:*"},
	} {
		if err := h.auth.EnsureRole(t.Context(), role, scopes, "of a test"); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// replica is the room as another server has it.
func (h *house) replica(t testing.TB) (*login.Login, *auth.Auth) {
	t.Helper()
	ring := newRing(t)
	log := slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), h.log), nil))
	a, err := auth.New(t.Context(), h.pool, auth.Config{Log: log, Ring: ring, StaticClients: []auth.StaticClient{
		{ClientID: login.Issuer, AccessToken: issuerToken, Scopes: login.IssuerScopes(h.config), Description: "signs for people"},
		{ClientID: "static/root", AccessToken: issuerToken + "r", Scopes: []string{"*"}, Description: "may do all"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	l, err := login.New(login.Deps{
		Pool: h.pool, Auth: a, Ring: ring, Issuer: hawk.Credentials{ClientID: login.Issuer, AccessToken: issuerToken}, RootURL: rootURL, Log: log,
	}, h.config)
	if err != nil {
		t.Fatal(err)
	}
	return l, a
}

// post sends a form to a provider, and returns where the answer sends the browser.
func post(t testing.TB, address string, form url.Values) *url.URL {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		t.Fatalf("the provider answers %s and sends nobody back: %v", answer.Status, err)
	}
	return to
}

// begun is a sign-in that has come back from the provider.
type begun struct {
	cookie string
	answer url.Values
}

// prove goes to the provider and proves to be somebody there.
func (h *house) prove(t testing.TB, provider, name, password, next string) begun {
	t.Helper()
	address, cookie, err := h.Begin(t.Context(), provider, next, false)
	if err != nil {
		t.Fatal(err)
	}
	var back *url.URL
	if provider == "github" {
		back = post(t, address, url.Values{"authorize": {"1"}})
	} else {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		back = post(t, address, url.Values{"query": {u.RawQuery}, "name": {name}, "password": {password}, "do": {"allow"}})
	}
	if want := rootURL + "/login/" + provider + "/callback"; !strings.HasPrefix(back.String(), want+"?") {
		t.Fatalf("the provider sends people to %s, want %s", back, want)
	}
	return begun{cookie, back.Query()}
}

// enter signs somebody in.
func (h *house) enter(t testing.TB, provider, name, password string) login.Arrival {
	t.Helper()
	b := h.prove(t, provider, name, password, "/")
	at, err := h.Finish(t.Context(), provider, b.cookie, b.answer)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func (h *house) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := h.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// age makes what the provider said last older.
func (h *house) age(t testing.TB, by time.Duration) {
	t.Helper()
	h.exec(t, `UPDATE login_people SET checked = checked - $1::interval, trying = trying - $1::interval`, by)
}

func person(identity string) login.Holder { return login.Holder{ClientID: identity, Person: true} }

// scopesOf returns the expanded scopes of somebody now.
func (h *house) scopesOf(ctx context.Context, identity string) string {
	caller, err := h.Caller(ctx, person(identity))
	if err != nil {
		return fmt.Sprintf("error: %v", err)
	}
	return strings.Join(caller.Scopes, " ")
}
