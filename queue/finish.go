package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/task"
)

// FinishRun makes artifacts of a running run and resolves it, both or neither: what a worker has to say at the end
// of a short task, in one call. Otherwise each artifact is as CreateArtifact and FinishArtifact would make it, and
// the report as that of ReportCompleted, ReportFailed and ReportException. The same again is no error. What
// content was stored of a run that is not resolved stays in the object store until it expires.
func (q *Queue) FinishRun(ctx context.Context, id string, run int, reason task.ReasonResolved, list []WholeArtifact) (task.Status, error) {
	if reason != task.ReasonCompleted && reason != task.ReasonFailed && !reason.Reportable() {
		return task.Status{}, fault.New(fault.Invalid, "%q is no outcome that a worker can report", reason)
	}
	if err := artifact.CheckWhole(list); err != nil {
		return task.Status{}, err
	}
	project := func() (string, error) {
		status, err := q.Status(ctx, id)
		if err == nil && (run < 0 || run >= len(status.Runs) || status.Runs[run].State == task.Pending) {
			err = noRun(id, run)
		}
		return status.ProjectID, err
	}
	if err := q.Keep(ctx, id, run, list, project); err != nil {
		return task.Status{}, fmt.Errorf("queue: finish run %s/%d: %w", id, run, err)
	}
	return q.settled(ctx, report{id, run, reason, list, holder.Of(ctx)})
}

// settled reports; it looks for the content of artifacts of type s3 when the report waits for them.
func (q *Queue) settled(ctx context.Context, r report) (task.Status, error) {
	status, err := q.together.reports.Do(ctx, r)
	u, ok := errors.AsType[*artifact.NotUploaded](err)
	if !ok || !u.Puts() {
		return status, err
	}
	for i := range u.Uploads {
		if err := q.Settle(ctx, &u.Uploads[i]); err != nil {
			return task.Status{}, err
		}
	}
	return q.together.reports.Do(ctx, r)
}
