// A native decision: the decision task of a push, done in the server. Before it comes
// queue/claim.go; it calls taskgraph/generate.go and gives the graph to queue/create.go.

package intake

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// decisionQueue is the task queue whose tasks the server does itself.
const decisionQueue = "built-in/decision"

const (
	decisionTimeout = 5 * time.Minute // a graph that takes longer than this is refused
	claimPause      = time.Second     // after a claim that failed
)

// takeDecisions claims decision tasks and does them, until ctx ends.
func (in *Intake) takeDecisions(ctx context.Context) {
	for ctx.Err() == nil {
		claims, err := in.Queue.Claim(ctx, queue.ClaimRequest{
			TaskQueueID: decisionQueue, WorkerGroup: "built-in", WorkerID: "decision", Tasks: 1, Wait: queue.MaxWait,
		})
		if err != nil && ctx.Err() == nil {
			in.Log.ErrorContext(ctx, "claim decision tasks; tried again soon", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(claimPause):
			}
		}
		for _, c := range claims {
			if err := in.decideClaim(ctx, c); err != nil && ctx.Err() == nil {
				in.Log.ErrorContext(ctx, "decision; it is tried again", "task", c.Status.TaskID, "run", c.RunID, "err", err)
			}
		}
	}
}

// decideClaim does one decision task and reports it. What is wrong with the tree fails the task and
// is recorded with its push; an error returned is ours, and the task is given back to be tried again.
func (in *Intake) decideClaim(ctx context.Context, c queue.Claim) error {
	ctx = stamp.With(stamp.With(ctx, stamp.Group, c.Task.TaskGroupID), stamp.Task, c.Status.TaskID)
	d := &nativeDecision{Intake: in, claim: c, began: time.Now()}
	held, release := in.hold(ctx, c)
	defer release()
	err := d.do(held)
	ctx = d.push.Mark(ctx)
	wrong, isMistake := errors.AsType[*mistakeError](err)
	switch {
	case ctx.Err() != nil: // the server stops
		return in.giveUp(context.WithoutCancel(ctx), c)
	case held.Err() != nil: // canceled, or somebody else's by now
		return nil
	case isMistake:
		return d.refuse(ctx, wrong)
	case err != nil:
		d.say("Treeline failed: the server's log says more. The decision is tried again.")
		return errors.Join(err, d.publishLog(ctx), in.giveUp(ctx, c))
	}
	d.say("Decided in %d ms.", time.Since(d.began).Milliseconds())
	if err := d.publishLog(ctx); err != nil {
		return err
	}
	in.Log.InfoContext(ctx, "decided", "took", time.Since(d.began))
	_, err = in.Queue.ReportCompleted(ctx, c.Status.TaskID, c.RunID)
	return err
}

// refuse fails the decision task for a mistake in the tree, and tells its push.
func (d *nativeDecision) refuse(ctx context.Context, wrong *mistakeError) error {
	d.say("%v", wrong)
	d.Log.InfoContext(ctx, "a decision is refused for a mistake in the tree", "why", wrong.what.Code, "file", wrong.what.File)
	if wrong.what.Detail != "" {
		d.say("%s", wrong.what.Detail)
	}
	if err := d.publishLog(ctx); err != nil {
		return err
	}
	if d.occasion.Change != nil {
		if err := d.Changes.Refused(ctx, d.claim.Task.TaskGroupID, wrong.what); err != nil {
			return err
		}
	}
	if d.occasion.Cron != nil {
		if err := d.Cron.Refused(ctx, d.claim.Task.TaskGroupID, wrong.what); err != nil {
			return err
		}
	} else if d.push.ID != 0 {
		outcome := push.Outcome{State: push.Failed, TaskGroupID: d.claim.Task.TaskGroupID, Error: &wrong.what}
		if err := d.Push.SetOutcome(ctx, d.push.Repository, d.push.ID, outcome); err != nil {
			return err
		}
	}
	_, err := d.Queue.ReportFailed(ctx, d.claim.Status.TaskID, d.claim.RunID)
	return err
}

// hold keeps the claim of a decision that takes long. The context it returns ends when the claim is
// lost, as by a cancelled task, or released.
func (in *Intake) hold(ctx context.Context, c queue.Claim) (held context.Context, release func()) {
	held, cancel := context.WithCancel(ctx)
	every := time.Second
	if run := c.Status.LastRun(); run != nil && run.Started != nil { // both times are the database's
		every = max(every, c.TakenUntil.Sub(run.Started.Time)/3)
	}
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			_, err := in.Queue.Reclaim(held, c.Status.TaskID, c.RunID)
			if kind := fault.KindOf(err); err != nil && (kind == fault.Conflict || kind == fault.NotFound) {
				cancel()
			} else if err != nil && held.Err() == nil {
				in.Log.WarnContext(ctx, "reclaim a decision; tried again soon", "task", c.Status.TaskID, "err", err)
			}
		}
	})
	return held, func() { cancel(); done.Wait() }
}

// giveUp gives a claim back, so that the next try need not wait for it to run out.
func (in *Intake) giveUp(ctx context.Context, c queue.Claim) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := in.Queue.ReportException(ctx, c.Status.TaskID, c.RunID, task.ReasonWorkerShutdown)
	if fault.KindOf(err) == fault.Conflict {
		return nil
	}
	if err != nil {
		return fmt.Errorf("intake: give up decision: %w", err)
	}
	return nil
}
