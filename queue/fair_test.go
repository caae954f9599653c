package queue_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// push creates n tasks of a new group in one batch.
func push(t testing.TB, e *queuetest.Env, n int, changes ...func(*task.Definition)) (group string) {
	t.Helper()
	group = slug.New()
	batch := make([]queue.NewTask, n)
	for i := range batch {
		batch[i] = queue.NewTask{ID: slug.New(), Definition: queuetest.Define(append(changes, queuetest.In(group))...)}
	}
	if _, err := e.Queue.CreateBatch(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return group
}

// serve claims n tasks, so many at a time, and returns the groups they are of, in order.
func serve(t testing.TB, e *queuetest.Env, n, atOnce int) (groups []string) {
	t.Helper()
	for len(groups) < n {
		claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{
			TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w", Tasks: min(atOnce, n-len(groups)),
		})
		if err != nil || len(claims) == 0 {
			t.Fatalf("claimed %d tasks: %v", len(claims), err)
		}
		for _, c := range claims {
			groups = append(groups, c.Status.TaskGroupID)
		}
	}
	return groups
}

func count(groups []string) map[string]int {
	out := map[string]int{}
	for _, g := range groups {
		out[g]++
	}
	return out
}

func TestGroupsTakeTurns(t *testing.T) {
	t.Run("a small push does not wait behind a big one", func(t *testing.T) {
		e := queuetest.New(t)
		push(t, e, 10_000)
		serve(t, e, 7, 1)
		small := push(t, e, 10)
		if got := count(serve(t, e, 21, 3))[small]; got != 10 {
			t.Errorf("%d of the 10 were claimed in the first 21 claims", got)
		}
		e.Check(t)
	})
	t.Run("a small push does not wait behind a big one that another replica added", func(t *testing.T) {
		e := queuetest.New(t)
		other := queuetest.On(t, e.Pool)
		push(t, e, 2000)
		serve(t, other, 100, 10)
		small := push(t, other, 10)
		if got := count(serve(t, e, 21, 1))[small]; got != 10 {
			t.Errorf("%d of the 10 were claimed in the first 21 claims", got)
		}
	})
	t.Run("tasks created one by one take turns as well", func(t *testing.T) {
		e := queuetest.New(t)
		big, small := slug.New(), slug.New()
		for range 60 {
			e.Create(t, slug.New(), queuetest.Define(queuetest.In(big)))
		}
		for range 5 {
			e.Create(t, slug.New(), queuetest.Define(queuetest.In(small)))
		}
		if got := count(serve(t, e, 10, 1)); got[small] != 5 {
			t.Errorf("of the first 10 claims the small group got %d", got[small])
		}
	})
	t.Run("released dependents take turns", func(t *testing.T) {
		e := queuetest.New(t)
		group, root := slug.New(), slug.New()
		batch := []queue.NewTask{{ID: root, Definition: queuetest.Define(queuetest.In(group))}}
		for range 200 {
			batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(group), queuetest.After(root))})
		}
		if _, err := e.Queue.CreateBatch(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		run := e.Run(t, root)
		rival := push(t, e, 50)
		if _, err := e.Queue.ReportCompleted(t.Context(), root, run); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]int{group: 20, rival: 20}, count(serve(t, e, 40, 1))); diff != "" {
			t.Error(diff)
		}
		e.Check(t)
	})
	t.Run("a task that lost its worker is next", func(t *testing.T) {
		e := queuetest.New(t)
		push(t, e, 20)
		lost := e.Task(t, task.Running, queuetest.In(slug.New()))
		e.EndClaims(t, lost)
		claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w"})
		if err != nil || len(claims) != 1 || claims[0].Status.TaskID != lost || claims[0].RunID != 1 {
			t.Errorf("claimed %+v, %v", claims, err)
		}
	})
	t.Run("rows of an older program come first, in their order", func(t *testing.T) {
		e := queuetest.New(t)
		push(t, e, 5)
		older := []string{e.Task(t, task.Pending), e.Task(t, task.Pending)}
		for _, id := range older { // as the older statement inserts them
			if _, err := e.Pool.Exec(t.Context(), `WITH gone AS (DELETE FROM pending WHERE task_id = $1 RETURNING *)
				INSERT INTO pending (task_id, task_queue_id, priority, run_id) SELECT task_id || '', task_queue_id, priority, run_id FROM gone
				ON CONFLICT DO NOTHING`, id); err != nil {
				t.Fatal(err)
			}
		}
		e = queuetest.On(t, e.Pool)
		claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w", Tasks: 2})
		if err != nil || len(claims) != 2 {
			t.Fatal(claims, err)
		}
		if diff := cmp.Diff(older, []string{claims[0].Status.TaskID, claims[1].Status.TaskID}); diff != "" {
			t.Error(diff)
		}
	})
}
