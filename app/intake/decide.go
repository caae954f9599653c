// A native decision: the decision task of a push, done in the server. Before it comes
// queue/claim.go; it calls taskgraph/generate.go and gives the graph to queue/create.go.

package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
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
				in.Log.ErrorContext(ctx, "decision; its claim runs out and it is tried again", "task", c.Status.TaskID, "err", err)
			}
		}
	}
}

// decideClaim does one decision task and reports it. What is wrong with the tree fails the task and
// is recorded with its push; an error returned is ours.
func (in *Intake) decideClaim(ctx context.Context, c queue.Claim) error {
	d := &nativeDecision{Intake: in, claim: c, began: time.Now()}
	err := d.do(ctx)
	if ctx.Err() != nil {
		return in.giveUp(context.WithoutCancel(ctx), c)
	}
	wrong, isMistake := errors.AsType[*mistakeError](err)
	if err != nil && !isMistake {
		d.say("Treeline failed: the server's log says more. The decision is tried again.")
		return errors.Join(err, d.publishLog(ctx))
	}
	if isMistake {
		d.say("%v", wrong)
		if err := d.publishLog(ctx); err != nil {
			return err
		}
		if d.push.ID != 0 {
			outcome := push.Outcome{State: push.Failed, TaskGroupID: c.Task.TaskGroupID, Error: &wrong.what}
			if err := in.Push.SetOutcome(ctx, d.push.Repository, d.push.ID, outcome); err != nil {
				return err
			}
		}
		_, err := in.Queue.ReportFailed(ctx, c.Status.TaskID, c.RunID)
		return err
	}
	d.say("Decided in %d ms.", time.Since(d.began).Milliseconds())
	if err := d.publishLog(ctx); err != nil {
		return err
	}
	_, err = in.Queue.ReportCompleted(ctx, c.Status.TaskID, c.RunID)
	return err
}

// giveUp gives a claim back when the server stops, so that the next start need not wait for it to
// run out.
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
