package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// satisfy adds to a batch the statement that marks the dependencies which the resolved tasks satisfy;
// the dependents are noted for release.
func (c *change) satisfy(batch *pgx.Batch, resolved []*record) {
	ids, completed := make([]string, len(resolved)), make([]string, 0, len(resolved))
	for i, r := range resolved {
		ids[i] = r.TaskID
		if r.State == task.Completed {
			completed = append(completed, r.TaskID)
		}
	}
	batch.Queue(satisfySQL.Text, ids, completed).Query(func(rows pgx.Rows) (err error) {
		c.met, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
}

// release schedules each dependent that waits for nothing more (taskcluster-map 5.6), of those with a
// dependency that was just satisfied. Every one is judged for itself.
func (c *change) release(ctx context.Context) error {
	dependents := c.met
	c.met = nil
	if len(dependents) == 0 {
		return nil
	}
	// Those that were created after the look for dependents are not locked yet.
	late := make([]string, 0)
	for _, id := range dependents {
		if !c.locked[id] {
			late = append(late, id)
		}
	}
	if len(late) > 0 {
		if _, err := c.ids(ctx, lockSQL, late); err != nil {
			return err
		}
		for _, id := range late {
			c.locked[id] = true
		}
	}
	// A statement of its own: its snapshot shows the satisfied marks of transactions that the locks
	// waited for.
	ready, err := readRecords(ctx, c.tx, readySQL, dependents)
	if err != nil {
		return err
	}
	for _, r := range ready {
		r.schedule()
	}
	return c.save(ctx, ready)
}

// ids runs a statement that yields task ids.
func (c *change) ids(ctx context.Context, s pg.Statement, args ...any) ([]string, error) {
	rows, err := c.tx.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
	}
	return ids, nil
}

var (
	// The ids stand in the condition itself, not in a join: so the planner knows of each how many depend
	// on it, and one big fan in the table does not make it read all of it for every task.
	satisfySQL = pg.Statement{Name: "queue.satisfy", Text: `
WITH met AS (
    UPDATE dependencies d SET satisfied = true
    WHERE d.required_id = ANY($1::text[]) AND NOT d.satisfied
      AND (d.requires = 'all-resolved' OR d.required_id = ANY($2::text[]))
    RETURNING d.task_id)
SELECT DISTINCT task_id FROM met`}

	readySQL = pg.Statement{Name: "queue.ready", Text: `
SELECT ` + recordColumns + `
FROM tasks t ` + recordTables + `
WHERE t.task_id = ANY($1) AND t.state = 'unscheduled'
  AND NOT EXISTS (SELECT FROM dependencies w WHERE w.task_id = t.task_id AND NOT w.satisfied)
ORDER BY t.task_id, r.run_id`}
)
