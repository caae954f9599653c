package soaktest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/queue/soaktest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), soaktest.Statements...) }

// TestCutsAreBetweenMessages cuts a transaction with one INSERT at each of its messages, and looks
// at what the database has: the row is there exactly when the COMMIT was sent.
func TestCutsAreBetweenMessages(t *testing.T) {
	wire := &soaktest.Wire{}
	url := pgtest.URL(t)
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(2), wire.Option())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(t.Context(), "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	insert := func(n int) error {
		return pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO kept VALUES ($1)", n)
			return err
		})
	}
	for _, cut := range []soaktest.Cut{soaktest.Before, soaktest.Unanswered} {
		for at := 1; ; at++ {
			var seen []soaktest.Message
			wire.Plan(func(m soaktest.Message) soaktest.Cut {
				if seen = append(seen, m); len(seen) == at {
					return cut
				}
				return soaktest.Pass
			})
			value := 100*int(cut) + at
			failed := insert(value)
			wire.Plan(nil)
			var there int
			if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM kept WHERE n = $1", value).Scan(&there); err != nil {
				t.Fatal(err)
			}
			if len(seen) < at {
				if failed != nil || there != 1 {
					t.Errorf("uncut: %v, %d rows", failed, there)
				}
				break
			}
			if !errors.Is(failed, fault.Unavailable) {
				t.Errorf("cut at message %d (%c %s): %v", at, seen[at-1].Kind, seen[at-1].SQL, failed)
			}
			want := 0
			if cut == soaktest.Unanswered && seen[at-1].Commits() {
				want = 1
			}
			if there != want {
				t.Errorf("cut %d at message %d (%c %s): %d rows, want %d", cut, at, seen[at-1].Kind, seen[at-1].SQL, there, want)
			}
		}
	}
	kinds := ""
	wire.Plan(func(m soaktest.Message) soaktest.Cut {
		kinds += fmt.Sprintf("%c", m.Kind)
		return soaktest.Pass
	})
	if err := insert(0); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("QBDESQ", kinds); diff != "" {
		t.Errorf("the messages of a transaction with one prepared statement: %s", diff)
	}
}
