package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestClients(t *testing.T) {
	a := newAuth(t, pgtest.DB(t))
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
		_, token, err := a.ResetAccessToken(ctx, "x", "two", 0)
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
}

func TestClientsListedAndStored(t *testing.T) {
	pool := pgtest.DB(t)
	a := newAuth(t, pool)
	ctx := t.Context()
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
		if _, _, err := a.ResetAccessToken(t.Context(), "x", root.ClientID, 0); !errors.Is(err, fault.Invalid) {
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
