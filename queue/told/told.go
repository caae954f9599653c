// Package told hands on what a Queue did to tasks, when it is committed: to whoever counts, and to the log.
package told

import (
	"context"
	"log/slog"
	"time"

	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/task"
)

// Observer is told of what a Queue did to tasks, after the commit. Its functions must be quick; those that are nil are
// not called.
type Observer struct {
	Created func(taskQueueID string)
	// Claimed is told how long a run waited from pending to its claim.
	Claimed func(taskQueueID string, waited time.Duration)
	// Met is told how long a run and a worker waited for each other: the shorter of the times that the two waited.
	Met func(time.Duration)
	// Resolved is told of the end of a run.
	Resolved func(taskQueueID string, state task.State, reason task.ReasonResolved)
}

// Event is something that happened to a task; Kind is that of the feed's event.
type Event struct {
	Kind               string
	Task, Group, Queue string
	Run                *task.Run // nil: it is not of a run
}

// Tell hands on what happened. Lines are written where details are logged (taskcluster-map appendix F).
func (o Observer) Tell(ctx context.Context, log *slog.Logger, list []Event) {
	debug := log.Enabled(ctx, slog.LevelDebug)
	for _, e := range list {
		switch r := e.Run; {
		case e.Kind == "task-defined" && o.Created != nil:
			o.Created(e.Queue)
		case r == nil:
		case e.Kind == "task-running" && r.Started != nil && o.Claimed != nil:
			o.Claimed(e.Queue, r.Started.Sub(r.Scheduled.Time))
		case e.Kind != "task-pending" && r.Resolved != nil && o.Resolved != nil:
			o.Resolved(e.Queue, r.State, r.ReasonResolved)
		}
		if debug {
			e.log(ctx, log)
		}
	}
}

func (e Event) log(ctx context.Context, log *slog.Logger) {
	attrs := []slog.Attr{slog.String(stamp.Task, e.Task), slog.String(stamp.Group, e.Group), slog.String("taskQueue", e.Queue)}
	if e.Run != nil {
		attrs = append(attrs, slog.Int(stamp.Run, e.Run.RunID))
		if e.Run.WorkerID != "" {
			attrs = append(attrs, slog.String("worker", e.Run.WorkerGroup+"/"+e.Run.WorkerID))
		}
		if e.Run.ReasonResolved != "" {
			attrs = append(attrs, slog.String("reason", string(e.Run.ReasonResolved)))
		}
	}
	log.LogAttrs(ctx, slog.LevelDebug, e.Kind, attrs...) //nolint:sloglint // what happened is the message
}

// Both tells how long a run that was claimed and its worker, who asked at a time, waited for each other.
func (o Observer) Both(run *task.Run, asked time.Time) {
	if o.Met != nil && run != nil && run.Started != nil {
		o.Met(min(time.Since(asked), run.Started.Sub(run.Scheduled.Time)))
	}
}

// Counted is a loop's round that is told of as one.
func Counted(name string, round func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return chore.Do(ctx, name, chore.Plain(round)) }
}
