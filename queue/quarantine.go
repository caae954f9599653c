package queue

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/drain"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/queue/roster"
)

func (req ClaimRequest) worker() roster.Key {
	return roster.Key{TaskQueueID: req.TaskQueueID, WorkerGroup: req.WorkerGroup, WorkerID: req.WorkerID}
}

// sight notes that a worker asked for work.
func (q *Queue) sight(ctx context.Context, req ClaimRequest) error {
	return q.roster.Saw(ctx, req.worker())
}

// standAside lets the wait of a worker in quarantine pass, out of line; what may have woken it is passed
// on.
func (q *Queue) standAside(ctx context.Context, taskQueueID string, w *line.Waiter, timeout *time.Timer, err error) error {
	q.waiters.Leave(taskQueueID, w)
	q.waiters.Wake(taskQueueID, 1)
	if err != nil {
		return waitOver(ctx, err)
	}
	select {
	case <-timeout.C:
	case <-drain.Begun(ctx):
	case <-ctx.Done():
	}
	return nil
}
