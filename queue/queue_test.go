package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), queue.Statements...) }

// trail tells a task's events as "kind" or "kind/run", in order.
func trail(t *testing.T, e *queuetest.Env) func() []string {
	t.Helper()
	seen := map[string]bool{}
	return func() []string {
		t.Helper()
		rows, err := e.Pool.Query(t.Context(), `SELECT id, kind, coalesce(run_id, -1) FROM events ORDER BY seq`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		out := []string{}
		for rows.Next() {
			var id, kind string
			var run int
			if err := rows.Scan(&id, &kind, &run); err != nil {
				t.Fatal(err)
			}
			if seen[id] {
				continue
			}
			seen[id] = true
			if run >= 0 {
				kind = fmt.Sprintf("%s/%d", kind, run)
			}
			out = append(out, kind)
		}
		return out
	}
}

// shape is a status without its times and names.
func shape(s task.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s left %d", s.State, s.RetriesLeft)
	for _, r := range s.Runs {
		fmt.Fprintf(&b, " | %s by %s", r.State, r.ReasonCreated)
		if r.ReasonResolved != "" {
			fmt.Fprintf(&b, " as %s", r.ReasonResolved)
		}
	}
	return b.String()
}

func TestStateMachine(t *testing.T) {
	const ok = fault.Kind(-1)
	retries := func(n int) func(*task.Definition) { return func(d *task.Definition) { d.Retries = n } }
	report := func(reason task.ReasonResolved, run int) func(context.Context, *queue.Queue, string) (task.Status, error) {
		return func(ctx context.Context, q *queue.Queue, id string) (task.Status, error) {
			switch reason {
			case task.ReasonCompleted:
				return q.ReportCompleted(ctx, id, run)
			case task.ReasonFailed:
				return q.ReportFailed(ctx, id, run)
			}
			return q.ReportException(ctx, id, run, reason)
		}
	}
	reclaim := func(run int) func(context.Context, *queue.Queue, string) (task.Status, error) {
		return func(ctx context.Context, q *queue.Queue, id string) (task.Status, error) {
			r, err := q.Reclaim(ctx, id, run)
			return r.Status, err
		}
	}
	schedule := func(ctx context.Context, q *queue.Queue, id string) (task.Status, error) { return q.Schedule(ctx, id) }
	rerun := func(ctx context.Context, q *queue.Queue, id string) (task.Status, error) { return q.Rerun(ctx, id) }
	cancel := func(ctx context.Context, q *queue.Queue, id string) (task.Status, error) { return q.Cancel(ctx, id) }
	late := func(t *testing.T, e *queuetest.Env, id string) { e.PassDeadlines(t, id) }
	e := queuetest.New(t)

	for _, c := range []struct {
		name   string
		from   task.State
		change func(*task.Definition)
		before func(*testing.T, *queuetest.Env, string)
		do     func(context.Context, *queue.Queue, string) (task.Status, error)
		want   string
		events []string
		refuse fault.Kind
	}{
		{name: "schedule gives an unscheduled task its first run", from: task.Unscheduled, do: schedule, refuse: ok,
			want: "pending left 5 | pending by scheduled", events: []string{"task-pending/0"}},
		{name: "schedule leaves a pending task", from: task.Pending, do: schedule, refuse: ok, want: "pending left 5 | pending by scheduled"},
		{name: "schedule leaves a running task", from: task.Running, do: schedule, refuse: ok, want: "running left 5 | running by scheduled"},
		{name: "schedule leaves a resolved task", from: task.Failed, do: schedule, refuse: ok, want: "failed left 5 | failed by scheduled as failed"},
		{name: "schedule is refused after the deadline", from: task.Unscheduled, before: late, do: schedule, refuse: fault.Conflict},

		{name: "cancel ends an unscheduled task with a run that stands for it", from: task.Unscheduled, do: cancel, refuse: ok,
			want: "exception left 5 | exception by exception as canceled", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "cancel ends a pending task", from: task.Pending, do: cancel, refuse: ok,
			want: "exception left 5 | exception by scheduled as canceled", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "cancel ends a running task", from: task.Running, do: cancel, refuse: ok,
			want: "exception left 5 | exception by scheduled as canceled", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "cancel leaves a completed task", from: task.Completed, do: cancel, refuse: ok, want: "completed left 5 | completed by scheduled as completed"},
		{name: "cancel leaves a canceled task", from: task.Exception, do: cancel, refuse: ok, want: "exception left 5 | exception by scheduled as canceled"},
		{name: "cancel is refused after the deadline", from: task.Pending, before: late, do: cancel, refuse: fault.Conflict},
		{name: "cancel is refused after the deadline even of a resolved task", from: task.Completed, before: late, do: cancel, refuse: fault.Conflict},

		{name: "rerun gives an unscheduled task a run", from: task.Unscheduled, do: rerun, refuse: ok,
			want: "pending left 5 | pending by rerun", events: []string{"task-pending/0"}},
		{name: "rerun leaves a pending task", from: task.Pending, do: rerun, refuse: ok, want: "pending left 5 | pending by scheduled"},
		{name: "rerun leaves a running task", from: task.Running, do: rerun, refuse: ok, want: "running left 5 | running by scheduled"},
		{name: "rerun gives a completed task another run", from: task.Completed, do: rerun, refuse: ok,
			want: "pending left 5 | completed by scheduled as completed | pending by rerun", events: []string{"task-pending/1"}},
		{name: "rerun gives a failed task another run", from: task.Failed, do: rerun, refuse: ok,
			want: "pending left 5 | failed by scheduled as failed | pending by rerun", events: []string{"task-pending/1"}},
		{name: "rerun gives a canceled task another run", from: task.Exception, do: rerun, refuse: ok,
			want: "pending left 5 | exception by scheduled as canceled | pending by rerun", events: []string{"task-pending/1"}},
		{name: "rerun is refused after the deadline", from: task.Failed, before: late, do: rerun, refuse: fault.Conflict},
		{name: "rerun gives back the retries that were used", from: task.Running, change: retries(1), do: rerun, refuse: ok,
			before: func(t *testing.T, e *queuetest.Env, id string) {
				e.EndClaims(t, id)
				must(t)(e.Queue.ReportFailed(t.Context(), id, e.Run(t, id)))
			},
			want: "pending left 1 | exception by scheduled as claim-expired | failed by retry as failed | pending by rerun", events: []string{"task-pending/2"}},

		{name: "reportCompleted completes a running task", from: task.Running, do: report(task.ReasonCompleted, 0), refuse: ok,
			want: "completed left 5 | completed by scheduled as completed", events: []string{"task-completed/0", "task-group-resolved"}},
		{name: "reportCompleted again is no error", from: task.Completed, do: report(task.ReasonCompleted, 0), refuse: ok,
			want: "completed left 5 | completed by scheduled as completed"},
		{name: "reportCompleted of a failed run is refused", from: task.Failed, do: report(task.ReasonCompleted, 0), refuse: fault.Conflict},
		{name: "reportCompleted of a pending run is refused", from: task.Pending, do: report(task.ReasonCompleted, 0), refuse: fault.Conflict},
		{name: "reportCompleted of an unscheduled task finds no run", from: task.Unscheduled, do: report(task.ReasonCompleted, 0), refuse: fault.NotFound},
		{name: "reportCompleted of a run that never was finds none", from: task.Running, do: report(task.ReasonCompleted, 1), refuse: fault.NotFound},
		{name: "reportCompleted after the claim has expired is refused", from: task.Running, do: report(task.ReasonCompleted, 0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) { e.EndClaims(t, id) }},
		{name: "reportCompleted after a rerun is refused", from: task.Completed, do: report(task.ReasonCompleted, 0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) { must(t)(e.Queue.Rerun(t.Context(), id)) }},
		{name: "reportCompleted after cancel is refused", from: task.Running, do: report(task.ReasonCompleted, 0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) { must(t)(e.Queue.Cancel(t.Context(), id)) }},
		{name: "reportFailed fails a running task", from: task.Running, do: report(task.ReasonFailed, 0), refuse: ok,
			want: "failed left 5 | failed by scheduled as failed", events: []string{"task-failed/0", "task-group-resolved"}},
		{name: "reportFailed again is no error", from: task.Failed, do: report(task.ReasonFailed, 0), refuse: ok, want: "failed left 5 | failed by scheduled as failed"},
		{name: "reportFailed of a completed run is refused", from: task.Completed, do: report(task.ReasonFailed, 0), refuse: fault.Conflict},

		{name: "worker-shutdown is retried", from: task.Running, do: report(task.ReasonWorkerShutdown, 0), refuse: ok,
			want: "pending left 4 | exception by scheduled as worker-shutdown | pending by retry", events: []string{"task-exception/0", "task-pending/1"}},
		{name: "worker-shutdown again is no error", from: task.Running, do: report(task.ReasonWorkerShutdown, 0), refuse: ok,
			before: func(t *testing.T, e *queuetest.Env, id string) {
				must(t)(e.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown))
			},
			want: "pending left 4 | exception by scheduled as worker-shutdown | pending by retry"},
		{name: "worker-shutdown again is refused two runs later", from: task.Running, do: report(task.ReasonWorkerShutdown, 0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) {
				must(t)(e.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown))
				must(t)(e.Queue.ReportException(t.Context(), id, e.Run(t, id), task.ReasonWorkerShutdown))
			}},
		{name: "another exception for the same run is refused", from: task.Running, do: report(task.ReasonInternalError, 0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) {
				must(t)(e.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown))
			}},
		{name: "worker-shutdown without retries left is final", from: task.Running, change: retries(0), do: report(task.ReasonWorkerShutdown, 0), refuse: ok,
			want: "exception left 0 | exception by scheduled as worker-shutdown", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "intermittent-task is retried as task-retry", from: task.Running, do: report(task.ReasonIntermittentTask, 0), refuse: ok,
			want: "pending left 4 | exception by scheduled as intermittent-task | pending by task-retry", events: []string{"task-exception/0", "task-pending/1"}},
		{name: "malformed-payload is final", from: task.Running, do: report(task.ReasonMalformedPayload, 0), refuse: ok,
			want: "exception left 5 | exception by scheduled as malformed-payload", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "resource-unavailable is final", from: task.Running, do: report(task.ReasonResourceUnavailable, 0), refuse: ok,
			want: "exception left 5 | exception by scheduled as resource-unavailable", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "internal-error is final", from: task.Running, do: report(task.ReasonInternalError, 0), refuse: ok,
			want: "exception left 5 | exception by scheduled as internal-error", events: []string{"task-exception/0", "task-group-resolved"}},
		{name: "canceled is nothing to report", from: task.Running, do: report(task.ReasonCanceled, 0), refuse: fault.Invalid},

		{name: "reclaim keeps a running run", from: task.Running, do: reclaim(0), refuse: ok, want: "running left 5 | running by scheduled"},
		{name: "reclaim of a canceled run is refused", from: task.Running, do: reclaim(0), refuse: fault.Conflict,
			before: func(t *testing.T, e *queuetest.Env, id string) { must(t)(e.Queue.Cancel(t.Context(), id)) }},
		{name: "reclaim after the deadline is refused", from: task.Running, before: late, do: reclaim(0), refuse: fault.Conflict},
		{name: "reclaim of a pending run is refused", from: task.Pending, do: reclaim(0), refuse: fault.Conflict},
		{name: "reclaim of a run that never was finds none", from: task.Running, do: reclaim(3), refuse: fault.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := c.change
			if change == nil {
				change = func(*task.Definition) {}
			}
			id := e.Task(t, c.from, change)
			if c.before != nil {
				c.before(t, e, id)
			}
			before := e.Status(t, id)
			news := trail(t, e)
			news()
			got, err := c.do(t.Context(), e.Queue, id)
			if c.refuse != ok {
				if !errors.Is(err, c.refuse) {
					t.Fatalf("got %v, want a fault of kind %v", err, c.refuse)
				}
				got, c.want = e.Status(t, id), shape(before)
			} else if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shape(got)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(e.Status(t, id), got); diff != "" {
				t.Errorf("the answer differs from the database: %s", diff)
			}
			if c.events == nil {
				c.events = []string{}
			}
			if diff := cmp.Diff(c.events, news()); diff != "" {
				t.Errorf("events: %s", diff)
			}
			e.Check(t)
		})
	}
}

func must(t *testing.T) func(task.Status, error) task.Status {
	return func(s task.Status, err error) task.Status {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestVerbsRefuseTasksThatDoNotExist(t *testing.T) {
	e, id := queuetest.New(t), slug.New()
	ctx, q := t.Context(), e.Queue
	for name, verb := range map[string]func() error{
		"Task":            func() error { _, err := q.Task(ctx, id); return err },
		"Status":          func() error { _, err := q.Status(ctx, id); return err },
		"Schedule":        func() error { _, err := q.Schedule(ctx, id); return err },
		"Rerun":           func() error { _, err := q.Rerun(ctx, id); return err },
		"Cancel":          func() error { _, err := q.Cancel(ctx, id); return err },
		"Reclaim":         func() error { _, err := q.Reclaim(ctx, id, 0); return err },
		"ReportCompleted": func() error { _, err := q.ReportCompleted(ctx, id, 0); return err },
		"ReportException": func() error { _, err := q.ReportException(ctx, id, 0, task.ReasonInternalError); return err },
		"Group":           func() error { _, err := q.Group(ctx, id); return err },
		"ListGroup":       func() error { _, err := q.ListGroup(ctx, id, 0, ""); return err },
		"SealGroup":       func() error { _, err := q.SealGroup(ctx, id); return err },
		"CancelGroup":     func() error { _, err := q.CancelGroup(ctx, id); return err },
		"Dependents":      func() error { _, err := q.Dependents(ctx, id, 0, ""); return err },
	} {
		if err := verb(); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreateReadsBack(t *testing.T) {
	e := queuetest.New(t)
	id, other := slug.New(), e.Task(t, task.Pending)
	d := queuetest.Define(queuetest.After(other), func(d *task.Definition) {
		d.Routes = []string{"index.a.b", `with "quotes" \ and {braces}, commas`, "ünïcode"}
		d.Scopes = []string{"a:b", `c:"d"`}
		d.Tags = map[string]string{"k": "v\x00\u2028<&>"}
		d.Payload = json.RawMessage(`{"b": 1.0, "a": [1e2, "\u0000"], "c": {"z": null}}`)
		d.Extra = json.RawMessage(`{"index": {"rank": 5}}`)
		d.Priority, d.Requires, d.Retries = task.High, task.AllResolved, 3
	})
	got := e.Create(t, id, d)
	if want := "unscheduled left 3"; shape(got) != want {
		t.Errorf("got %s, want %s", shape(got), want)
	}
	back, err := e.Queue.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Complete(id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, back); diff != "" {
		t.Error(diff)
	}
	e.Check(t)
}

func TestCreateIsIdempotent(t *testing.T) {
	e := queuetest.New(t)
	id, d := slug.New(), queuetest.Define()
	first := e.Create(t, id, d)
	news := trail(t, e)
	if diff := cmp.Diff([]string{"task-defined", "task-pending/0"}, news()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(first, e.Create(t, id, d)); diff != "" {
		t.Error(diff)
	}
	must(t)(e.Queue.Cancel(t.Context(), id))
	news()
	if got := e.Create(t, id, d); got.State != task.Exception {
		t.Errorf("a replay shows the task as it is now, not as %s", got.State)
	}
	if again := news(); len(again) > 0 {
		t.Errorf("a replay told %v", again)
	}
	d.Metadata.Name = "another"
	if _, err := e.Queue.Create(t.Context(), id, d); !errors.Is(err, fault.Conflict) {
		t.Errorf("another definition: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	e := queuetest.New(t)
	ctx := t.Context()
	group, sealed := e.Task(t, task.Pending), e.Task(t, task.Pending)
	if _, err := e.Queue.SealGroup(ctx, sealed); err != nil {
		t.Fatal(err)
	}
	soon := e.Task(t, task.Pending, func(d *task.Definition) {
		d.Deadline = task.At(time.Now().Add(time.Minute))
		d.Expires = d.Deadline
	})
	for _, c := range []struct {
		name   string
		change func(*task.Definition)
		kind   fault.Kind
		text   string
	}{
		{"a group of another scheduler", func(d *task.Definition) { d.TaskGroupID, d.SchedulerID = group, "other" }, fault.Conflict, "belongs to the scheduler"},
		{"a sealed group", queuetest.In(sealed), fault.Conflict, "was sealed"},
		{"a dependency that does not exist", queuetest.After("fN1SbArXTPSVFNUvaOlinQ"), fault.Invalid, "do not exist: fN1SbArXTPSVFNUvaOlinQ"},
		{"a dependency that expires early", queuetest.After(soon), fault.Invalid, "expire before its deadline"},
		{"a dependency named twice", queuetest.After(group, group), fault.Invalid, "twice"},
		{"a deadline in the past", func(d *task.Definition) {
			d.Deadline = task.At(time.Now().Add(-time.Second))
			d.Created = task.At(time.Now().Add(-time.Minute))
		}, fault.Invalid, "in the past"},
		{"a deadline too far", func(d *task.Definition) {
			d.Deadline = task.At(time.Now().Add(121 * time.Hour))
			d.Expires = d.Deadline
		}, fault.Invalid, "5 days"},
		{"a worker type with capitals", queuetest.OnQueue("a/B"), fault.Invalid, "taskQueueId"},
		{"a scope with two stars", func(d *task.Definition) { d.Scopes = []string{"a**"} }, fault.Invalid, "**"},
		{"an unknown priority", func(d *task.Definition) { d.Priority = "normal" }, fault.Invalid, "priority"},
		{"a route with NUL", func(d *task.Definition) { d.Routes = []string{"a\x00"} }, fault.Invalid, "NUL"},
		{"a payload that is no object", func(d *task.Definition) { d.Payload = json.RawMessage(`[]`) }, fault.Invalid, "payload"},
		{"a payload nested too deep", func(d *task.Definition) {
			d.Payload = json.RawMessage(`{"a":` + strings.Repeat("[", 600) + strings.Repeat("]", 600) + `}`)
		}, fault.Invalid, "nested"},
		{"a source without a scheme", func(d *task.Definition) { d.Metadata.Source = "file" }, fault.Invalid, "source"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := slug.New()
			_, err := e.Queue.Create(t.Context(), id, queuetest.Define(c.change))
			if !errors.Is(err, c.kind) || !strings.Contains(fault.Message(err), c.text) {
				t.Errorf("got %v", err)
			}
			if _, err := e.Queue.Status(t.Context(), id); !errors.Is(err, fault.NotFound) {
				t.Errorf("the refused task is there: %v", err)
			}
		})
	}
	e.Check(t)
}
