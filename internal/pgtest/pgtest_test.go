package pgtest_test

import (
	"context"
	"testing"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestDB(t *testing.T) {
	t.Run("tests do not see each other's databases", func(t *testing.T) {
		a, b := pgtest.DB(t), pgtest.DB(t)
		if _, err := a.Exec(t.Context(), "CREATE TABLE mine (n int)"); err != nil {
			t.Fatal(err)
		}
		var there bool
		if err := b.QueryRow(t.Context(), "SELECT to_regclass('mine') IS NOT NULL").Scan(&there); err != nil || there {
			t.Errorf("the other database has the table: %v, %v", there, err)
		}
	})
	t.Run("the schema is the newest", func(t *testing.T) {
		versions, err := pg.Versions(t.Context(), pgtest.DB(t))
		if err != nil || len(versions) == 0 {
			t.Fatal(versions, err)
		}
		for _, v := range versions {
			if v.Applied == nil || v.Changed || !v.Known {
				t.Errorf("version %+v", v)
			}
		}
	})
	t.Run("an empty database has none", func(t *testing.T) {
		versions, err := pg.Versions(t.Context(), pgtest.Empty(t))
		if err != nil || len(versions) == 0 || versions[0].Applied != nil {
			t.Fatal(versions, err)
		}
	})
	t.Run("the database is gone after the test", func(t *testing.T) {
		var url string
		t.Run("test", func(t *testing.T) { url = pgtest.URL(t) })
		if pool, err := pg.Open(t.Context(), url); err == nil {
			pool.Close()
			t.Error("it still answers")
		}
	})
}

// recorder is a test that takes note of its failure instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()                  {}
func (r *recorder) Errorf(string, ...any)    { r.failed = true }
func (r *recorder) Context() context.Context { return r.TB.Context() }

func TestPrepareAll(t *testing.T) {
	pool := pgtest.DB(t)
	good := pg.Statement{Name: "a.good", Text: "SELECT 1 WHERE $1::int = 1"}
	for _, tt := range []struct {
		name       string
		statements []pg.Statement
		fails      bool
	}{
		{"statements that fit pass", []pg.Statement{good}, false},
		{"a missing table fails", []pg.Statement{{Name: "a.bad", Text: "SELECT * FROM missing"}}, true},
		{"a double name fails", []pg.Statement{good, good}, true},
		{"a missing name fails", []pg.Statement{{Text: "SELECT 1"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{TB: t}
			pgtest.PrepareAll(r, pool, tt.statements...)
			if r.failed != tt.fails {
				t.Errorf("failed = %v", r.failed)
			}
		})
	}
}

// BenchmarkDB measures what a test waits for its database.
func BenchmarkDB(b *testing.B) {
	for b.Loop() {
		pgtest.DB(b)
	}
}
