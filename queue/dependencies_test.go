package queue_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func anyOutcome(d *task.Definition) { d.Requires = task.AllResolved }

func TestDependentsAreReleased(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome task.State
		change  func(*task.Definition)
		want    task.State
	}{
		{"all-completed by completed", task.Completed, func(*task.Definition) {}, task.Pending},
		{"all-completed not by failed", task.Failed, func(*task.Definition) {}, task.Unscheduled},
		{"all-completed not by exception", task.Exception, func(*task.Definition) {}, task.Unscheduled},
		{"all-resolved by completed", task.Completed, anyOutcome, task.Pending},
		{"all-resolved by failed", task.Failed, anyOutcome, task.Pending},
		{"all-resolved by exception", task.Exception, anyOutcome, task.Pending},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := queuetest.New(t)
			root := e.Task(t, task.Running)
			before := e.Task(t, task.Unscheduled, queuetest.After(root), c.change)
			resolve(t, e, root, c.outcome)
			after := slug.New()
			e.Create(t, after, queuetest.Define(queuetest.After(root), c.change))
			for when, id := range map[string]string{"before": before, "after": after} {
				if got := e.Status(t, id).State; got != c.want {
					t.Errorf("created %s the resolution, the dependent is %s, want %s", when, got, c.want)
				}
			}
			e.Check(t)
		})
	}
}

func resolve(t *testing.T, e *queuetest.Env, id string, outcome task.State) {
	t.Helper()
	switch outcome {
	case task.Completed:
		must(t)(e.Queue.ReportCompleted(t.Context(), id, 0))
	case task.Failed:
		must(t)(e.Queue.ReportFailed(t.Context(), id, 0))
	default:
		must(t)(e.Queue.ReportException(t.Context(), id, 0, task.ReasonInternalError))
	}
}

func TestARetryIsNoResolution(t *testing.T) {
	e := queuetest.New(t)
	root := e.Task(t, task.Running)
	waits := e.Task(t, task.Unscheduled, queuetest.After(root), anyOutcome)
	must(t)(e.Queue.ReportException(t.Context(), root, 0, task.ReasonWorkerShutdown))
	if got := e.Status(t, waits).State; got != task.Unscheduled {
		t.Errorf("the dependent is %s", got)
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), root, e.Run(t, root)))
	if got := e.Status(t, waits).State; got != task.Pending {
		t.Errorf("the dependent is %s", got)
	}
	e.Check(t)
}

func TestARerunToGreenReleases(t *testing.T) {
	e := queuetest.New(t)
	root := e.Task(t, task.Failed)
	waits := e.Task(t, task.Unscheduled, queuetest.After(root))
	must(t)(e.Queue.Rerun(t.Context(), root))
	must(t)(e.Queue.ReportCompleted(t.Context(), root, e.Run(t, root)))
	if got := e.Status(t, waits).State; got != task.Pending {
		t.Errorf("the dependent is %s", got)
	}
	must(t)(e.Queue.Rerun(t.Context(), root))
	if got := shape(e.Status(t, waits)); got != "pending left 5 | pending by scheduled" {
		t.Errorf("another rerun of the root changed the dependent to %s", got)
	}
	e.Check(t)
}

func TestEveryDependentIsJudgedForItself(t *testing.T) {
	e := queuetest.New(t)
	root, other := e.Task(t, task.Running), e.Task(t, task.Running)
	want := map[string]task.State{}
	for i := range 30 {
		switch i % 3 {
		case 0:
			want[e.Task(t, task.Unscheduled, queuetest.After(root, other))] = task.Unscheduled
		case 1:
			want[e.Task(t, task.Unscheduled, queuetest.After(root))] = task.Pending
		case 2:
			forced := e.Task(t, task.Unscheduled, queuetest.After(root))
			must(t)(e.Queue.Cancel(t.Context(), forced))
			want[forced] = task.Exception
		}
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), root, 0))
	for id, state := range want {
		if got := e.Status(t, id).State; got != state {
			t.Errorf("a dependent is %s, want %s", got, state)
		}
	}
	e.Check(t)
}

// TestTheLastTwoDependenciesAtOnce: neither of two transactions that resolve them sees the other's
// mark at first; the dependent must be released all the same, and once.
func TestTheLastTwoDependenciesAtOnce(t *testing.T) {
	e := queuetest.New(t)
	for range 25 {
		group := slug.New()
		a, b := e.Task(t, task.Running, queuetest.In(group)), e.Task(t, task.Running, queuetest.In(group))
		waits := e.Task(t, task.Unscheduled, queuetest.After(a, b))
		news := trail(t, e)
		news()
		var both errgroup.Group
		for _, id := range []string{a, b} {
			both.Go(func() error { _, err := e.Queue.ReportCompleted(t.Context(), id, 0); return err })
		}
		if err := both.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := shape(e.Status(t, waits)); got != "pending left 5 | pending by scheduled" {
			t.Fatalf("the dependent is %s", got)
		}
		got := news()
		slices.Sort(got)
		if diff := cmp.Diff([]string{"task-completed/0", "task-completed/0", "task-group-resolved", "task-pending/0"}, got); diff != "" {
			t.Fatal(diff)
		}
	}
	e.Check(t)
}

// TestCreationAgainstResolution: a dependent that is created while its dependency is resolved must not
// be left behind.
func TestCreationAgainstResolution(t *testing.T) {
	e := queuetest.New(t)
	for range 25 {
		root := e.Task(t, task.Running)
		ids := make([]string, 4)
		var all errgroup.Group
		for i := range ids {
			ids[i] = slug.New()
			all.Go(func() error {
				_, err := e.Queue.Create(t.Context(), ids[i], queuetest.Define(queuetest.After(root)))
				return err
			})
		}
		all.Go(func() error { _, err := e.Queue.ReportCompleted(t.Context(), root, 0); return err })
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if got := e.Status(t, id).State; got != task.Pending {
				t.Fatalf("a dependent is %s", got)
			}
		}
	}
	e.Check(t)
}

func TestBatch(t *testing.T) {
	e := queuetest.New(t)
	outside := e.Task(t, task.Completed)
	a, b, c := slug.New(), slug.New(), slug.New()
	batch := []queue.NewTask{
		{ID: c, Definition: queuetest.Define(queuetest.In(a), queuetest.After(a, b, outside))},
		{ID: b, Definition: queuetest.Define(queuetest.In(a), queuetest.After(a))},
		{ID: a, Definition: queuetest.Define(queuetest.After(outside))},
	}
	for range 2 {
		statuses, err := e.Queue.CreateBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, s := range statuses {
			if s.TaskID != batch[i].ID {
				t.Errorf("status %d is of another task", i)
			}
			got = append(got, string(s.State))
		}
		if diff := cmp.Diff([]string{"unscheduled", "unscheduled", "pending"}, got); diff != "" {
			t.Error(diff)
		}
	}
	// A batch that was there in part: the rest is created, and judged by how the first part stands.
	must(t)(e.Queue.ReportCompleted(t.Context(), a, e.Run(t, a)))
	more := slug.New()
	batch = append(batch, queue.NewTask{ID: more, Definition: queuetest.Define(queuetest.In(a), queuetest.After(a))})
	statuses, err := e.Queue.CreateBatch(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	if got := statuses[3].State; got != task.Pending {
		t.Errorf("the new task is %s", got)
	}
	e.Check(t)
}

func TestBatchIsAllOrNothing(t *testing.T) {
	e := queuetest.New(t)
	there := e.Task(t, task.Pending)
	define := queuetest.Define
	a, b, c := slug.New(), slug.New(), slug.New()
	for _, k := range []struct {
		name string
		rest []queue.NewTask
		kind fault.Kind
		text string
	}{
		{"a circle", []queue.NewTask{{ID: b, Definition: define(queuetest.After(c))}, {ID: c, Definition: define(queuetest.After(a))}}, fault.Invalid,
			a + " depends on " + b + " depends on " + c + " depends on " + a},
		{"a missing dependency", []queue.NewTask{{ID: b, Definition: define(queuetest.After("fN1SbArXTPSVFNUvaOlinQ"))}}, fault.Invalid, "fN1SbArXTPSVFNUvaOlinQ"},
		{"a task twice", []queue.NewTask{{ID: b, Definition: define()}, {ID: b, Definition: define()}}, fault.Invalid, "twice"},
		{"a task that exists with another definition", []queue.NewTask{{ID: b, Definition: define()}, {ID: there, Definition: define(anyOutcome)}}, fault.Conflict, there},
		{"two schedulers in a group", []queue.NewTask{{ID: b, Definition: define(queuetest.In(a), func(d *task.Definition) { d.SchedulerID = "x" })}}, fault.Conflict, "scheduler"},
	} {
		t.Run(k.name, func(t *testing.T) {
			first := queue.NewTask{ID: a, Definition: define()}
			if k.name == "a circle" {
				first.Definition.Dependencies = []string{b}
			}
			_, err := e.Queue.CreateBatch(t.Context(), append([]queue.NewTask{first}, k.rest...))
			if !errors.Is(err, k.kind) || !strings.Contains(fault.Message(err), k.text) {
				t.Errorf("got %v", err)
			}
			for _, id := range []string{a, b} {
				if _, err := e.Queue.Status(t.Context(), id); !errors.Is(err, fault.NotFound) {
					t.Errorf("a task of the refused batch is there: %v", err)
				}
			}
		})
	}
	e.Check(t)
}

func TestSameCreateManyTimesAtOnce(t *testing.T) {
	e := queuetest.New(t)
	for range 10 {
		root, id := slug.New(), slug.New()
		batch := []queue.NewTask{{ID: root, Definition: queuetest.Define()}, {ID: id, Definition: queuetest.Define(queuetest.In(root), queuetest.After(root))}}
		news := trail(t, e)
		news()
		var all errgroup.Group
		for i := range 6 {
			mine := slices.Clone(batch)
			if i%2 == 0 {
				slices.Reverse(mine)
			}
			all.Go(func() error { _, err := e.Queue.CreateBatch(t.Context(), mine); return err })
		}
		if err := all.Wait(); err != nil {
			t.Fatal(err)
		}
		got := news()
		slices.Sort(got)
		if diff := cmp.Diff([]string{"task-defined", "task-defined", "task-pending/0"}, got); diff != "" {
			t.Fatal(diff)
		}
	}
	e.Check(t)
}

func TestTenThousandTasks(t *testing.T) {
	e := queuetest.New(t)
	tasks := fan(9999)
	root := tasks[9999].ID
	if _, err := e.Queue.CreateBatch(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	must(t)(e.Queue.ReportCompleted(t.Context(), root, e.Run(t, root)))
	counts, err := e.Queue.GroupCounts(t.Context(), []string{root})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(queue.Counts{task.Completed: 1, task.Pending: 9999}, counts[root]); diff != "" {
		t.Error(diff)
	}
	if _, err := e.Queue.SealGroup(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	canceled, err := e.Queue.CancelGroup(t.Context(), root)
	if err != nil || canceled.CancelledCount != 9999 || canceled.TaskGroupSize != 10000 {
		t.Errorf("canceled %d of %d: %v", canceled.CancelledCount, canceled.TaskGroupSize, err)
	}
	e.Check(t)
}
