package auth_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
)

var (
	root = hawk.Credentials{ClientID: "static/test/root", AccessToken: strings.Repeat("r", 44)}
	key  = []byte(strings.Repeat("k", 32))
)

func config() auth.Config {
	return auth.Config{
		StaticClients: []auth.StaticClient{{ClientID: root.ClientID, AccessToken: root.AccessToken, Scopes: []string{"*"}, Description: "root"}},
		Log:           slog.New(slog.DiscardHandler), EncryptionKey: key,
	}
}

func newAuth(t testing.TB, pool *pgxpool.Pool) *auth.Auth {
	t.Helper()
	a, err := auth.New(t.Context(), pool, config())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// create makes a client that holds scopes and returns its credentials.
func create(t testing.TB, a *auth.Auth, id string, scopes ...string) hawk.Credentials {
	t.Helper()
	_, token, err := a.CreateClient(t.Context(), root.ClientID, id, auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return hawk.Credentials{ClientID: id, AccessToken: token}
}

// call signs a request with the credentials and has it authenticated.
func call(t testing.TB, a *auth.Auth, creds hawk.Credentials) (web.AuthResult, error) {
	t.Helper()
	ext, err := hawk.Ext(creds)
	if err != nil {
		t.Fatal(err)
	}
	header, err := hawk.Header(creds, "GET", "http://tc:80/x?y=1", time.Now(), hawk.Nonce(), ext, "")
	if err != nil {
		t.Fatal(err)
	}
	return a.Authenticate(t.Context(), web.AuthRequest{Method: "get", Resource: "/x?y=1", Host: "tc", Port: 80, Authorization: header})
}

func wantScopes(t *testing.T, a *auth.Auth, creds hawk.Credentials, want ...string) {
	t.Helper()
	got, err := call(t, a, creds)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(scope.Normalize(want), got.Scopes); diff != "" {
		t.Error(diff)
	}
}

func wantRefused(t *testing.T, a *auth.Auth, creds hawk.Credentials, text string) {
	t.Helper()
	got, err := call(t, a, creds)
	if !errors.Is(err, fault.Unauthenticated) || !strings.Contains(fault.Message(err), text) {
		t.Errorf("got %v, %v; want a refusal about %q", got, err, text)
	}
	if err != nil && strings.Contains(err.Error(), creds.AccessToken) {
		t.Errorf("the token is in %v", err)
	}
}

func TestAuthenticate(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
	ctx := t.Context()
	for id, scopes := range map[string][]string{"anonymous": {"public:read"}, "dev:*": {"dev:<..>:*"}} {
		if err := a.EnsureRole(ctx, id, scopes, ""); err != nil {
			t.Fatal(err)
		}
	}
	ann := create(t, a, "ann/laptop", "assume:dev:ann", "x:*", "auth:create-client:ann/*")
	held := []string{"assume:dev:ann", "dev:ann:*", "x:*", "auth:create-client:ann/*"}
	everybody := []string{"assume:anonymous", "public:read"}

	t.Run("a permanent client has its expanded scopes and those of everybody", func(t *testing.T) {
		wantScopes(t, a, ann, append(held, everybody...)...)
	})
	t.Run("without credentials a caller is anonymous for a while", func(t *testing.T) {
		got, err := a.Authenticate(ctx, web.AuthRequest{Method: "GET", Resource: "/", Host: "tc", Port: 80})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(everybody, got.Scopes); diff != "" || !got.Anonymous() || time.Until(got.Expires) > 16*time.Minute {
			t.Errorf("%v: %s", got, diff)
		}
	})
	t.Run("a bewit works as a header does", func(t *testing.T) {
		signed, err := hawk.SignURL(ann, "http://tc:80/x", time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		req := web.AuthRequest{Method: "GET", Resource: strings.TrimPrefix(signed, "http://tc:80"), Host: "tc", Port: 80}
		got, err := a.Authenticate(ctx, req)
		if err != nil || got.ClientID != ann.ClientID {
			t.Errorf("%v, %v", got, err)
		}
		req.Authorization = "Hawk"
		if _, err := a.Authenticate(ctx, req); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("header and bewit together: %v", err)
		}
	})
	t.Run("the payload hash is passed on", func(t *testing.T) {
		hash := hawk.PayloadHash("application/json", []byte("{}"))
		header, err := hawk.Header(ann, "POST", "http://tc:80/x", time.Now(), "n", "", hash)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Authenticate(ctx, web.AuthRequest{Method: "post", Resource: "/x", Host: "tc", Port: 80, Authorization: header})
		if err != nil || got.Hash != hash {
			t.Errorf("hash %q, %v", got.Hash, err)
		}
	})
	t.Run("bad credentials are told apart", func(t *testing.T) {
		wantRefused(t, a, hawk.Credentials{ClientID: "nobody", AccessToken: ann.AccessToken}, "does not exist")
		wantRefused(t, a, hawk.Credentials{ClientID: ann.ClientID, AccessToken: strings.Repeat("x", 44)}, "Bad mac")
	})
	t.Run("authorizedScopes limit all but what everybody may do", func(t *testing.T) {
		limited := ann
		limited.AuthorizedScopes = []string{"x:1", "assume:dev:ann"}
		wantScopes(t, a, limited, append([]string{"x:1", "assume:dev:ann", "dev:ann:*"}, everybody...)...)
		limited.AuthorizedScopes = []string{}
		wantScopes(t, a, limited, everybody...)
		limited.AuthorizedScopes = []string{"public:read"}
		wantScopes(t, a, limited, everybody...)
		limited.AuthorizedScopes = []string{"y:1"}
		wantRefused(t, a, limited, "authorizedScopes")
	})
	t.Run("CheckToken knows tokens, CallerFor needs none", func(t *testing.T) {
		if got, err := a.CheckToken(ctx, ann); err != nil || got.ClientID != ann.ClientID {
			t.Errorf("%v, %v", got, err)
		}
		if _, err := a.CheckToken(ctx, hawk.Credentials{ClientID: ann.ClientID, AccessToken: "wrong"}); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a wrong token: %v", err)
		}
		if got, err := a.CallerFor(ctx, ann.ClientID); err != nil || !scope.Satisfies(got.Scopes, scope.String("dev:ann:1")) {
			t.Errorf("%v, %v", got, err)
		}
		if _, err := a.CallerFor(ctx, "nobody"); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an unknown client: %v", err)
		}
	})
}

func TestTemporaryCredentials(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
	if err := a.EnsureRole(t.Context(), "dev:*", []string{"dev:<..>:*"}, ""); err != nil {
		t.Fatal(err)
	}
	ann := create(t, a, "ann/laptop", "assume:dev:ann", "x:*", "auth:create-client:ann/*")
	temp := func(t *testing.T, name string, scopes ...string) hawk.Credentials {
		t.Helper()
		c, err := hawk.CreateTemporary(ann, hawk.TempOptions{ClientID: name, Scopes: scopes, Start: time.Now(), Expiry: time.Now().Add(10 * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("unnamed ones act as their issuer, with fewer scopes", func(t *testing.T) {
		c := temp(t, "", "x:1", "dev:ann:2")
		wantScopes(t, a, c, "x:1", "dev:ann:2", "assume:anonymous")
		got, err := a.CheckToken(t.Context(), c)
		if err != nil || got.ClientID != ann.ClientID || time.Until(got.Expires) > 11*time.Minute {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("roles in the certificate are expanded before authorizedScopes are checked", func(t *testing.T) {
		c := temp(t, "", "assume:dev:ann")
		c.AuthorizedScopes = []string{"dev:ann:1"}
		wantScopes(t, a, c, "dev:ann:1", "assume:anonymous")
	})
	t.Run("named ones carry their name", func(t *testing.T) {
		got, err := call(t, a, temp(t, "ann/ci/1", "x:1"))
		if err != nil || got.ClientID != "ann/ci/1" {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("a name the issuer may not give is refused", func(t *testing.T) {
		wantRefused(t, a, temp(t, "bob/ci", "x:1"), "auth:create-client:bob/ci")
	})
	t.Run("scopes the issuer does not hold are refused", func(t *testing.T) {
		wantRefused(t, a, temp(t, "", "y:1"), "y:1")
	})
	t.Run("a certificate of another client is refused", func(t *testing.T) {
		c := temp(t, "", "x:1")
		c.AccessToken = strings.Repeat("z", 43)
		wantRefused(t, a, c, "Bad mac")
	})
	t.Run("they end with their issuer", func(t *testing.T) {
		c := temp(t, "ann/ci/2", "x:1")
		if _, err := a.SetDisabled(t.Context(), root.ClientID, ann.ClientID, true); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, c, "disabled")
	})
}

func TestClients(t *testing.T) {
	pool := pgtest.DB(t)
	a := newAuth(t, pool)
	ctx := t.Context()
	t.Run("a client is made once, and found", func(t *testing.T) {
		create(t, a, "one", "b", "a", "b")
		_, _, err := a.CreateClient(ctx, "x", "one", auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{"a", "b"}})
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("a second time: %v", err)
		}
		got, err := a.Client(ctx, "one")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a", "b"}, got.Scopes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("bad input is refused", func(t *testing.T) {
		for id, in := range map[string]auth.ClientInput{
			"a b": {}, "": {}, "static/x": {}, "scopes": {Scopes: []string{"a**"}}, "text": {Description: strings.Repeat("ü", 10241)},
		} {
			if _, _, err := a.CreateClient(ctx, "x", id, in); !errors.Is(err, fault.Invalid) {
				t.Errorf("client %q: %v", id, err)
			}
		}
	})
	t.Run("a reset token replaces the old one", func(t *testing.T) {
		old := create(t, a, "two", "a")
		_, token, err := a.ResetAccessToken(ctx, "x", "two")
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, old, "Bad mac")
		wantScopes(t, a, hawk.Credentials{ClientID: "two", AccessToken: token}, "a", "assume:anonymous")
	})
	t.Run("disabled and expired clients are told so", func(t *testing.T) {
		c := create(t, a, "three")
		if _, err := a.SetDisabled(ctx, "x", "three", true); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, c, "disabled")
		if _, err := a.SetDisabled(ctx, "x", "three", false); err != nil {
			t.Fatal(err)
		}
		in := auth.ClientInput{Expires: time.Now().Add(-time.Minute)}
		if _, err := a.UpdateClient(ctx, "x", "three", in, func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, a, c, "expired")
	})
	t.Run("an update asks about added scopes and keeps scopes left out", func(t *testing.T) {
		create(t, a, "four", "a:1", "a:2")
		var asked []string
		in := auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: []string{"a:2", "a:3"}}
		if _, err := a.UpdateClient(ctx, "x", "four", in, func(added []string) error {
			asked = added
			return fault.New(fault.Forbidden, "no")
		}); !errors.Is(err, fault.Forbidden) {
			t.Errorf("refused update: %v", err)
		}
		if diff := cmp.Diff([]string{"a:3"}, asked); diff != "" {
			t.Error(diff)
		}
		in.Scopes, in.Description = nil, "new"
		got, err := a.UpdateClient(ctx, "x", "four", in, func([]string) error { return nil })
		if err != nil || got.Description != "new" {
			t.Fatal(got, err)
		}
		if diff := cmp.Diff([]string{"a:1", "a:2"}, got.Scopes); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("deleting is final and may be repeated", func(t *testing.T) {
		c := create(t, a, "five")
		for range 2 {
			if err := a.DeleteClient(ctx, "x", "five"); err != nil {
				t.Fatal(err)
			}
		}
		wantRefused(t, a, c, "does not exist")
		if _, err := a.Client(ctx, "five"); !errors.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
	t.Run("the list has pages, a prefix taken literally, and an order", func(t *testing.T) {
		for _, id := range []string{"p_/b", "p_/a", "px/c", "p_/c"} {
			create(t, a, id)
		}
		var ids []string
		for after := ""; ; after = ids[len(ids)-1] {
			page, err := a.Clients(ctx, "p_/", after, 2)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				ids = append(ids, c.ID)
			}
		}
		if diff := cmp.Diff([]string{"p_/a", "p_/b", "p_/c"}, ids); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("no token is stored in the clear", func(t *testing.T) {
		var sealed []byte
		c := create(t, a, "six")
		if err := pool.QueryRow(ctx, `SELECT encrypted_token FROM auth_clients WHERE client_id = 'six'`).Scan(&sealed); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sealed), c.AccessToken) {
			t.Error("it is")
		}
	})
	t.Run("a row copied to another client gives nothing", func(t *testing.T) {
		six := create(t, a, "seven")
		create(t, a, "eight", "power")
		if _, err := pool.Exec(ctx, `UPDATE auth_clients SET encrypted_token = (SELECT encrypted_token FROM auth_clients WHERE client_id = 'seven') WHERE client_id = 'eight'`); err != nil {
			t.Fatal(err)
		}
		if got, err := call(t, a, hawk.Credentials{ClientID: "eight", AccessToken: six.AccessToken}); err == nil {
			t.Errorf("authenticated as %v", got)
		}
	})
}

func TestUseIsNoted(t *testing.T) {
	pool := pgtest.DB(t)
	a := newAuth(t, pool)
	c := create(t, a, "one")
	age := func() time.Duration {
		got, err := a.Client(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		return time.Since(got.LastUsed)
	}
	for _, hours := range []int{5, 7} {
		if _, err := pool.Exec(t.Context(), `UPDATE auth_clients SET last_used = now() - make_interval(hours => $1)`, hours); err != nil {
			t.Fatal(err)
		}
		b := newAuth(t, pool) // with no copy of the client yet
		wantRefused(t, b, hawk.Credentials{ClientID: "one", AccessToken: strings.Repeat("x", 44)}, "Bad mac")
		if age() < 4*time.Hour {
			t.Error("a failed attempt counted as use")
		}
		if _, err := call(t, b, c); err != nil {
			t.Fatal(err)
		}
		if noted := age() < time.Hour; noted != (hours > 6) {
			t.Errorf("last used %d hours ago: noted = %v", hours, noted)
		}
	}
}

func TestStaticClients(t *testing.T) {
	pool := pgtest.DB(t)
	newAuth(t, pool)
	t.Run("they work, and another start with the same configuration changes nothing", func(t *testing.T) {
		var before, after int64
		version := `SELECT clients_version FROM auth_state`
		if err := pool.QueryRow(t.Context(), version).Scan(&before); err != nil {
			t.Fatal(err)
		}
		wantScopes(t, newAuth(t, pool), root, "*")
		if err := pool.QueryRow(t.Context(), version).Scan(&after); err != nil || before != after {
			t.Errorf("version %d → %d, %v", before, after, err)
		}
	})
	t.Run("they cannot be changed", func(t *testing.T) {
		a := newAuth(t, pool)
		if err := a.DeleteClient(t.Context(), "x", root.ClientID); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if _, _, err := a.ResetAccessToken(t.Context(), "x", root.ClientID); !errors.Is(err, fault.Invalid) {
			t.Error(err)
		}
	})
	t.Run("the configuration decides, also after a change of the key", func(t *testing.T) {
		cfg := config()
		cfg.EncryptionKey = []byte(strings.Repeat("K", 32))
		cfg.StaticClients = append(cfg.StaticClients, auth.StaticClient{ClientID: "static/two", AccessToken: strings.Repeat("2", 22), Scopes: []string{"b"}})
		a, err := auth.New(t.Context(), pool, cfg)
		if err != nil {
			t.Fatal(err)
		}
		wantScopes(t, a, root, "*")
		wantScopes(t, a, hawk.Credentials{ClientID: "static/two", AccessToken: strings.Repeat("2", 22)}, "b", "assume:anonymous")
		wantRefused(t, newAuth(t, pool), hawk.Credentials{ClientID: "static/two", AccessToken: strings.Repeat("2", 22)}, "does not exist")
	})
	t.Run("bad configuration is refused", func(t *testing.T) {
		for name, change := range map[string]func(*auth.Config){
			"key":    func(c *auth.Config) { c.EncryptionKey = []byte("short") },
			"prefix": func(c *auth.Config) { c.StaticClients[0].ClientID = "root" },
			"token":  func(c *auth.Config) { c.StaticClients[0].AccessToken = "short" },
			"scopes": func(c *auth.Config) { c.StaticClients[0].Scopes = []string{"**"} },
			"twice":  func(c *auth.Config) { c.StaticClients = append(c.StaticClients, c.StaticClients[0]) },
		} {
			cfg := config()
			change(&cfg)
			if _, err := auth.New(t.Context(), pool, cfg); !errors.Is(err, fault.Invalid) {
				t.Errorf("bad %s: %v", name, err)
			}
		}
	})
}

func TestChangesReachOtherServers(t *testing.T) {
	pool := pgtest.DB(t)
	a, b := newAuth(t, pool), newAuth(t, pool)
	c := create(t, a, "one", "assume:r")
	wantScopes(t, b, c, "assume:r", "assume:anonymous")
	if err := a.EnsureRole(t.Context(), "r", []string{"new"}, ""); err != nil {
		t.Fatal(err)
	}
	wantScopes(t, a, c, "assume:r", "new", "assume:anonymous") // at once where it was made
	within(t, 2*time.Second, func() bool {
		got, err := call(t, b, c)
		return err == nil && scope.Satisfies(got.Scopes, scope.String("new"))
	})
	if err := a.DeleteClient(t.Context(), "x", "one"); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, a, c, "does not exist")
	within(t, 2*time.Second, func() bool { _, err := call(t, b, c); return errors.Is(err, fault.Unauthenticated) })
}

// within waits until ok.
func within(t *testing.T, limit time.Duration, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("it did not happen within %v", limit)
		case <-tick.C:
		}
	}
}
