package queue_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func TestCreatesOfOneTransactionAreJudgedEachByItself(t *testing.T) {
	e := queuetest.New(t)
	ctx := t.Context()
	call := func(tasks ...queue.NewTask) []queue.NewTask {
		for i := range tasks {
			if err := tasks[i].Prepare(); err != nil {
				t.Fatal(err)
			}
		}
		return tasks
	}
	one := func(changes ...func(*task.Definition)) queue.NewTask {
		return queue.NewTask{ID: slug.New(), Definition: queuetest.Define(changes...)}
	}
	named := func(s string) func(*task.Definition) { return func(d *task.Definition) { d.Metadata.Name = s } }
	by := func(s string) func(*task.Definition) { return func(d *task.Definition) { d.SchedulerID = s } }

	there := e.Task(t, task.Pending)
	done := e.Task(t, task.Completed)
	sealed := slug.New()
	e.Create(t, slug.New(), queuetest.Define(queuetest.In(sealed)))
	if _, err := e.Queue.SealGroup(ctx, sealed); err != nil {
		t.Fatal(err)
	}
	a, b, group := one(), one(), slug.New()
	pair := []queue.NewTask{one(queuetest.In(group)), one(queuetest.In(group))}
	pair[1].Definition.Dependencies = []string{pair[0].ID}
	late := one(queuetest.After(a.ID, done))
	long := one()
	long.Definition.Deadline = task.At(long.Definition.Deadline.AddDate(0, 0, 9))
	long.Definition.Expires = task.At(long.Definition.Deadline.AddDate(0, 0, 1))
	rows := []struct {
		name  string
		tasks []queue.NewTask
		want  error
	}{
		{"a new task", call(a), nil},
		{"a batch whose tasks depend on each other", call(pair...), nil},
		{"the same task again, in the same transaction", call(a), nil},
		{"another definition under its id", call(queue.NewTask{ID: a.ID, Definition: queuetest.Define(named("other"))}), fault.Conflict},
		{"a task that depends on an earlier call's", call(late), nil},
		{"one that depends on a task that nobody makes", call(one(queuetest.After(slug.New()))), fault.Invalid},
		{"one that depends on a later call's", call(one(queuetest.After(b.ID))), fault.Invalid},
		{"that later one", call(b), nil},
		{"a task that is there, with another definition", call(queue.NewTask{ID: there, Definition: queuetest.Define(named("other"))}), fault.Conflict},
		{"one for a sealed group", call(one(queuetest.In(sealed))), fault.Conflict},
		{"one for a group that is another scheduler's since this transaction", call(one(queuetest.In(group), by("mine"))), fault.Conflict},
		{"a batch with one task that is refused", call(one(), one(queuetest.After(slug.New()))), fault.Invalid},
		{"one with a deadline too far away", call(long), fault.Invalid},
	}
	var batches [][]queue.NewTask
	for _, r := range rows {
		batches = append(batches, r.tasks)
	}
	got, err := e.Queue.CreateTogether(ctx, batches...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if !errors.Is(got[i].Err, r.want) {
			t.Errorf("%s: got %v, want %v", r.name, got[i].Err, r.want)
		}
		for k, n := range r.tasks {
			_, err := e.Queue.Status(ctx, n.ID)
			if made := err == nil; made != (r.want == nil) && !errors.Is(r.want, fault.Conflict) {
				t.Errorf("%s: task %d is there: %v", r.name, k, made)
			}
			if r.want == nil && (len(got[i].Value) != len(r.tasks) || got[i].Value[k].TaskID != n.ID) {
				t.Errorf("%s: it returned %v", r.name, got[i].Value)
			}
		}
	}
	e.Check(t)
}

func TestAGroupThatIsNotAsRememberedIsMadeAnew(t *testing.T) {
	e := queuetest.New(t)
	group := slug.New()
	for _, change := range []string{
		`UPDATE task_groups SET task_group_id = task_group_id`, // nothing
		`DELETE FROM task_groups`,
		`UPDATE task_groups SET expires = now()`,
	} {
		if _, err := e.Pool.Exec(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		e.Create(t, slug.New(), queuetest.Define(queuetest.In(group)))
		g, err := e.Queue.Group(t.Context(), group)
		if err != nil || g.Expires.Before(queuetest.Define().Expires.Time) {
			t.Errorf("after %s: %+v, %v", change, g, err)
		}
	}
	e.Check(t)
}

func TestReportsOfOneTransactionAreJudgedEachByItself(t *testing.T) {
	e := queuetest.New(t)
	group := slug.New()
	first, second := e.Task(t, task.Running, queuetest.In(group)), e.Task(t, task.Running, queuetest.In(group))
	lost, pending := e.Task(t, task.Running), e.Task(t, task.Pending)
	after := e.Task(t, task.Unscheduled, queuetest.After(first, second))
	got, err := e.Queue.ReportTogether(t.Context(),
		queue.Report{ID: first, Reason: task.ReasonCompleted},
		queue.Report{ID: slug.New(), Reason: task.ReasonCompleted},
		queue.Report{ID: first, Reason: task.ReasonCompleted},
		queue.Report{ID: first, Reason: task.ReasonFailed},
		queue.Report{ID: second, Reason: task.ReasonCompleted},
		queue.Report{ID: second, Run: 1, Reason: task.ReasonCompleted},
		queue.Report{ID: pending, Reason: task.ReasonCompleted},
		queue.Report{ID: lost, Reason: task.ReasonWorkerShutdown},
		queue.Report{ID: lost, Reason: task.ReasonWorkerShutdown},
	)
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		state task.State
		fault error
	}
	want := []answer{
		{task.Completed, nil}, {"", fault.NotFound}, {task.Completed, nil}, {"", fault.Conflict}, {task.Completed, nil},
		{"", fault.NotFound}, {"", fault.Conflict}, {task.Pending, nil}, {task.Pending, nil},
	}
	for i, o := range got {
		if o.Value.State != want[i].state || !errors.Is(o.Err, want[i].fault) {
			t.Errorf("report %d: got %q, %v, want %v", i, o.Value.State, o.Err, want[i])
		}
	}
	if s, err := e.Queue.Status(t.Context(), lost); err != nil || len(s.Runs) != 2 {
		t.Errorf("two reports that a worker stops made %d runs: %v", len(s.Runs), err)
	}
	if s, err := e.Queue.Status(t.Context(), after); err != nil || s.State != task.Pending {
		t.Errorf("who waited for both is %s: %v", s.State, err)
	}
	if n := resolvedEvents(t, e, group); n != 1 {
		t.Errorf("%d events tell that the group is resolved", n)
	}
	e.Check(t)
}

func resolvedEvents(t *testing.T, e *queuetest.Env, group string) (n int) {
	t.Helper()
	err := e.Pool.QueryRow(t.Context(), `SELECT count(*) FROM events WHERE kind = 'task-group-resolved' AND task_group_id = $1`, group).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestClaimsOfOneTransactionAreServedInTheirOrder(t *testing.T) {
	e := queuetest.New(t)
	group := push(t, e, 6)
	gone, leave := context.WithCancel(t.Context())
	leave()
	here := t.Context()
	request := func(worker string, n int) queue.ClaimRequest {
		return queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Tasks: n}
	}
	got, err := e.Queue.ClaimTogether(t.Context(), []context.Context{here, gone, here, here, here},
		request("a", 2), request("left", 2), request("b", 3), request("c", 4), request("d", 1))
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	seen := map[string]bool{}
	for i, o := range got {
		counts = append(counts, len(o.Value))
		for _, k := range o.Value {
			if o.Err != nil || seen[k.Status.TaskID] || k.Task.TaskGroupID != group || k.Credentials.AccessToken == "" || k.WorkerID != []string{"a", "left", "b", "c", "d"}[i] {
				t.Errorf("caller %d got %+v, %v", i, k, o.Err)
			}
			seen[k.Status.TaskID] = true
		}
	}
	if diff := cmp.Diff([]int{2, 0, 3, 1, 0}, counts); diff != "" {
		t.Error(diff)
	}
	e.Check(t)
}
