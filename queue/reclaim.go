package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/task"
)

// Reclaimed is a claim that was renewed.
type Reclaimed struct {
	Status      task.Status `json:"status"`
	RunID       int         `json:"runId"`
	WorkerGroup string      `json:"workerGroup"`
	WorkerID    string      `json:"workerId"`
	TakenUntil  task.Time   `json:"takenUntil"`
	Credentials Credentials `json:"credentials"`
}

// Reclaim renews a claim and returns fresh credentials. A run that is not running any more (canceled,
// expired, resolved) and a task whose deadline has passed are fault.Conflict: the worker must stop.
func (q *Queue) Reclaim(ctx context.Context, id string, runID int) (Reclaimed, error) {
	var (
		out    Reclaimed
		now    time.Time
		run    task.Run
		scopes []string
	)
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		if r.run(runID) == nil {
			return noRun(id, runID)
		}
		if err := holder.Of(ctx).Check(id, r.run(runID)); err != nil {
			return err
		}
		if err := beforeDeadline(r, "reclaimed"); err != nil {
			return err
		}
		if at := r.run(runID); runID != len(r.Runs)-1 || at.State != task.Running {
			return fault.New(fault.Conflict, "Run %d of task %s cannot be reclaimed: it is %s%s.", runID, id, at.State, because(at))
		}
		r.reclaim(takenUntil(r.now, q.deps.ClaimTimeout))
		if err := c.save(ctx, []*record{r}); err != nil {
			return err
		}
		items, err := readItems(ctx, c.tx, itemsSQL, []string{id})
		if err != nil {
			return err
		}
		run, now, scopes = *r.LastRun(), r.now, items[0].definition.Scopes
		out = Reclaimed{Status: r.Status, RunID: runID, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID, TakenUntil: *run.TakenUntil}
		return nil
	})
	if err != nil {
		return Reclaimed{}, fmt.Errorf("queue: reclaim run %d of %s: %w", runID, id, err)
	}
	out.Credentials, err = q.runCredentials(id, scopes, &run, now)
	return out, err
}
