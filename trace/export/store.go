package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// row is a trace of which something is to be sent, claimed by this process.
type row struct {
	subject string
	since   time.Time
	fence   int64
	waits   int
}

// lease is how long a claim holds; another server takes the row then.
const lease = 5 * time.Minute

// want enters that spans of subjects that ended from some moments on are to be sent, in the transaction tx.
func want(ctx context.Context, tx pgx.Tx, subjects []string, since []time.Time, delay time.Duration) error {
	_, err := tx.Exec(ctx, wantSQL.Text, subjects, since, delay)
	return err
}

// claim takes the row that is due first; false when none is. It goes on when ctx ends: a claim whose answer nobody hears
// would hold the row until the lease is over.
func (e *Exporter) claim(ctx context.Context) (r row, found bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = e.Pool.QueryRow(ctx, claimSQL.Text, lease).Scan(&r.subject, &r.since, &r.fence, &r.waits)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("traces: %s: %w", claimSQL.Name, pg.Classify(err))
	}
	return r, true, nil
}

// settle removes a row that is done, unless something has happened since. What else is to be sent later is due after again.
func (e *Exporter) settle(ctx context.Context, r row, again time.Duration, from time.Time) error {
	if again > 0 {
		return e.change(ctx, r, laterSQL, from, again)
	}
	// Two statements: one would not see what is wanted while it waits for the row. Until the claim ends, next only fills.
	gone, err := e.Pool.Exec(ctx, doneSQL.Text, r.subject, r.fence)
	if err != nil {
		return fmt.Errorf("traces: settle %s: %w", r.subject, pg.Classify(err))
	}
	if gone.RowsAffected() > 0 {
		return nil
	}
	return e.change(ctx, r, nextSQL, e.Config.Delay)
}

// release gives a row back as it was.
func (e *Exporter) release(ctx context.Context, r row) error {
	return e.change(ctx, r, releaseSQL)
}

func (e *Exporter) change(ctx context.Context, r row, change pg.Statement, more ...any) error {
	if _, err := e.Pool.Exec(ctx, change.Text, append([]any{r.subject, r.fence}, more...)...); err != nil {
		return fmt.Errorf("traces: %s of %s: %w", change.Name, r.subject, pg.Classify(err))
	}
	return nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{wantSQL, claimSQL, doneSQL, nextSQL, laterSQL, releaseSQL}

var (
	wantSQL = pg.Statement{Name: "trace.want", Text: `
INSERT INTO trace_exports AS x (subject, since, due)
SELECT subject, min(since), clock_timestamp() + $3::interval FROM unnest($1::text[], $2::timestamptz[]) AS w (subject, since) GROUP BY subject ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET since = least(x.since, EXCLUDED.since), next = least(x.next, EXCLUDED.since), due = least(x.due, EXCLUDED.due), waits = 0`}

	claimSQL = pg.Statement{Name: "trace.claim", Text: `
UPDATE trace_exports SET leased_until = clock_timestamp() + $1::interval, fence = fence + 1, next = NULL
WHERE subject = (SELECT subject FROM trace_exports WHERE due <= clock_timestamp() AND leased_until <= clock_timestamp() ORDER BY due LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING subject, since, fence, waits`}

	doneSQL = pg.Statement{Name: "trace.done", Text: `
DELETE FROM trace_exports WHERE subject = $1 AND fence = $2 AND next IS NULL`}

	nextSQL = pg.Statement{Name: "trace.next", Text: `
UPDATE trace_exports SET since = next, next = NULL, leased_until = '-infinity', due = clock_timestamp() + $3::interval
WHERE subject = $1 AND fence = $2 AND next IS NOT NULL`}

	laterSQL = pg.Statement{Name: "trace.later", Text: `
UPDATE trace_exports SET since = least($3, next), next = NULL, leased_until = '-infinity', waits = waits + 1, due = clock_timestamp() + $4::interval
WHERE subject = $1 AND fence = $2`}

	releaseSQL = pg.Statement{Name: "trace.release", Text: `
UPDATE trace_exports SET leased_until = '-infinity' WHERE subject = $1 AND fence = $2`}
)
