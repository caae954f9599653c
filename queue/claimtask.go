package queue

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// ClaimTask gives one pending run to a worker, wherever it stands in line (taskcluster-map 5.7); of req
// the worker's names count. The same worker's claim again, while it holds, gives the same claim; any
// other run that is not pending, and a task whose deadline has passed, is fault.Conflict.
func (q *Queue) ClaimTask(ctx context.Context, id string, runID int, req ClaimRequest) (Claim, error) {
	var (
		out Claim
		now time.Time
	)
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		run := r.run(runID)
		if run == nil {
			return noRun(id, runID)
		}
		if err := beforeDeadline(r, "claimed"); err != nil {
			return err
		}
		req.TaskQueueID = r.TaskQueueID
		if held, err := q.roster.Quarantined(ctx, req.worker()); err != nil || held {
			return cmp.Or(err, fault.New(fault.Conflict, "Worker %s/%s is in quarantine: it gets no work.", req.WorkerGroup, req.WorkerID))
		}
		again := run.State == task.Running && run.WorkerGroup == req.WorkerGroup && run.WorkerID == req.WorkerID && run.TakenUntil.After(r.now)
		if !again {
			if runID != len(r.Runs)-1 || run.State != task.Pending {
				return fault.New(fault.Conflict, "Run %d of task %s cannot be claimed: it is %s%s.", runID, id, run.State, because(run))
			}
			r.claim(req.WorkerGroup, req.WorkerID, takenUntil(r.now, q.deps.ClaimTimeout))
			if err := c.save(ctx, []*record{r}); err != nil {
				return err
			}
		}
		items, err := readItems(ctx, c.tx, itemsSQL, []string{id})
		if err != nil {
			return err
		}
		run, now = r.run(runID), r.now
		out = Claim{
			Status: r.Status, RunID: runID, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID,
			TakenUntil: *run.TakenUntil, Task: items[0].definition,
		}
		return nil
	})
	if err == nil {
		q.roster.Took(req.worker(), id, runID)
		err = q.sight(ctx, req)
	}
	if err != nil {
		return Claim{}, fmt.Errorf("queue: claim run %d of %s: %w", runID, id, err)
	}
	out.Credentials, err = q.runCredentials(id, out.Task.Scopes, out.Status.LastRun(), now)
	return out, err
}
