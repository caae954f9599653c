package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// TestADatabaseThatTakesNoWritesIsNoticed has PostgreSQL refuse to write what a call wants, as it does when its disk is
// full: reading goes on, and the server says that it cannot work.
func TestADatabaseThatTakesNoWritesIsNoticed(t *testing.T) {
	var database string
	s := apptest.Start(t, func(c *app.Config) { database = c.DatabaseURL })
	beat := func() int {
		resp, err := http.Get(s.URL + "/__heartbeat__")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // nothing is read of it
		return resp.StatusCode
	}
	if code := beat(); code != http.StatusOK {
		t.Fatalf("at first the heartbeat says %d", code)
	}
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
	err = c.Call(t.Context(), "secrets", http.MethodPut, "/secret/full", nil, map[string]any{"secret": map[string]any{}, "expires": "2100-01-01T00:00:00Z"}, nil)
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk of the database is full") {
		t.Errorf("the call says: %v", err)
	}
	if code := beat(); code != http.StatusServiceUnavailable {
		t.Errorf("then the heartbeat says %d", code)
	}
}
