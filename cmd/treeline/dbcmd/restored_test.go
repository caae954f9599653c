package dbcmd

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// A database that moved, by a clean switch-over, is only written down as another one: numbers and the feed go on
// where they were, and servers may be connected already.
func TestADatabaseThatMovedWithNothingLost(t *testing.T) {
	url := pgtest.URL(t)
	t.Setenv("DATABASE_URL", url)
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(2)) // as a server has it
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	report := func() int64 {
		t.Helper()
		b, err := backup.Record(t.Context(), pool, backup.Backup{Kind: backup.Base, OK: true, By: "a test"})
		if err != nil {
			t.Fatal(err)
		}
		return b.ID
	}
	feed := func() (position int64) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), "SELECT position FROM event_checkpoint").Scan(&position); err != nil {
			t.Fatal(err)
		}
		return position
	}
	known := func(args ...string) (how string, moved bool) {
		t.Helper()
		out, _, err := runDB(t, append([]string{"restored", "--json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		var said struct {
			Moved   bool
			Lineage backup.Lineage
		}
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			t.Fatal(err)
		}
		return said.Lineage.How, said.Moved
	}
	if _, err := backup.Meet(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "UPDATE backup_lineage SET timeline = timeline + 1"); err != nil {
		t.Fatal(err)
	}
	first, at := report(), feed()
	out, _, err := runDB(t, "restored", "--check")
	if code, ok := errors.AsType[exit.Code](err); !ok || code != 1 || out == "" {
		t.Errorf("before, --check says %q, %v", out, err)
	}
	if _, _, err := runDB(t, "restored"); !errors.Is(err, fault.Conflict) {
		t.Errorf("without --nothing-lost while a server is connected: %v", err)
	}
	if how, moved := known("--nothing-lost"); how != "nothing-lost" || moved {
		t.Errorf("it is known as %q, moved: %v", how, moved)
	}
	if next := report(); next != first+1 {
		t.Errorf("the number after %d is %d", first, next)
	}
	if now := feed(); now != at {
		t.Errorf("the feed went from %d to %d", at, now)
	}
	if out, _, err := runDB(t, "restored", "--check"); err != nil || !strings.HasPrefix(out, "The database: ") {
		t.Errorf("afterwards, --check says %q, %v", out, err)
	}
	if l, err := backup.Meet(t.Context(), pool); err != nil || l.Moved() {
		t.Errorf("a server that starts is told %+v, %v", l, err)
	}
}
