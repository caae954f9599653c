package queue_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// told returns the bodies of the events of a kind, in the order of their commits.
func told(t testing.TB, e *queuetest.Env, kind string) (bodies []map[string]any) {
	t.Helper()
	rows, err := e.Pool.Query(t.Context(), `SELECT payload FROM events WHERE kind = $1 ORDER BY seq`, kind)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			data []byte
			body map[string]any
		)
		if err := rows.Scan(&data); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &body); err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	return bodies
}

func TestChangePriority(t *testing.T) {
	t.Run("a pending task moves in line, and it is told once", func(t *testing.T) {
		e := queuetest.New(t)
		push(t, e, 5)
		id := e.Task(t, task.Pending)
		for range 2 {
			s, err := e.Queue.ChangePriority(t.Context(), id, task.High)
			if err != nil || s.Priority != task.High || s.State != task.Pending {
				t.Fatalf("%+v, %v", s, err)
			}
		}
		bodies := told(t, e, "task-priority-changed")
		if len(bodies) != 1 || bodies[0]["oldPriority"] != "lowest" || bodies[0]["newPriority"] != "high" || bodies[0]["task"] != nil || bodies[0]["runId"] != nil {
			t.Errorf("told %v", bodies)
		}
		if got := claim(t, e.Queue, ask("w", 1, 0)); got[0].Status.TaskID != id {
			t.Error("another task was claimed first")
		}
		e.Check(t)
	})
	for _, state := range []task.State{task.Unscheduled, task.Running} {
		t.Run("a task that is "+string(state)+" stays so", func(t *testing.T) {
			e := queuetest.New(t)
			id := e.Task(t, state)
			if s, err := e.Queue.ChangePriority(t.Context(), id, task.VeryHigh); err != nil || s.State != state || s.Priority != task.VeryHigh {
				t.Errorf("%+v, %v", s, err)
			}
			e.Check(t)
		})
	}
	t.Run("a retry has the new priority", func(t *testing.T) {
		e := queuetest.New(t)
		id := e.Task(t, task.Running)
		if _, err := e.Queue.ChangePriority(t.Context(), id, task.VeryHigh); err != nil {
			t.Fatal(err)
		}
		e.EndClaims(t, id)
		e.Check(t) // the pending row has the task's priority
		if s := e.Status(t, id); s.State != task.Pending || s.Priority != task.VeryHigh {
			t.Errorf("%+v", s)
		}
	})
	t.Run("what cannot be is refused", func(t *testing.T) {
		e := queuetest.New(t)
		if _, err := e.Queue.ChangePriority(t.Context(), e.Task(t, task.Completed), task.High); !errors.Is(err, fault.Conflict) {
			t.Errorf("a completed task: %v", err)
		}
		if _, err := e.Queue.ChangePriority(t.Context(), e.Task(t, task.Pending), "normal"); !errors.Is(err, fault.Invalid) {
			t.Errorf("no priority: %v", err)
		}
		if _, err := e.Queue.ChangePriority(t.Context(), slug.New(), task.High); !errors.Is(err, fault.NotFound) {
			t.Errorf("no task: %v", err)
		}
	})
}

func TestChangeGroupPriority(t *testing.T) {
	e := queuetest.New(t)
	group := push(t, e, 1203)
	done, running := e.Task(t, task.Completed, queuetest.In(group)), e.Task(t, task.Running, queuetest.In(group))
	waits := e.Task(t, task.Unscheduled, queuetest.In(group))
	other := e.Task(t, task.Pending)
	out, err := e.Queue.ChangeGroupPriority(t.Context(), group, task.Medium)
	if err != nil || out.TasksAffected != 1205 || len(out.TaskIDs) != 1205 || !slices.Contains(out.TaskIDs, running) || !slices.Contains(out.TaskIDs, waits) {
		t.Fatalf("%d tasks, %v", out.TasksAffected, err)
	}
	for id, want := range map[string]task.Priority{done: task.Lowest, running: task.Medium, other: task.Lowest} {
		if got := e.Status(t, id).Priority; got != want {
			t.Errorf("a task has priority %s, want %s", got, want)
		}
	}
	if out, err = e.Queue.ChangeGroupPriority(t.Context(), group, task.Medium); err != nil || out.TasksAffected != 0 || out.TaskIDs == nil {
		t.Errorf("again: %+v, %v", out, err)
	}
	want := []map[string]any{
		{"taskGroupId": group, "schedulerId": "-", "newPriority": "medium", "tasksAffected": 1205.0, "version": 1.0},
		{"taskGroupId": group, "schedulerId": "-", "newPriority": "medium", "tasksAffected": 0.0, "version": 1.0},
	}
	if diff := cmp.Diff(want, told(t, e, "task-group-priority-changed")); diff != "" {
		t.Error(diff)
	}
	if got := count(serve(t, e, 60, 20)); got[group] != 60 {
		t.Errorf("claimed of %v", got)
	}
	e.Check(t)
}

func TestWeights(t *testing.T) {
	t.Run("groups share by their weights", func(t *testing.T) {
		e := queuetest.New(t)
		heavy, light := slug.New(), slug.New()
		for _, g := range []string{heavy, light} {
			e.Task(t, task.Completed, queuetest.In(g))
		}
		if _, err := e.Queue.WeighGroup(t.Context(), heavy, 4); err != nil {
			t.Fatal(err)
		}
		for _, g := range []string{light, heavy} {
			batch := make([]queue.NewTask, 300)
			for i := range batch {
				batch[i] = queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(g))}
			}
			if _, err := e.Queue.CreateBatch(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(map[string]int{heavy: 160, light: 40}, count(serve(t, e, 200, 8))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a new weight holds for what is in line already", func(t *testing.T) {
		e := queuetest.New(t)
		first, second := push(t, e, 500), push(t, e, 500)
		g, err := e.Queue.WeighGroup(t.Context(), second, 3)
		if err != nil || g.Moved != 499 || g.Weight != 3 {
			t.Fatalf("%+v, %v", g, err)
		}
		if again, err := e.Queue.WeighGroup(t.Context(), second, 3); err != nil || again.Moved != 0 {
			t.Fatalf("again: %+v, %v", again, err)
		}
		if diff := cmp.Diff(map[string]int{first: 25, second: 75}, count(serve(t, e, 100, 1))); diff != "" {
			t.Error(diff)
		}
		if _, err := e.Queue.WeighGroup(t.Context(), second, 1); err != nil {
			t.Fatal(err)
		}
		if got := count(serve(t, e, 100, 1)); got[first] < 49 || got[first] > 51 {
			t.Errorf("of equal weight again: %v", got)
		}
		e.Check(t)
	})
	t.Run("what cannot be is refused", func(t *testing.T) {
		e := queuetest.New(t)
		if _, err := e.Queue.WeighGroup(t.Context(), slug.New(), 2); !errors.Is(err, fault.NotFound) {
			t.Errorf("no group: %v", err)
		}
		for _, weight := range []int{-1, 0, 101} {
			if _, err := e.Queue.WeighGroup(t.Context(), slug.New(), weight); !errors.Is(err, fault.Invalid) {
				t.Errorf("weight %d: %v", weight, err)
			}
		}
	})
}

func TestClaimTask(t *testing.T) {
	e := queuetest.New(t)
	push(t, e, 3)
	id := e.Task(t, task.Pending, func(d *task.Definition) { d.Scopes = []string{"a:scope"} })
	worker := queue.ClaimRequest{WorkerGroup: "g", WorkerID: "w"}
	first, err := e.Queue.ClaimTask(t.Context(), id, 0, worker)
	if err != nil || first.Status.State != task.Running || first.Task.Scopes[0] != "a:scope" || first.Credentials.AccessToken == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := e.Queue.ClaimTask(t.Context(), id, 0, worker)
	if err != nil || !again.TakenUntil.Equal(first.TakenUntil.Time) {
		t.Errorf("the same worker again: %v, %v", again.TakenUntil, err)
	}
	e.Check(t)
	for what, err := range map[string]error{
		"another worker":  second(e.Queue.ClaimTask(t.Context(), id, 0, queue.ClaimRequest{WorkerGroup: "g", WorkerID: "x"})),
		"a resolved task": second(e.Queue.ClaimTask(t.Context(), e.Task(t, task.Failed), 0, worker)),
		"a passed deadline": func() error {
			late := e.Task(t, task.Pending)
			e.PassDeadlines(t, late)
			return second(e.Queue.ClaimTask(t.Context(), late, 0, worker))
		}(),
	} {
		if !errors.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"no run":  second(e.Queue.ClaimTask(t.Context(), id, 1, worker)),
		"no task": second(e.Queue.ClaimTask(t.Context(), slug.New(), 0, worker)),
	} {
		if !errors.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestClaimTaskRefusesAWorkerInQuarantine(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Pending)
	_, err := e.Pool.Exec(t.Context(), `INSERT INTO worker_details (task_queue_id, worker_group, worker_id, quarantine_until)
		VALUES ($1, 'g', 'w', now() + interval '1 hour')`, queuetest.TaskQueueID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.ClaimTask(t.Context(), id, 0, queue.ClaimRequest{WorkerGroup: "g", WorkerID: "w"}); !errors.Is(err, fault.Conflict) {
		t.Errorf("claimed: %v", err)
	}
	claim(t, e.Queue, ask("w2", 0, 0))
	if _, err := e.Pool.Exec(t.Context(), `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ($1, 'g', 'w')`, queuetest.TaskQueueID); err != nil {
		t.Fatal(err)
	}
	a, err := e.Queue.WhyPending(t.Context(), e.Task(t, task.Pending))
	if err != nil || a.Line.QuarantinedWorkers != 1 || a.Line.BusyWorkers != 1 {
		t.Errorf("%+v, %v", a.Line, err)
	}
}

// TestPriorityChangesRaceWithClaims changes priorities and weights of tasks while they are claimed,
// completed and tried again by two replicas.
func TestPriorityChangesRaceWithClaims(t *testing.T) {
	one := queuetest.New(t)
	two := queuetest.On(t, one.Pool)
	groups := []string{push(t, one, 60), push(t, one, 60)}
	var ids []string
	for _, g := range groups {
		page, err := one.Queue.ListGroup(t.Context(), g, 1000, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Tasks {
			ids = append(ids, i.Status.TaskID)
		}
	}
	var (
		work sync.WaitGroup
		left atomic.Int64
	)
	left.Store(int64(len(ids)))
	levels := task.Priorities()
	for n, e := range []*queuetest.Env{one, two} {
		work.Go(func() { // steers
			for i := 0; left.Load() > 0 && t.Context().Err() == nil; i++ {
				to := levels[(i+n)%len(levels)]
				if _, err := e.Queue.ChangePriority(t.Context(), ids[i*7%len(ids)], to); err != nil && !errors.Is(err, fault.Conflict) {
					t.Errorf("priority: %v", err)
				}
				if i%10 == 0 {
					if _, err := e.Queue.ChangeGroupPriority(t.Context(), groups[i/10%2], to); err != nil {
						t.Errorf("priority of the group: %v", err)
					}
					if _, err := e.Queue.WeighGroup(t.Context(), groups[n], 1+i%100); err != nil {
						t.Errorf("weight: %v", err)
					}
				}
			}
		})
		work.Go(func() { // works; every fifth run is given back
			for i := 0; left.Load() > 0 && t.Context().Err() == nil; i++ {
				claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{
					TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: slug.New(), Tasks: 3, Wait: 100 * time.Millisecond,
				})
				if err != nil {
					t.Errorf("claim: %v", err)
				}
				for _, k := range claims {
					if k.RunID == 0 && i%5 == 0 {
						_, err = e.Queue.ReportException(t.Context(), k.Status.TaskID, k.RunID, task.ReasonWorkerShutdown)
					} else if _, err = e.Queue.ReportCompleted(t.Context(), k.Status.TaskID, k.RunID); err == nil {
						left.Add(-1)
					}
					if err != nil {
						t.Errorf("report: %v", err)
					}
				}
			}
		})
	}
	work.Wait()
	for _, id := range ids {
		if s := one.Status(t, id); s.State != task.Completed {
			t.Errorf("task %s is %s", id, s.State)
		}
	}
	one.Check(t)
}
