// The seventh page of the newcomer's reading list: a run ends, its dependents become pending, its
// index entries are written. Before it comes taskgraph/generate.go; the way home is
// app/intake/report.go.

package queue

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/queue/combine"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/task"
)

// ReportCompleted resolves a running run as completed. The same report again is no error; a run that
// ended otherwise, or is not the last any more, is fault.Conflict (taskcluster-map 5.4). So is one with
// an upload that is not finished: who waits for the task would miss an artifact. The other reports,
// and what ends by time, are taken then too: a worker that cannot upload has a way out.
func (q *Queue) ReportCompleted(ctx context.Context, id string, run int) (task.Status, error) {
	return q.settled(ctx, report{id: id, run: run, reason: task.ReasonCompleted, by: holder.Of(ctx)})
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

// report is what a worker says of a run.
type report struct {
	id        string
	run       int
	reason    task.ReasonResolved
	artifacts []WholeArtifact // that are made with it
	by        holder.Holder
}

func (q *Queue) report(ctx context.Context, id string, run int, reason task.ReasonResolved) (task.Status, error) {
	return q.together.reports.Do(ctx, report{id: id, run: run, reason: reason, by: holder.Of(ctx)})
}

// reportTogether does the reports of several calls in one transaction. Reports on the same task are done in
// their order, and all see the outcome of the last.
func (q *Queue) reportTogether(ctx context.Context, calls []combine.Call[report]) ([]combine.Answer[task.Status], error) {
	var ids, completed []string
	var shelf artifact.Arriving
	for _, c := range calls {
		shelf.Want(c.Item.id, c.Item.run, c.Item.artifacts)
		ids = append(ids, c.Item.id)
		if c.Item.reason == task.ReasonCompleted {
			completed = append(completed, c.Item.id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var answers []combine.Answer[task.Status]
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		answers = make([]combine.Answer[task.Status], len(calls))
		var open []Artifact
		records, err := c.lockBy(ctx, lockToResolveSQL, ids, func(b *pgx.Batch) {
			artifact.QueueUnfinished(b, completed, &open)
			shelf.QueueRead(b)
		}, completed)
		if err != nil {
			return err
		}
		byID, changed := make(map[string]*record, len(records)), make([]*record, 0, len(records))
		for _, r := range records {
			byID[r.TaskID] = r
		}
		for i, call := range calls {
			r := byID[call.Item.id]
			resolves, err := call.Item.judge(r)
			if resolves && call.Item.reason == task.ReasonCompleted {
				err = artifact.Uploaded(artifact.Without(open, call.Item.id, call.Item.run, call.Item.artifacts), call.Item.id, call.Item.run)
				resolves = err == nil
			}
			if resolves {
				err = c.shelve(&shelf, call.Item, r)
				resolves = err == nil
			}
			answers[i].Err = err
			if resolves {
				r.resolve(call.Item.reason)
				if !slices.Contains(changed, r) {
					changed = append(changed, r)
				}
			}
		}
		shelf.QueuePublish(&c.late)
		if err := c.save(ctx, changed); err != nil {
			return err
		}
		for i, call := range calls {
			if answers[i].Err == nil {
				answers[i].Value = byID[call.Item.id].Status
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %d reports (%s, …): %w", len(ids), ids[0], err)
	}
	return answers, nil
}

// judge says whether the report resolves its run. One that says the same as before is no error.
func (p report) judge(r *record) (resolves bool, err error) {
	if r == nil {
		return false, noTask(p.id)
	}
	run := r.run(p.run)
	if err := p.by.Check(p.id, run); err != nil {
		return false, err
	}
	switch {
	case run == nil:
		return false, noRun(p.id, p.run)
	case reported(r, run, p.reason):
		return false, nil
	case p.run != len(r.Runs)-1 || run.State != task.Running:
		return false, fault.New(fault.Conflict,
			"Run %d of task %s cannot be resolved as %s: it is not the running last run any more. It is %s%s, and the task is %s.",
			p.run, p.id, p.reason, run.State, because(run), r.State)
	}
	return true, nil
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

// shelve makes the artifacts of a report that resolves its run; they are told of before the run's end.
func (c *change) shelve(shelf *artifact.Arriving, p report, r *record) error {
	run := r.run(p.run)
	made, err := shelf.Make(&r.Status, run, p.artifacts, task.At(r.now))
	for _, a := range made {
		c.tellArtifact(r, *run, a)
	}
	return err
}
