package dbcmd

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/keyservice"
	"github.com/treeline-ci/treeline/internal/keyservice/keyservicetest"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// clients makes the room of clients with the keys that a server would have.
func clients(t *testing.T, pool *pgxpool.Pool, data string) *auth.Auth {
	t.Helper()
	s, err := app.LoadSecrets(filepath.Join(data, "secrets.json"))
	if err == nil {
		_, err = s.LoadKeys(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	ring, err := s.Ring()
	if err != nil {
		t.Fatal(err)
	}
	a, err := auth.New(t.Context(), pool, auth.Config{Ring: ring, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// newKey is what the command prints.
func newKey(t *testing.T) string {
	t.Helper()
	out, errs, err := runDB(t, "key")
	if err != nil || strings.Contains(errs, strings.TrimSpace(out)) {
		t.Fatal(errs, err)
	}
	return strings.TrimSpace(out)
}

// An operator's whole rotation, with keys that a master key wraps.
func TestTheEncryptionKeyIsChanged(t *testing.T) {
	ctx, url, data := t.Context(), pgtest.URL(t), t.TempDir()
	t.Setenv("DATABASE_URL", url)
	t.Setenv("TREELINE_DATA", data)
	if _, _, err := runDB(t, "reencrypt"); err == nil || !strings.Contains(err.Error(), "no server has started") {
		t.Errorf("without a server: %v", err)
	}
	pool, err := pg.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	start := func() *auth.Auth { t.Helper(); return clients(t, pool, data) }
	if _, _, err := start().CreateClient(ctx, "me", "one", auth.ClientInput{Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	master := filepath.Join(data, "master")
	if err := os.WriteFile(master, []byte(newKey(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(app.MasterKeySetting, "file:"+master)
	wrapped := newKey(t)
	if !strings.HasPrefix(wrapped, "wrapped:") {
		t.Fatalf("%q", wrapped[:8])
	}
	t.Setenv(app.KeysSetting, wrapped)
	start() // reads with the file's key, writes with the new one
	type answer struct {
		Keys []struct {
			ID, State string
			Values    map[string]int
		}
		Resealed, Lost int
	}
	run := func(args ...string) (a answer) {
		out, _, err := runDB(t, append(args, "--json")...)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &a); err != nil || len(a.Keys) != 2 || a.Keys[0].State != "current" || a.Keys[1].State != "retired" {
			t.Fatalf("%s %v", out, err)
		}
		return a
	}
	if a := run("reencrypt", "--check"); len(a.Keys[0].Values) != 0 || a.Keys[1].Values["access tokens of clients"] != 1 {
		t.Errorf("%+v", a)
	}
	if a := run("reencrypt"); a.Resealed != 1 || len(a.Keys[1].Values) != 0 || a.Keys[0].Values["access tokens of clients"] != 1 {
		t.Errorf("%+v", a)
	}
	out, _, err := runDB(t, "reencrypt", "--check")
	if err != nil || !strings.Contains(out, "nothing any more: take it out of the configuration") {
		t.Errorf("%s %v", out, err)
	}
	t.Setenv(app.KeysSetting, "")
	if _, _, err := runDB(t, "reencrypt"); err == nil || !strings.Contains(err.Error(), "that of one in access tokens") {
		t.Errorf("with the old key alone: %v", err)
	}
}

// Keys go from a master key in a file to a key service, to another key there, and back; each time all that is stored is
// sealed with a new one. In between the service fails.
func TestKeysAreWrappedByAKeyService(t *testing.T) {
	ctx, url, data := t.Context(), pgtest.URL(t), t.TempDir()
	t.Setenv("DATABASE_URL", url)
	t.Setenv("TREELINE_DATA", data)
	pool, err := pg.Open(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, _, err := clients(t, pool, data).CreateClient(ctx, "me", "one", auth.ClientInput{Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	vault := keyservicetest.StartVault(t)
	vault.Set(func(v *keyservicetest.Double) { v.Keys["second"] = []byte(strings.Repeat("2", 32)) })
	master := filepath.Join(data, "master")
	if err := os.WriteFile(master, []byte(newKey(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	file, first, second := "file:"+master, "transit:///treeline?deployment=ci", "transit:///second?deployment=ci"
	before, old := file, ""
	for _, now := range []string{file, first, second, file, first} {
		t.Setenv(app.MasterKeySetting, now+" "+before)
		fresh := newKey(t)
		t.Setenv(app.KeysSetting, fresh+" "+old)
		serving := clients(t, pool, data)
		out, _, err := runDB(t, "reencrypt")
		if err != nil || !strings.Contains(out, "1 values were sealed again") {
			t.Fatalf("to %s: %s %v", now, out, err)
		}
		t.Setenv(app.MasterKeySetting, now)
		t.Setenv(app.KeysSetting, fresh)
		out, _, err = runDB(t, "reencrypt", "--check")
		if err != nil || strings.Contains(out, "not configured") {
			t.Errorf("with %s alone: %s %v", now, out, err)
		}
		if _, _, err := serving.ResetAccessToken(ctx, "me", "one", 0); err != nil {
			t.Errorf("who serves meanwhile: %v", err)
		}
		before, old = now, fresh
	}
	serving := clients(t, pool, data)
	vault.Set(func(v *keyservicetest.Double) { v.Down = true })
	for _, args := range [][]string{{"key"}, {"reencrypt"}} {
		if _, _, err := runDB(t, args...); !keyservice.Failed(err) || !strings.Contains(err.Error(), "see that this machine reaches it") {
			t.Errorf("%s while the service is down: %v", args, err)
		}
	}
	if _, _, err := serving.ResetAccessToken(ctx, "me", "one", 0); err != nil {
		t.Errorf("who serves while the service is down: %v", err)
	}
}
