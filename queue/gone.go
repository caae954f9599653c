package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// WorkerGone resolves what a worker has claimed as worker-shutdown, which is retried while retries are
// left, so that nothing waits for the claims to expire: for whoever knows that the worker is no more,
// such as the worker itself, or the provider that has taken its machine away. taskQueueID "" means the
// worker's claims of every task queue. It returns the ids of the tasks. What the worker still reports
// of these runs is refused. Tasks past their deadline are left to EnforceDeadlines.
func (q *Queue) WorkerGone(ctx context.Context, taskQueueID, workerGroup, workerID string) (ids []string, err error) {
	has := func(r *record) bool {
		run := r.LastRun()
		return r.State == task.Running && run.WorkerGroup == workerGroup && run.WorkerID == workerID &&
			(taskQueueID == "" || r.TaskQueueID == taskQueueID) && r.Deadline.After(r.now)
	}
	ids = []string{}
	for after := ""; ; {
		var batch, given []string
		err := q.change(ctx, func(ctx context.Context, c *change) error {
			given = nil
			if batch, err = c.ids(ctx, claimsOfSQL, taskQueueID, workerGroup, workerID, after, expireBatch); err != nil || len(batch) == 0 {
				return err
			}
			records, err := c.lockToResolve(ctx, batch, nil)
			if err != nil {
				return err
			}
			var held []*record
			for _, r := range records {
				if has(r) {
					r.resolve(task.ReasonWorkerShutdown)
					held, given = append(held, r), append(given, r.TaskID)
				}
			}
			return c.save(ctx, held)
		})
		if err != nil {
			return ids, fmt.Errorf("queue: worker %s/%s is gone: %w", workerGroup, workerID, err)
		}
		if len(batch) == 0 {
			break
		}
		ids, after = append(ids, given...), batch[len(batch)-1]
	}
	if len(ids) > 0 {
		q.log.InfoContext(ctx, "a worker is gone, its tasks are given back", "workerGroup", workerGroup, "workerId", workerID, "tasks", len(ids))
	}
	return ids, nil
}

// GiveBack resolves claims that did not reach their worker, because its connection was lost, as
// WorkerGone does.
func (q *Queue) GiveBack(ctx context.Context, claims []Claim) error {
	for _, k := range claims {
		if _, err := q.ReportException(ctx, k.Status.TaskID, k.RunID, task.ReasonWorkerShutdown); err != nil {
			return fmt.Errorf("queue: give back %s: %w", k.Status.TaskID, err)
		}
	}
	return nil
}

// takeBack gives back what was claimed for a caller who left meanwhile.
func (q *Queue) takeBack(ctx context.Context, _ ClaimRequest, o offer) {
	if err := q.GiveBack(ctx, o.claims); err != nil {
		q.log.WarnContext(ctx, "claims that nobody took run until they expire", "tasks", len(o.claims), "error", err)
	}
}

var claimsOfSQL = pg.Statement{Name: "queue.claims-of", Text: `
SELECT task_id FROM claims
WHERE ($1 = '' OR task_queue_id = $1) AND worker_group = $2 AND worker_id = $3 AND task_id > $4
ORDER BY task_id LIMIT $5`}
