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
		if got, err := a.CallerFor(ctx, ann.ClientID, time.Now()); err != nil || !scope.Satisfies(got.Scopes, scope.String("dev:ann:1")) {
			t.Errorf("%v, %v", got, err)
		}
		if _, err := a.CallerFor(ctx, "nobody", time.Now()); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("an unknown client: %v", err)
		}
	})
	t.Run("CallerFor refuses who proved themselves by a token of before", func(t *testing.T) {
		if _, err := a.CallerFor(ctx, ann.ClientID, time.Now().Add(-time.Hour)); !errors.Is(err, fault.Unauthenticated) {
			t.Errorf("a client made since: %v", err)
		}
	})
}

func TestAnotherTokenOfAStaticClientIsARotation(t *testing.T) {
	pool := pgtest.DB(t)
	rotated := func(change func(*auth.StaticClient)) time.Time {
		t.Helper()
		c := config()
		change(&c.StaticClients[0])
		a, err := auth.New(t.Context(), pool, c)
		if err != nil {
			t.Fatal(err)
		}
		client, err := a.Client(t.Context(), root.ClientID)
		if err != nil {
			t.Fatal(err)
		}
		return client.LastRotated
	}
	first := rotated(func(*auth.StaticClient) {})
	if again := rotated(func(c *auth.StaticClient) { c.Description = "another" }); !again.Equal(first) {
		t.Error("another description counts as another token")
	}
	if again := rotated(func(c *auth.StaticClient) { c.AccessToken = strings.Repeat("q", 44) }); !again.After(first) {
		t.Error("another token does not")
	}
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
