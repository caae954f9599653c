package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/task"
)

// Observer is told of what this Queue did to tasks, after the commit. Its functions must be quick; those that are nil are
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

// happened is something that an Observer and the log are told of when it is committed.
type happened struct {
	kind        string
	task, group string
	queue       string
	run         task.Run
	isRun       bool
}

// note keeps what a record tells for after the commit.
func (c *change) note(r *record) {
	for _, n := range r.notices {
		h := happened{kind: n.kind, task: r.TaskID, group: r.TaskGroupID, queue: r.TaskQueueID}
		if n.runID < len(r.Runs) && n.kind != kindDefined && n.kind != kindPriority {
			h.run, h.isRun = r.Runs[n.runID], true
		}
		c.happened = append(c.happened, h)
	}
}

// told hands on what was kept.
func (q *Queue) told(ctx context.Context, list []happened) {
	o, debug := q.deps.Observe, q.log.Enabled(ctx, slog.LevelDebug)
	for _, h := range list {
		switch {
		case h.kind == kindDefined && o.Created != nil:
			o.Created(h.queue)
		case h.kind == kindRunning && h.run.Started != nil && o.Claimed != nil:
			o.Claimed(h.queue, h.run.Started.Sub(h.run.Scheduled.Time))
		case h.run.Resolved != nil && o.Resolved != nil && (h.kind == kindCompleted || h.kind == kindFailed || h.kind == kindException):
			o.Resolved(h.queue, h.run.State, h.run.ReasonResolved)
		}
		if debug {
			q.tellLog(ctx, h)
		}
	}
}

// tellLog writes the line of taskcluster-map appendix F: task-defined, task-claimed as task-running, and so on.
func (q *Queue) tellLog(ctx context.Context, h happened) {
	attrs := []slog.Attr{slog.String(stamp.Task, h.task), slog.String(stamp.Group, h.group), slog.String("taskQueue", h.queue)}
	if h.isRun {
		attrs = append(attrs, slog.Int(stamp.Run, h.run.RunID))
		if h.run.WorkerID != "" {
			attrs = append(attrs, slog.String("worker", h.run.WorkerGroup+"/"+h.run.WorkerID))
		}
		if h.run.ReasonResolved != "" {
			attrs = append(attrs, slog.String("reason", string(h.run.ReasonResolved)))
		}
	}
	q.log.LogAttrs(ctx, slog.LevelDebug, h.kind, attrs...)
}

// met tells how long the claimed runs and their worker, who asked at a time, waited for each other.
func (q *Queue) met(claims []Claim, asked time.Time) {
	if q.deps.Observe.Met == nil {
		return
	}
	for _, k := range claims {
		if run := k.Status.LastRun(); run != nil && run.Started != nil {
			q.deps.Observe.Met(min(time.Since(asked), run.Started.Sub(run.Scheduled.Time)))
		}
	}
}

// counted is a loop's round that is told of as one.
func counted(name string, round func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error { return chore.Do(ctx, name, chore.Plain(round)) }
}
