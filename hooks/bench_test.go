package hooks_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

const manyHooks = 10_000

// many makes 10,000 hooks of which none is due.
func many(t testing.TB) (*hooks.Hooks, *pgxpool.Pool) {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	pool := pgtest.DB(t)
	h := hooks.New(hooks.Deps{Pool: pool, Ring: ring, Log: slog.New(slog.DiscardHandler), Create: func(context.Context, hooks.Creation) error { return nil }})
	one := hook("h-1", daily)
	one.Task = json.RawMessage(strings.Replace(template, `"d"`, `"`+strings.Repeat("x", 2000)+`"`, 1))
	if _, err := h.Create(t.Context(), "ada", one); err != nil {
		t.Fatal(err)
	}
	_, err = pool.Exec(t.Context(), `INSERT INTO hook_definitions
		SELECT hook_group_id, 'h-' || n, metadata, schedule, bindings, task, trigger_schema, sealed_trigger_token, sealed_next_task_id, next_date + n * interval '1 second', due + n * interval '1 second'
		FROM hook_definitions, generate_series(2, $1::int) n`, manyHooks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `VACUUM ANALYZE hook_definitions`); err != nil {
		t.Fatal(err)
	}
	return h, pool
}

func TestARoundLooksAtWhatIsDueOnly(t *testing.T) {
	_, pool := many(t)
	for _, s := range hooks.Statements() {
		if s.Name != "hooks.claim" && s.Name != "hooks.until_due" {
			continue
		}
		args := []any{}
		if s.Name == "hooks.claim" {
			args = []any{100, 2 * time.Minute}
		}
		rows, err := pool.Query(t.Context(), "EXPLAIN (ANALYZE, TIMING OFF) "+s.Text, args...)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if plan := strings.Join(lines, "\n"); !strings.Contains(plan, "hook_definitions_due") || strings.Contains(plan, "Seq Scan on hook_definitions") {
			t.Errorf("%s reads the whole table:\n%s", s.Name, plan)
		}
	}
}

// BenchmarkRound measures a round of the scheduler over 10,000 hooks: one when nothing is due, and one
// that fires 100.
func BenchmarkRound(b *testing.B) {
	b.Run("idle", func(b *testing.B) {
		h, _ := many(b)
		for b.Loop() {
			if n, _, err := h.Round(b.Context()); n != 0 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("fires=100", func(b *testing.B) {
		h, pool := many(b)
		for b.Loop() {
			b.StopTimer()
			if _, err := pool.Exec(b.Context(), `WITH few AS (SELECT hook_id AS i FROM hook_definitions ORDER BY due DESC LIMIT 100)
				UPDATE hook_definitions SET next_date = now() - interval '1 second', due = now() - interval '1 second' FROM few WHERE hook_id = i`); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			if n, _, err := h.Round(b.Context()); n != 100 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
}
