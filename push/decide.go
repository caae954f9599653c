package push

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Undecided takes up to limit pushes in state Received for lease: until then no other replica
// gets them. A push whose decision was interrupted comes again after the lease; attempts says how
// often it was taken.
func (l *Log) Undecided(ctx context.Context, lease time.Duration, limit int) ([]Push, error) {
	return l.query(ctx, "undecided", undecidedSQL, lease.Seconds(), limit)
}

// Outcome is what became of a push.
type Outcome struct {
	State       State
	TaskGroupID string // "" leaves what is recorded
	NoGroup     bool   // forgets a recorded group, whose tasks could not be made
	Error       *Error
}

// SetOutcome records what became of a push and appends a push-changed event. It is idempotent,
// and a push that is Decided or Failed does not go back to Received or Deciding.
func (l *Log) SetOutcome(ctx context.Context, repository string, id int64, o Outcome) error {
	o.Error = o.Error.clean()
	changed := false
	err := pg.Tx(ctx, l.pool, func(ctx context.Context, tx pgx.Tx) error {
		changed = false
		rows, err := tx.Query(ctx, setOutcomeSQL.Text, repository, id, o.State, o.TaskGroupID, o.Error, o.NoGroup)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Push])
		if err != nil || len(list) == 0 {
			return err
		}
		changed = true
		return appendEvent(ctx, tx, "push-changed", list[0])
	})
	if err != nil {
		return fmt.Errorf("push: outcome of %s %d: %w", repository, id, err)
	}
	if changed {
		l.wake()
	}
	return nil
}

var (
	undecidedSQL = pg.Statement{Name: "push.undecided", Text: `
		UPDATE pushes SET attempts = attempts + 1, retry_after = clock_timestamp() + make_interval(secs => $1)
		WHERE (repository, id) IN (
			SELECT repository, id FROM pushes WHERE state = 'received' AND retry_after <= clock_timestamp()
			ORDER BY pushed, id LIMIT $2 FOR UPDATE SKIP LOCKED)
		RETURNING ` + columns}

	setOutcomeSQL = pg.Statement{Name: "push.set-outcome", Text: `
		UPDATE pushes SET state = $3::text, error = $5::jsonb,
			task_group_id = CASE WHEN $6::bool THEN '' WHEN $4::text = '' THEN task_group_id ELSE $4 END,
			decision_millis = CASE WHEN $3 IN ('decided', 'failed') AND decision_millis = 0
				THEN ceil(extract(epoch FROM clock_timestamp() - pushed) * 1000)::bigint ELSE decision_millis END
		WHERE repository = $1 AND id = $2
			AND (state, error, task_group_id) IS DISTINCT FROM
				($3, $5::jsonb, CASE WHEN $6 THEN '' WHEN $4 = '' THEN task_group_id ELSE $4 END)
			AND NOT (state IN ('decided', 'failed') AND $3 = 'deciding')
			AND NOT (state <> 'received' AND $3 = 'received')
		RETURNING ` + columns}
)
