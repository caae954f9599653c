package queue_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
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
	t.Run("a group that adds a task whenever its last one was claimed gets no more than its share", func(t *testing.T) {
		e := queuetest.New(t)
		big, trickle := push(t, e, 100), slug.New()
		e.Create(t, slug.New(), queuetest.Define(queuetest.In(trickle)))
		got := map[string]int{}
		for range 40 {
			g := serve(t, e, 1, 1)[0]
			if got[g]++; g == trickle {
				e.Create(t, slug.New(), queuetest.Define(queuetest.In(trickle)))
			}
		}
		if got[trickle] < 18 || got[trickle] > 21 {
			t.Errorf("of 40 claims %d were of the big group, %d of the other", got[big], got[trickle])
		}
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
		for _, id := range older { // as the older program inserts them
			for _, sql := range []string{
				`DELETE FROM pending WHERE task_id = $1`,
				`INSERT INTO pending (task_id, task_queue_id, priority, run_id) SELECT task_id, task_queue_id, priority, 0 FROM tasks WHERE task_id = $1`,
			} {
				if _, err := e.Pool.Exec(t.Context(), sql, id); err != nil {
					t.Fatal(err)
				}
			}
		}
		e = queuetest.On(t, e.Pool)
		if diff := cmp.Diff(older, take(t, e, 2)); diff != "" {
			t.Error(diff)
		}
		e.Check(t)
	})
	t.Run("an older version of the database keeps the order", func(t *testing.T) {
		e := queuetest.New(t)
		push(t, e, 30)
		push(t, e, 10)
		want := inLine(t, e)
		if err := pg.Downgrade(t.Context(), e.Pool, 7); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, inLine(t, e)); diff != "" {
			t.Error(diff)
		}
		// What the older program adds comes last.
		if _, err := e.Pool.Exec(t.Context(), `INSERT INTO pending (task_id, task_queue_id, priority, run_id) VALUES ('last', $1, 1, 0)`, queuetest.TaskQueueID); err != nil {
			t.Fatal(err)
		}
		want = append(want, "last")
		if err := pg.Upgrade(t.Context(), e.Pool, 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, inLine(t, e)); diff != "" {
			t.Error(diff)
		}
	})
}

// take claims n tasks one by one and returns them.
func take(t testing.TB, e *queuetest.Env, n int) (ids []string) {
	t.Helper()
	for range n {
		claims, err := e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w"})
		if err != nil || len(claims) != 1 {
			t.Fatalf("claimed %d tasks: %v", len(claims), err)
		}
		ids = append(ids, claims[0].Status.TaskID)
	}
	return ids
}

// inLine returns the pending tasks in their order; equal turns stand by id.
func inLine(t testing.TB, e *queuetest.Env) []string {
	t.Helper()
	rows, err := e.Pool.Query(t.Context(), `SELECT task_id FROM pending ORDER BY priority DESC, seq, task_id`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestSharesWhileReplicasWork has two replicas add tasks to two groups and claim them at the same time:
// whatever comes late or is seen late, each group gets its share, and about that in any window of claims.
func TestSharesWhileReplicasWork(t *testing.T) {
	one := queuetest.New(t)
	two := queuetest.On(t, one.Pool)
	batch, singles := push(t, one, 900), slug.New()
	var adding sync.WaitGroup
	for i := range 8 {
		e := []*queuetest.Env{one, two}[i%2]
		adding.Go(func() {
			for range 75 {
				if _, err := e.Queue.Create(t.Context(), slug.New(), queuetest.Define(queuetest.In(singles))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var served []string
	for i := range 100 { // while they are added, slower than that
		served = append(served, serve(t, []*queuetest.Env{one, two}[i%2], 1, 1)...)
	}
	adding.Wait()
	for i := range 400 {
		served = append(served, serve(t, []*queuetest.Env{one, two}[i%2], 1, 1)...)
	}
	// While both give turns, each learns of the other's every 10 ms: the group may get up to two shares of three
	// for as long, and makes up for it.
	const window = 100
	for from := 40; from+window <= len(served); from += 20 {
		if got := count(served[from : from+window])[singles]; got < window*3/10 || got > window*7/10 {
			t.Errorf("of claims %d to %d, the group that two replicas add to got %d", from, from+window, got)
		}
	}
	if all := count(served); all[singles] < len(served)/3 || all[singles] > len(served)*2/3 {
		t.Errorf("of %d claims the group that two replicas add to got %d", len(served), all[singles])
	}
	t.Logf("of %d claims %v went to the batch and %v to the tasks that two replicas added one by one", len(served), count(served)[batch], count(served)[singles])
	one.Check(t)
}
