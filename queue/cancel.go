package queue

import (
	"context"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// Cancel resolves an unresolved task as exception/canceled; a resolved one stays as it is. After the
// deadline it is refused (taskcluster-map 5.4). Its worker learns of it at the next reclaim.
func (q *Queue) Cancel(ctx context.Context, id string) (task.Status, error) {
	return q.steer(ctx, id, "canceled", func(r *record) (bool, error) {
		if r.State.Resolved() {
			return false, nil
		}
		r.end(task.ReasonCanceled)
		return true, nil
	})
}

// Schedule makes an unscheduled task pending, whatever it depends on; any other task stays as it is.
// After the deadline it is refused.
func (q *Queue) Schedule(ctx context.Context, id string) (task.Status, error) {
	return q.steer(ctx, id, "scheduled", func(r *record) (bool, error) {
		if r.State != task.Unscheduled {
			return false, nil
		}
		r.schedule()
		return true, nil
	})
}

// Rerun gives a resolved or unscheduled task another run, whatever it depends on; a pending or running
// one stays as it is. It is refused after the deadline and when the task had MaxRuns runs.
func (q *Queue) Rerun(ctx context.Context, id string) (task.Status, error) {
	return q.steer(ctx, id, "rerun", func(r *record) (bool, error) {
		switch {
		case r.State == task.Pending || r.State == task.Running:
			return false, nil
		case len(r.Runs) >= MaxRuns:
			return false, fault.New(fault.Conflict, "Task %s cannot be rerun: it had %d runs, which is the most a task can have.", id, MaxRuns)
		}
		r.rerun()
		return true, nil
	})
}

// steer locks a task whose deadline has not passed, lets act change it, and returns its status.
func (q *Queue) steer(ctx context.Context, id, what string, act func(*record) (changed bool, err error)) (status task.Status, err error) {
	err = q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.oneToResolve(ctx, id)
		if err != nil {
			return err
		}
		if err := beforeDeadline(r, what); err != nil {
			return err
		}
		changed, err := act(r)
		if err != nil {
			return err
		}
		status = r.Status
		if !changed {
			return nil
		}
		defer func() { status = r.Status }()
		return c.save(ctx, []*record{r})
	})
	return status, err
}
