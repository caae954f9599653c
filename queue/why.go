package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Why says what an unresolved task waits for.
type Why struct {
	Status task.Status
	// Unmet are the dependencies that hold an unscheduled task, at most maxUnmet of UnmetCount.
	Unmet      []Unmet
	UnmetCount int
	// Place in the line of the task queue of a pending task: 1 is next. Ahead of it are those with a
	// higher priority, and older ones with the same.
	Place int
	// Pending and Claimed count the tasks of the same task queue.
	Pending, Claimed int
	// Workers were seen asking for this task queue's work lately, the latest first.
	Workers []Worker
}

// Unmet is a dependency that is not satisfied.
type Unmet struct {
	TaskID   string
	State    task.State // "" when the task has expired: it will never be satisfied
	Requires task.Requires
}

// Worker is one that asked for work.
type Worker struct {
	WorkerGroup, WorkerID string
	LastActive            time.Time
}

const maxUnmet = 100

// WhyPending says why a task does not run yet. For a running or resolved one there is nothing to say
// but its status.
func (q *Queue) WhyPending(ctx context.Context, id string) (Why, error) {
	status, err := q.Status(ctx, id)
	if err != nil {
		return Why{}, err
	}
	w := Why{Status: status}
	switch status.State {
	case task.Unscheduled:
		err = q.readUnmet(ctx, &w)
	case task.Pending:
		err = q.readLine(ctx, &w)
	}
	if err != nil {
		return Why{}, fmt.Errorf("queue: why pending %s: %w", id, pg.Classify(err))
	}
	return w, nil
}

func (q *Queue) readUnmet(ctx context.Context, w *Why) error {
	if err := q.deps.Pool.QueryRow(ctx, unmetCountSQL.Text, w.Status.TaskID).Scan(&w.UnmetCount); err != nil {
		return err
	}
	rows, err := q.deps.Pool.Query(ctx, unmetSQL.Text, w.Status.TaskID, maxUnmet)
	if err != nil {
		return err
	}
	w.Unmet, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Unmet])
	return err
}

func (q *Queue) readLine(ctx context.Context, w *Why) error {
	queue := w.Status.TaskQueueID
	err := q.deps.Pool.QueryRow(ctx, placeSQL.Text, w.Status.TaskID).Scan(&w.Place)
	if err != nil {
		return err
	}
	counts, err := q.PendingCounts(ctx, queue)
	if err != nil {
		return err
	}
	w.Pending, w.Claimed = counts.PendingTasks, counts.ClaimedTasks
	rows, err := q.deps.Pool.Query(ctx, workersSQL.Text, queue, maxUnmet)
	if err != nil {
		return err
	}
	w.Workers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Worker])
	return err
}

var (
	unmetCountSQL = pg.Statement{Name: "queue.unmet-count", Text: `SELECT count(*) FROM dependencies WHERE task_id = $1 AND NOT satisfied`}

	unmetSQL = pg.Statement{Name: "queue.unmet", Text: `
SELECT d.required_id, coalesce(t.state, ''), d.requires
FROM dependencies d LEFT JOIN tasks t ON t.task_id = d.required_id
WHERE d.task_id = $1 AND NOT d.satisfied ORDER BY d.required_id LIMIT $2`}

	// A task that was claimed meanwhile has place 0.
	placeSQL = pg.Statement{Name: "queue.place", Text: `
SELECT count(*) FROM pending me JOIN pending p USING (task_queue_id)
WHERE me.task_id = $1 AND (p.priority > me.priority OR p.priority = me.priority AND p.seq <= me.seq)`}

	workersSQL = pg.Statement{Name: "queue.workers", Text: `
SELECT worker_group, worker_id, last_active FROM queue_workers
WHERE task_queue_id = $1 AND last_active > now() - interval '1 hour' ORDER BY last_active DESC LIMIT $2`}
)
