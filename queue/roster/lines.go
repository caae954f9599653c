package roster

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// Waiting is a run that waits in the line of its task queue.
type Waiting struct {
	Run
	Inserted task.Time `json:"inserted"` // when it became pending

	rank int
	seq  int64
}

// Waiting lists the pending runs of a task queue in the order of its line; it pages like TaskQueues.
// Runs come and go while it is read: a page shows those that are pending when it is.
func (r *Roster) Waiting(ctx context.Context, taskQueueID string, limit int, token string) (list []Waiting, next string, err error) {
	rank, seq := 0, int64(0)
	if err := paging.Read(token, &rank, &seq); err != nil {
		return nil, "", err
	}
	after := &rank
	if token == "" {
		after = nil
	}
	limit = paging.Size(limit)
	list, err = rows(ctx, r, waitingSQL, func(row pgx.CollectableRow) (w Waiting, err error) {
		err = row.Scan(&w.TaskID, &w.RunID, &w.Inserted.Time, &w.rank, &w.seq)
		w.Inserted = task.At(w.Inserted.Time)
		return w, err
	}, taskQueueID, after, seq, limit+1)
	if err != nil {
		return nil, "", err
	}
	return paging.Cut(list, limit, func(w Waiting) []any { return []any{w.rank, w.seq} })
}

// Working is a run that a worker has claimed.
type Working struct {
	Run
	WorkerGroup string    `json:"workerGroup"`
	WorkerID    string    `json:"workerId"`
	Claimed     task.Time `json:"claimed"`

	micros int64
}

// Working lists the claimed runs of a task queue, those claimed first at the front; it pages like
// Waiting.
func (r *Roster) Working(ctx context.Context, taskQueueID string, limit int, token string) (list []Working, next string, err error) {
	var (
		micros int64
		id     string
	)
	if err := paging.Read(token, &micros, &id); err != nil {
		return nil, "", err
	}
	limit = paging.Size(limit)
	list, err = rows(ctx, r, workingSQL, func(row pgx.CollectableRow) (w Working, err error) {
		err = row.Scan(&w.TaskID, &w.RunID, &w.WorkerGroup, &w.WorkerID, &w.micros)
		w.Claimed = task.At(time.UnixMicro(w.micros))
		return w, err
	}, taskQueueID, micros, id, limit+1)
	if err != nil {
		return nil, "", err
	}
	return paging.Cut(list, limit, func(w Working) []any { return []any{w.micros, w.TaskID} })
}

// rows reads what a statement yields.
func rows[T any](ctx context.Context, r *Roster, s pg.Statement, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	found, err := r.pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(found, scan)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return list, nil
}

var (
	// $2 is the rank that the last page ended with, null for the first page.
	waitingSQL = pg.Statement{Name: "queue.waiting", Text: `
SELECT task_id, run_id, inserted, priority, seq FROM pending
WHERE task_queue_id = $1 AND ($2::smallint IS NULL OR priority < $2 OR priority = $2 AND seq > $3::bigint)
ORDER BY priority DESC, seq LIMIT $4`}

	workingSQL = pg.Statement{Name: "queue.working", Text: `
SELECT task_id, run_id, worker_group, worker_id, micros FROM (
    SELECT *, (extract(epoch FROM claimed) * 1000000)::bigint AS micros FROM claims WHERE task_queue_id = $1) c
WHERE (micros, task_id) > ($2, $3)
ORDER BY micros, task_id LIMIT $4`}
)
