// Package counts counts tasks: those of task groups, and the work of task queues. It only reads.
package counts

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Counts says how many tasks are in each state; states without a task are missing.
type Counts map[task.State]int

// Load says how much work a task queue holds.
type Load struct {
	PendingTasks int `json:"pendingTasks"`
	ClaimedTasks int `json:"claimedTasks"`
}

// OfGroups counts the tasks of each group by state. Groups without tasks have empty counts.
func OfGroups(ctx context.Context, pool *pgxpool.Pool, ids []string) (map[string]Counts, error) {
	out := make(map[string]Counts, len(ids))
	for _, id := range ids {
		out[id] = Counts{}
	}
	rows, err := pool.Query(ctx, groupsSQL.Text, ids)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", groupsSQL.Name, pg.Classify(err))
	}
	var (
		id    string
		state task.State
		count int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &state, &count}, func() error {
		out[id][state] = count
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", groupsSQL.Name, pg.Classify(err))
	}
	return out, nil
}

// OfQueue counts a task queue's pending and claimed tasks. A task queue that was never used has none of
// either.
func OfQueue(ctx context.Context, pool *pgxpool.Pool, taskQueueID string) (Load, error) {
	var l Load
	if err := pool.QueryRow(ctx, queueSQL.Text, taskQueueID).Scan(&l.PendingTasks, &l.ClaimedTasks); err != nil {
		return Load{}, fmt.Errorf("queue: counts of %s: %w", taskQueueID, pg.Classify(err))
	}
	return l, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{groupsSQL, queueSQL}

var (
	groupsSQL = pg.Statement{Name: "queue.group-counts", Text: `
SELECT task_group_id, state, count(*)::int FROM tasks WHERE task_group_id = ANY($1) GROUP BY task_group_id, state`}

	queueSQL = pg.Statement{Name: "queue.queue-counts", Text: `
SELECT (SELECT count(*)::int FROM pending WHERE task_queue_id = $1), (SELECT count(*)::int FROM claims WHERE task_queue_id = $1)`}
)
