package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// PendingTask is a task that waits for a worker.
type PendingTask struct {
	TaskID   string          `json:"taskId"`
	RunID    int             `json:"runId"`
	Task     task.Definition `json:"task"`
	Inserted task.Time       `json:"inserted"` // when it became pending

	rank int
	seq  int64
}

// PendingPage is a page of the pending tasks of a task queue, in the order of its line.
type PendingPage struct {
	Tasks []PendingTask `json:"tasks"`
	Next  string        `json:"continuationToken,omitempty"`
}

// PendingTasks lists the pending tasks of a task queue in the order of the line; it pages like
// ListGroup. Tasks move while it is read: a page shows those that are pending when it is.
func (q *Queue) PendingTasks(ctx context.Context, taskQueueID string, limit int, token string) (PendingPage, error) {
	rank, seq := 0, int64(0)
	if err := paging.Read(token, &rank, &seq); err != nil {
		return PendingPage{}, err
	}
	after := &rank
	if token == "" {
		after = nil
	}
	limit = paging.Size(limit)
	rows, err := q.deps.Pool.Query(ctx, pendingTasksSQL.Text, taskQueueID, after, seq, limit+1)
	if err != nil {
		return PendingPage{}, fmt.Errorf("queue: %s: %w", pendingTasksSQL.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t PendingTask, err error) {
		err = row.Scan(&t.TaskID, &t.RunID, &t.Inserted.Time, &t.rank, &t.seq)
		t.Inserted = task.At(t.Inserted.Time)
		return t, err
	})
	if err != nil {
		return PendingPage{}, fmt.Errorf("queue: %s: %w", pendingTasksSQL.Name, pg.Classify(err))
	}
	page := PendingPage{Tasks: []PendingTask{}}
	list, page.Next, err = paging.Cut(list, limit, func(t PendingTask) []any { return []any{t.rank, t.seq} })
	if err != nil {
		return PendingPage{}, err
	}
	definitions, err := q.definitions(ctx, len(list), func(i int) string { return list[i].TaskID })
	for _, t := range list {
		if d, ok := definitions[t.TaskID]; ok {
			t.Task = d
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, err
}

// ClaimedTask is a task that a worker has.
type ClaimedTask struct {
	TaskID      string          `json:"taskId"`
	RunID       int             `json:"runId"`
	WorkerGroup string          `json:"workerGroup"`
	WorkerID    string          `json:"workerId"`
	Claimed     task.Time       `json:"claimed"`
	Task        task.Definition `json:"task"`

	micros int64
}

// ClaimedPage is a page of the claimed tasks of a task queue.
type ClaimedPage struct {
	Tasks []ClaimedTask `json:"tasks"`
	Next  string        `json:"continuationToken,omitempty"`
}

// ClaimedTasks lists the claimed tasks of a task queue, those claimed first at the front; it pages like
// PendingTasks.
func (q *Queue) ClaimedTasks(ctx context.Context, taskQueueID string, limit int, token string) (ClaimedPage, error) {
	var (
		micros int64
		id     string
	)
	if err := paging.Read(token, &micros, &id); err != nil {
		return ClaimedPage{}, err
	}
	limit = paging.Size(limit)
	rows, err := q.deps.Pool.Query(ctx, claimedTasksSQL.Text, taskQueueID, micros, id, limit+1)
	if err != nil {
		return ClaimedPage{}, fmt.Errorf("queue: %s: %w", claimedTasksSQL.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t ClaimedTask, err error) {
		err = row.Scan(&t.TaskID, &t.RunID, &t.WorkerGroup, &t.WorkerID, &t.micros)
		t.Claimed = task.At(time.UnixMicro(t.micros))
		return t, err
	})
	if err != nil {
		return ClaimedPage{}, fmt.Errorf("queue: %s: %w", claimedTasksSQL.Name, pg.Classify(err))
	}
	page := ClaimedPage{Tasks: []ClaimedTask{}}
	list, page.Next, err = paging.Cut(list, limit, func(t ClaimedTask) []any { return []any{t.micros, t.TaskID} })
	if err != nil {
		return ClaimedPage{}, err
	}
	definitions, err := q.definitions(ctx, len(list), func(i int) string { return list[i].TaskID })
	for _, t := range list {
		if d, ok := definitions[t.TaskID]; ok {
			t.Task = d
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, err
}

// definitions returns those of n tasks that there are.
func (q *Queue) definitions(ctx context.Context, n int, id func(int) string) (map[string]task.Definition, error) {
	if n == 0 {
		return nil, nil
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = id(i)
	}
	_, definitions, err := readItems(ctx, q.deps.Pool, itemsSQL, ids)
	return definitions, err
}

var (
	// $2 is the rank that the last page ended with, null for the first page.
	pendingTasksSQL = pg.Statement{Name: "queue.pending-tasks", Text: `
SELECT task_id, run_id, inserted, priority, seq FROM pending
WHERE task_queue_id = $1 AND ($2::smallint IS NULL OR priority < $2 OR priority = $2 AND seq > $3::bigint)
ORDER BY priority DESC, seq LIMIT $4`}

	claimedTasksSQL = pg.Statement{Name: "queue.claimed-tasks", Text: `
SELECT task_id, run_id, worker_group, worker_id, micros FROM (
    SELECT *, (extract(epoch FROM claimed) * 1000000)::bigint AS micros FROM claims WHERE task_queue_id = $1) c
WHERE (micros, task_id) > ($2, $3)
ORDER BY micros, task_id LIMIT $4`}
)
