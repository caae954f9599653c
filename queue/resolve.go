// The seventh page of the newcomer's reading list: a run ends, its dependents become pending, its
// index entries are written. Before it comes taskgraph/generate.go; the way home is
// app/intake/report.go.

package queue

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// ReportCompleted resolves a running run as completed. The same report again is no error; a run that
// ended otherwise, or is not the last any more, is fault.Conflict (taskcluster-map 5.4). So is one with
// an upload that is not finished: who waits for the task would miss an artifact. The other reports,
// and what ends by time, are taken then too: a worker that cannot upload has a way out.
func (q *Queue) ReportCompleted(ctx context.Context, id string, run int) (task.Status, error) {
	status, err := q.report(ctx, id, run, task.ReasonCompleted)
	if u, ok := errors.AsType[*unfinished](err); ok && u.puts() {
		if err := q.settleAll(ctx, u.uploads); err != nil {
			return task.Status{}, err
		}
		status, err = q.report(ctx, id, run, task.ReasonCompleted)
	}
	return status, err
}

// ReportFailed resolves a running run as failed; see ReportCompleted.
func (q *Queue) ReportFailed(ctx context.Context, id string, run int) (task.Status, error) {
	return q.report(ctx, id, run, task.ReasonFailed)
}

// ReportException resolves a running run as exception for a reason that workers may give. Some
// reasons make the queue retry the task, and then the status shows the next run already.
func (q *Queue) ReportException(ctx context.Context, id string, run int, reason task.ReasonResolved) (task.Status, error) {
	if !reason.Reportable() {
		return task.Status{}, fault.New(fault.Invalid, "%q is no reason that a worker can report", reason)
	}
	return q.report(ctx, id, run, reason)
}

func (q *Queue) report(ctx context.Context, id string, runID int, reason task.ReasonResolved) (status task.Status, err error) {
	err = q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.oneToResolve(ctx, reason == task.ReasonCompleted, id)
		if err != nil {
			return err
		}
		run := r.run(runID)
		if run == nil {
			return noRun(id, runID)
		}
		status = r.Status
		if reported(r, run, reason) {
			return nil
		}
		if runID != len(r.Runs)-1 || run.State != task.Running {
			return fault.New(fault.Conflict,
				"Run %d of task %s cannot be resolved as %s: it is not the running last run any more. It is %s%s, and the task is %s.",
				runID, id, reason, run.State, because(run), r.State)
		}
		if reason == task.ReasonCompleted {
			if err := c.uploaded(ctx, id, runID); err != nil {
				return err
			}
		}
		r.resolve(reason)
		status = r.Status
		return c.save(ctx, []*record{r})
	})
	return status, err
}

// reported tells whether the run ended with this very report before: it is the last one, or the one
// before the run that the report made pending.
func reported(r *record, run *task.Run, reason task.ReasonResolved) bool {
	if run.ReasonResolved != reason {
		return false
	}
	last := len(r.Runs) - 1
	return run.RunID == last || reason.State() == task.Exception && run.RunID == last-1
}

func because(run *task.Run) string {
	if run.ReasonResolved == "" {
		return ""
	}
	return "/" + string(run.ReasonResolved)
}
