// The last page of the newcomer's reading list: the way home. Events of decision tasks become the
// state of their pushes. Before it comes queue/resolve.go, which wrote the events.

package intake

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/decision"
)

// report follows the feed until ctx ends.
func (in *Intake) report(ctx context.Context) {
	err := in.Feed.Consume(ctx, "push-report", decisionsEnd, func(ctx context.Context, _ pgx.Tx, events []event.Event) error {
		for _, e := range events {
			if err := in.reportEvent(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		in.Log.ErrorContext(ctx, "pushes are no longer told the outcome of their decisions", "err", err)
	}
}

// decisionsEnd is what report looks at.
var decisionsEnd = event.Interest{Kinds: []string{"task-completed", "task-failed", "task-exception"}, First: true, Every: 50 * time.Millisecond}

// reportEvent tells a push how its decision task ended. It may see an event twice.
func (in *Intake) reportEvent(ctx context.Context, e event.Event) error {
	p, err := in.Push.ByTaskGroup(ctx, e.TaskID)
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	status, err := in.Queue.Status(ctx, e.TaskID)
	if errors.Is(err, fault.NotFound) {
		return nil // it has expired since, and nobody knows more than the push
	}
	if err != nil {
		return err
	}
	ctx = p.Mark(ctx)
	outcome, final := outcomeOf(p, status)
	if !final {
		return nil
	}
	if outcome.Error == nil {
		outcome.Error = in.saidNotes(ctx, status)
	} else {
		if why := in.saidWhy(ctx, status); why != nil {
			outcome.Error = why
		}
	}
	in.Log.InfoContext(ctx, "the decision on a push has ended", "state", outcome.State)
	return in.Push.SetOutcome(ctx, p.Repository, p.ID, outcome)
}

// saidWhy returns what a decision that failed on a worker published about why; nil when it did not.
func (in *Intake) saidWhy(ctx context.Context, status task.Status) *push.Error {
	if status.State != task.Failed {
		return nil
	}
	list := in.saidIn(ctx, status, decision.MistakesName)
	if len(list) == 0 {
		return nil // its log must do
	}
	first := list[0]
	what := &push.Error{Code: graphCode(first.File), File: first.File, Line: first.Line, Message: decision.Mistake{Label: first.Label, Message: first.Message}.String()}
	for _, other := range list[1:] {
		what.Detail += other.String() + "\n"
	}
	return what
}

// saidIn reads a file of mistakes that the last run of a decision published, if it did.
func (in *Intake) saidIn(ctx context.Context, status task.Status, name string) []decision.Mistake {
	run := status.LastRun()
	if run == nil {
		return nil
	}
	_, content, err := in.Objects.Open(ctx, queue.ObjectName(status.TaskID, run.RunID, "public/"+name))
	if err != nil {
		return nil
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, decision.MaxMistakes+1))
	if err != nil {
		return nil
	}
	list, err := decision.ReadMistakes(text)
	if err != nil {
		in.Log.InfoContext(ctx, "what a decision says of its push cannot be read", "task", status.TaskID, "file", name, "err", err)
	}
	return list
}

// outcomeOf returns what a decision task's status means for its push, and false when it is still
// at work or the push knows more already.
func outcomeOf(p push.Push, status task.Status) (push.Outcome, bool) {
	switch {
	case status.State == task.Completed:
		return push.Outcome{State: push.Decided}, true
	case !status.State.Resolved() || p.State == push.Failed:
		return push.Outcome{}, false
	default:
		why := string(status.State)
		if run := status.LastRun(); run != nil {
			why = string(run.ReasonResolved)
		}
		return push.Outcome{State: push.Failed, Error: &push.Error{
			Code:    "decision-" + why,
			Message: "The decision task ended without a graph. Its log says why; rerun it once that is mended.",
		}}, true
	}
}
