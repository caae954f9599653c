package workers

import (
	"context"
	"errors"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// report tells the queue; while the server is away it goes on trying as long as the run is ours.
// A refusal is final: somebody else decided, and the run is dropped.
func (r *run) report(result outcome) {
	for {
		err := r.reportOnce(&result)
		switch {
		case err == nil:
			return
		case r.ours.Err() != nil:
			r.slog.Warn("the outcome was not reported", "outcome", result.reason, "reason", context.Cause(r.ours))
			return
		case !away(err):
			r.slog.Warn("the queue refuses the outcome, the run is dropped", "outcome", result.reason, "error", err)
			return
		}
		r.slog.Warn("cannot report yet, trying again", "outcome", result.reason, "error", err)
		select {
		case <-r.ours.Done():
		case <-time.After(time.Second):
		}
	}
}

func (r *run) reportOnce(result *outcome) error {
	if r.rest != nil {
		if err := r.finish(result); err == nil || r.rest != nil {
			return err
		}
	}
	var err error
	c := r.lease.client()
	switch result.reason {
	case task.ReasonCompleted:
		_, err = c.ReportCompleted(r.ours, r.taskID, r.claim.RunID)
	case task.ReasonFailed:
		_, err = c.ReportFailed(r.ours, r.taskID, r.claim.RunID)
	default:
		_, err = c.ReportException(r.ours, r.taskID, r.claim.RunID, result.reason)
	}
	return err
}

// finish reports together with what is left to do of the log. A server that refuses that, or does not know the call, has
// it done by calls of its own; then nothing is left.
func (r *run) finish(result *outcome) error {
	_, err := r.lease.client().FinishRun(r.ours, r.taskID, r.claim.RunID, result.reason, r.rest.Artifacts)
	if err == nil || away(err) || r.ours.Err() != nil {
		return err
	}
	settled := r.rest.Settle(r.ours)
	if settled == nil && errors.Is(err, fault.NotFound) {
		r.w.apart.Store(true)
	}
	r.rest = nil
	if settled != nil {
		*result = r.withoutLog(*result, settled)
	}
	return err
}
