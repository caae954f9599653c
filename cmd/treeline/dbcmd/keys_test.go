package dbcmd

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

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
	start := func() *auth.Auth {
		s, err := app.LoadSecrets(filepath.Join(data, "secrets.json"))
		if err == nil {
			_, err = s.LoadKeys(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		ring, err := s.Ring()
		if err != nil {
			t.Fatal(err)
		}
		a, err := auth.New(ctx, pool, auth.Config{Ring: ring, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if _, _, err := start().CreateClient(ctx, "me", "one", auth.ClientInput{Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	key := func() string {
		out, errs, err := runDB(t, "key")
		if err != nil || strings.Contains(errs, strings.TrimSpace(out)) {
			t.Fatal(errs, err)
		}
		return out
	}
	master := filepath.Join(data, "master")
	if err := os.WriteFile(master, []byte(key()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(app.MasterKeySetting, "file:"+master)
	wrapped := key()
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
