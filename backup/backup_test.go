package backup

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatementsFitTheSchema(t *testing.T) {
	pgtest.PrepareAll(t, pgtest.DB(t), recordSQL, pruneSQL, lastSQL, listSQL, identitySQL, knownSQL, noteSQL, lockSQL, serversSQL, skipSQL)
}

func record(t *testing.T, pool *pgxpool.Pool, b Backup) Backup {
	t.Helper()
	b, err := Record(t.Context(), pool, b)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReports(t *testing.T) {
	pool := pgtest.DB(t)
	t.Run("of each kind the newest good one, and the newest", func(t *testing.T) {
		record(t, pool, Backup{Kind: Base, OK: true, By: "a", Size: 1})
		good := record(t, pool, Backup{Kind: Base, OK: true, By: "a", Size: 2, LSN: "0/1A2B"})
		dump := record(t, pool, Backup{Kind: Dump, OK: true, By: "a"})
		bad := record(t, pool, Backup{Kind: Base, By: "a", Note: "disk full"})
		last, err := Last(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		var ids []int64
		for _, b := range last {
			ids = append(ids, b.ID)
		}
		if len(ids) != 3 || ids[0] != bad.ID || ids[1] != dump.ID || ids[2] != good.ID || last[2].LSN != "0/1A2B" {
			t.Errorf("%+v", last)
		}
	})
	t.Run("old ones go, the last good one stays", func(t *testing.T) {
		if _, err := pool.Exec(t.Context(), "UPDATE backups SET finished = finished - interval '2 years'"); err != nil {
			t.Fatal(err)
		}
		record(t, pool, Backup{Kind: Base, By: "a"})
		all, err := List(t.Context(), pool, 100)
		if err != nil || len(all) != 3 { // the failed one, the good base, the good dump
			t.Errorf("%+v %v", all, err)
		}
	})
	t.Run("what cannot be is refused", func(t *testing.T) {
		for _, b := range []Backup{{Kind: "tape", By: "a"}, {Kind: Base}, {Kind: Base, By: "a", Size: -1}} {
			if _, err := Record(t.Context(), pool, b); !errors.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", b, err)
			}
		}
	})
}

func TestLineage(t *testing.T) {
	pool := pgtest.DB(t)
	ctx := t.Context()
	if _, err := Meet(ctx, pool); err != nil {
		t.Fatal(err)
	}
	l, err := Look(ctx, pool)
	if err != nil || l.Moved() || l.How != "first" || l.Is.Timeline < 1 {
		t.Fatalf("%+v %v", l, err)
	}
	t.Run("a database that was put back is told from what it was", func(t *testing.T) {
		if _, err := pool.Exec(ctx, "UPDATE backup_lineage SET timeline = timeline - 1"); err != nil {
			t.Fatal(err)
		}
		if l, err = Meet(ctx, pool); err != nil || !l.Moved() {
			t.Fatalf("%+v %v", l, err)
		}
	})
	t.Run("not while servers are connected", func(t *testing.T) {
		server, err := pool.Acquire(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer server.Release()
		if _, err := Restored(ctx, pool, Restore{By: "me"}); !errors.Is(err, fault.Conflict) {
			t.Errorf("%v", err)
		}
	})
	t.Run("numbers are passed over, once it is said", func(t *testing.T) {
		record(t, pool, Backup{Kind: Base, By: "a"})
		pool.Close()
		own, err := pg.Open(ctx, pool.Config().ConnString(), pg.MaxConns(2), pg.Application(Application))
		if err != nil {
			t.Fatal(err)
		}
		defer own.Close()
		waitAlone(t, own)
		if _, err := Restored(ctx, own, Restore{By: "me"}); err != nil {
			t.Fatal(err)
		}
		if b := record(t, own, Backup{Kind: Base, By: "a"}); b.ID <= skip {
			t.Errorf("number %d", b.ID)
		}
		if l, err := Look(ctx, own); err != nil || l.Moved() || l.How != "restored" || l.By != "me" {
			t.Errorf("%+v %v", l, err)
		}
	})
}

// waitAlone waits until the closed connections of a test's first pool are gone.
func waitAlone(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for deadline := time.After(time.Minute); ; {
		var n int
		if err := pool.QueryRow(t.Context(), serversSQL.Text).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%d connections stay", n)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
