package queuetest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Fail makes one of n tasks of a database a failed one, always the same. It writes the tables by hand, since going
// through ten thousand claims would take a test's time for nothing; no event tells of it.
func Fail(t testing.TB, pool *pgxpool.Pool, n int) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE runs SET state = 'failed', reason_resolved = 'failed', started = scheduled, resolved = scheduled WHERE abs(hashtext(task_id)) % $1 = 0`,
		`UPDATE tasks SET state = 'failed', ever_resolved = true WHERE abs(hashtext(task_id)) % $1 = 0`,
	} {
		if _, err := pool.Exec(t.Context(), sql, n); err != nil {
			t.Fatal(err)
		}
	}
}
