package app_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// status is what /status.json says, as far as tests look.
type status struct {
	Healthy  bool
	Services []struct{ Name string }
	Feed     []struct{ Name string }
	Schema   *struct{ Database, Program int }
	Servers  []struct {
		Host, Version string
		Schema        int
	}
	Backlogs  []struct{ Name string }
	Backups   []struct{ Kind string }
	Retention []struct{ Name string }
	Settings  []struct{ Name, Is string }
	Problems  []string
}

func TestStatusOfADeployment(t *testing.T) {
	var config app.Config
	s := apptest.Start(t, func(c *app.Config) { config = *c })
	site := &uitest.Site{URL: s.URL}
	look := func(t *testing.T, b *uitest.Browser) (out status) {
		t.Helper()
		d := b.Get(t, "/status.json")
		if err := json.Unmarshal([]byte(d.Body), &out); err != nil || d.Status != http.StatusOK {
			t.Fatalf("%d, %v: %.300s", d.Status, err, d.Body)
		}
		return out
	}
	operator := site.Browser(t)
	operator.SignIn(t, s.Root.ClientID, s.Root.AccessToken)
	t.Run("everybody sees whether it works, and nothing of its inside", func(t *testing.T) {
		if got := look(t, site.Browser(t)); !got.Healthy || len(got.Services) < 10 || got.Schema != nil || got.Settings != nil || got.Problems != nil {
			t.Errorf("%+v", got)
		}
	})
	t.Run("an operator sees all of it, and that there is no backup", func(t *testing.T) {
		got := look(t, operator)
		if got.Schema == nil || got.Schema.Database < 40 || got.Schema.Database != got.Schema.Program || len(got.Retention) < 5 || len(got.Feed) == 0 || len(got.Backlogs) == 0 || len(got.Settings) < 5 {
			t.Errorf("%+v", got)
		}
		if len(got.Servers) != 1 || got.Servers[0].Host == "" || got.Servers[0].Version == "" || got.Servers[0].Schema != got.Schema.Program {
			t.Errorf("the server itself is not among the servers: %+v", got.Servers)
		}
		if !slices.ContainsFunc(got.Problems, func(p string) bool { return strings.Contains(p, "No backup was ever reported") }) {
			t.Errorf("%q", got.Problems)
		}
	})
	t.Run("a backup that is reported is shown, and is no problem any more", func(t *testing.T) {
		pool, err := pg.Open(t.Context(), config.DatabaseURL)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		if _, err := backup.Record(t.Context(), pool, backup.Backup{Kind: backup.Base, OK: true, Size: 1 << 30, By: "a test"}); err != nil {
			t.Fatal(err)
		}
		got := look(t, operator)
		if len(got.Backups) != 1 || slices.ContainsFunc(got.Problems, func(p string) bool { return strings.Contains(p, "backup") }) {
			t.Errorf("%+v %q", got.Backups, got.Problems)
		}
		d := operator.Get(t, "/status")
		for _, want := range []string{"#schema", "#servers", "#backlogs", "#backups", "#retention", "#settings", "#feed"} {
			if len(d.Find(want)) != 1 {
				t.Errorf("the page has no %s", want)
			}
		}
		if d.Status != http.StatusOK || !strings.Contains(d.Text("#backups"), "base good") {
			t.Errorf("%d: %q", d.Status, d.Text("#backups"))
		}
	})
	t.Run("a full disk is named in the answer, and is a problem", func(t *testing.T) {
		err := putOnAFullDisk(t, s, config.DatabaseURL)
		if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk of the database is full") {
			t.Errorf("the call says: %v", err)
		}
		if got := look(t, operator); !slices.ContainsFunc(got.Problems, func(p string) bool { return strings.Contains(p, "refused to write") }) {
			t.Errorf("%q", got.Problems)
		}
	})
}

// putOnAFullDisk has PostgreSQL refuse to write secrets, as it does when its disk is full, and puts one.
func putOnAFullDisk(t *testing.T, s apptest.Server, database string) error {
	t.Helper()
	pool, err := pg.Open(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = pool.Exec(t.Context(), `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
		CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON secrets FOR EACH STATEMENT EXECUTE FUNCTION full_disk()`)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{RootURL: s.URL, Patience: -1, Credentials: s.Root})
	if err != nil {
		t.Fatal(err)
	}
	secret := map[string]any{"secret": map[string]any{}, "expires": "2100-01-01T00:00:00Z"}
	return c.Call(t.Context(), "secrets", http.MethodPut, "/secret/full", nil, secret, nil)
}
