package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

func ask(worker string, tasks int, wait time.Duration) queue.ClaimRequest {
	return queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Tasks: tasks, Wait: wait}
}

func claim(t *testing.T, q *queue.Queue, req queue.ClaimRequest) []queue.Claim {
	t.Helper()
	claims, err := q.Claim(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestClaimOrder(t *testing.T) {
	e := queuetest.New(t)
	var want []string
	at := func(p task.Priority) func(*task.Definition) { return func(d *task.Definition) { d.Priority = p } }
	low1 := e.Task(t, task.Pending, at(task.Low))
	high := e.Task(t, task.Pending, at(task.High))
	low2 := e.Task(t, task.Pending, at(task.Low))
	e.Task(t, task.Pending, queuetest.OnQueue("test-provisioner/other"))
	highest := e.Task(t, task.Pending, at(task.Highest))
	want = []string{highest, high, low1, low2}
	got := []string{}
	for _, n := range []int{1, 2, 5} {
		for _, c := range claim(t, e.Queue, ask("w", n, 0)) {
			got = append(got, c.Status.TaskID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if none := claim(t, e.Queue, ask("w", 1, 0)); none == nil || len(none) != 0 {
		t.Errorf("an empty line gave %v", none)
	}
	if _, err := e.Queue.Claim(t.Context(), ask("w", 33, 0)); !errors.Is(err, fault.Invalid) {
		t.Errorf("33 tasks at once: %v", err)
	}
	e.Check(t)
}

func TestBatchKeepsItsOrderInLine(t *testing.T) {
	e := queuetest.New(t)
	var tasks []queue.NewTask
	for range 32 {
		tasks = append(tasks, queue.NewTask{ID: slug.New(), Definition: queuetest.Define()})
	}
	if _, err := e.Queue.CreateBatch(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	for i, c := range claim(t, e.Queue, ask("w", 32, 0)) {
		if c.Status.TaskID != tasks[i].ID {
			t.Fatalf("place %d has another task", i)
		}
	}
}

func TestClaimCarriesCredentialsForItsRun(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Pending, func(d *task.Definition) { d.Scopes = []string{"a:b", "c"} })
	c := claim(t, e.Queue, ask("w", 1, 0))[0]
	if c.TakenUntil.Nanosecond() != 0 {
		t.Errorf("takenUntil %v is not a whole second", c.TakenUntil)
	}
	cert, err := hawk.ParseCertificate([]byte(c.Credentials.Certificate))
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.Verify(c.Credentials.ClientID, queuetest.Issuer().AccessToken, time.Now()); err != nil {
		t.Error(err)
	}
	want := []string{"queue:reclaim-task:" + id + "/0", "queue:resolve-task:" + id + "/0", "queue:create-artifact:" + id + "/0", "a:b", "c"}
	if diff := cmp.Diff(want, cert.Scopes); diff != "" {
		t.Error(diff)
	}
	if until := fmt.Sprintf("task-client/%s/0/on/g/w/until/%d", id, c.TakenUntil.Unix()); c.Credentials.ClientID != until || cert.Expiry != c.TakenUntil.UnixMilli() {
		t.Errorf("named %s until %d, want %s", c.Credentials.ClientID, cert.Expiry, until)
	}
}

func TestWaitingClaimIsWoken(t *testing.T) {
	for _, how := range []struct {
		name   string
		remote bool // the task is created by another replica
	}{{"by its own process", false}, {"for work of another replica", true}} {
		t.Run(how.name, func(t *testing.T) {
			e := queuetest.New(t)
			maker := e
			if how.remote {
				maker = queuetest.On(t, e.Pool)
				e.Start(t)
			}
			root := e.Task(t, task.Unscheduled)
			got := make(chan []queue.Claim)
			for w := range 3 {
				go func() {
					claims, err := e.Queue.Claim(t.Context(), ask(fmt.Sprint("w", w), 1, queue.MaxWait))
					if err != nil {
						t.Error(err)
					}
					got <- claims
				}()
			}
			first, second := slug.New(), slug.New()
			maker.Create(t, first, queuetest.Define())
			maker.Create(t, second, queuetest.Define())
			must(t)(maker.Queue.Schedule(t.Context(), root))
			begin, ids := time.Now(), []string{}
			for range 3 {
				if claims := <-got; len(claims) == 1 {
					ids = append(ids, claims[0].Status.TaskID)
				}
			}
			want := []string{first, second, root}
			slices.Sort(want)
			slices.Sort(ids)
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Error(diff)
			}
			if late := time.Since(begin); late > 10*time.Second {
				t.Errorf("it took %v", late)
			}
		})
	}
}

func TestWaitingClaimEndsWithItsCaller(t *testing.T) {
	e := queuetest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		claims, err := e.Queue.Claim(ctx, ask("gone", 1, queue.MaxWait))
		if err == nil && len(claims) > 0 {
			err = errors.New("it claimed something")
		}
		done <- err
	}()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	e.Task(t, task.Pending)
	if n := len(claim(t, e.Queue, ask("w", 1, 0))); n != 1 {
		t.Errorf("the next claimer got %d tasks", n)
	}
}

// TestManyClaimersLoseNothing has claimers of two replicas work off more than they can hold.
func TestManyClaimersLoseNothing(t *testing.T) {
	const claimers, tasks = 16, 400
	a := queuetest.New(t)
	replicas := []*queuetest.Env{a, queuetest.On(t, a.Pool)}
	for _, r := range replicas {
		r.Start(t)
	}
	var (
		mu    sync.Mutex
		seen  = map[string]int{}
		left  atomic.Int64
		group errgroup.Group
	)
	left.Store(tasks)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for w := range claimers {
		q := replicas[w%2].Queue
		group.Go(func() error {
			for ctx.Err() == nil {
				claims, err := q.Claim(ctx, ask(fmt.Sprint("w", w), 1+w%3, queue.MaxWait))
				if err != nil {
					return err
				}
				for _, c := range claims {
					mu.Lock()
					seen[c.Status.TaskID]++
					mu.Unlock()
					if _, err := q.ReportCompleted(t.Context(), c.Status.TaskID, c.RunID); err != nil {
						return err
					}
					if left.Add(-1) == 0 {
						cancel()
					}
				}
			}
			return nil
		})
	}
	for i := range 8 {
		group.Go(func() error {
			for range tasks / 8 / 5 {
				var batch []queue.NewTask
				for range 5 {
					batch = append(batch, queue.NewTask{ID: slug.New(), Definition: queuetest.Define()})
				}
				if _, err := replicas[i%2].Queue.CreateBatch(t.Context(), batch); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(seen) != tasks {
		t.Errorf("%d tasks were claimed, want %d", len(seen), tasks)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
	a.Check(t)
}

// TestLateCommitIsNotStranded: a row whose transaction takes its number early and commits late stands
// before the marks; it must still be found.
func TestLateCommitIsNotStranded(t *testing.T) {
	e := queuetest.New(t)
	early := e.Task(t, task.Pending)
	tx, err := e.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	// Hide the row as if its transaction had not committed yet.
	if _, err := tx.Exec(t.Context(), `SELECT FROM pending WHERE task_id = $1 FOR UPDATE`, early); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		e.Task(t, task.Pending)
		if n := len(claim(t, e.Queue, ask("w", 1, 0))); n != 1 {
			t.Fatalf("claimed %d tasks", n)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Start(t)
	claims := claim(t, e.Queue, ask("w", 1, 5*time.Second))
	if len(claims) != 1 || claims[0].Status.TaskID != early {
		t.Errorf("claimed %v", claims)
	}
}

func TestCancelAgainstClaim(t *testing.T) {
	e := queuetest.New(t)
	for range 40 {
		id := e.Task(t, task.Pending)
		var (
			group   errgroup.Group
			claimed []queue.Claim
		)
		group.Go(func() error { _, err := e.Queue.Cancel(t.Context(), id); return err })
		group.Go(func() (err error) { claimed, err = e.Queue.Claim(t.Context(), ask("w", 1, 0)); return err })
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if s := e.Status(t, id); s.State != task.Exception || (len(claimed) == 1) != (s.Runs[0].Started != nil) {
			t.Fatalf("after %d claims: %s", len(claimed), shape(s))
		}
	}
	e.Check(t)
}

func TestClaimExpiryIsRetriedUntilNoRetriesAreLeft(t *testing.T) {
	e := queuetest.New(t)
	id := e.Task(t, task.Pending, func(d *task.Definition) { d.Retries = 2 })
	news := trail(t, e)
	news()
	for range 3 {
		e.Run(t, id)
		e.EndClaims(t, id)
	}
	want := "exception left 0 | exception by scheduled as claim-expired | exception by retry as claim-expired | exception by retry as claim-expired"
	if diff := cmp.Diff(want, shape(e.Status(t, id))); diff != "" {
		t.Error(diff)
	}
	events := []string{"task-running/0", "task-exception/0", "task-pending/1", "task-running/1", "task-exception/1", "task-pending/2", "task-running/2", "task-exception/2", "task-group-resolved"}
	if diff := cmp.Diff(events, news()); diff != "" {
		t.Error(diff)
	}
	if err := e.Queue.ExpireClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Check(t)
}

func TestReclaimOutlivesTheFirstClaim(t *testing.T) {
	e := queuetest.New(t, func(d *queue.Deps) { d.ClaimTimeout = time.Hour / 2 })
	id := e.Task(t, task.Running)
	before := e.Status(t, id).Runs[0].TakenUntil
	r, err := e.Queue.Reclaim(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.TakenUntil.Before(before.Time) || r.WorkerID != queuetest.WorkerID || r.Credentials.AccessToken == "" {
		t.Errorf("reclaimed: %+v", r.Status)
	}
	if err := e.Queue.ExpireClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := e.Status(t, id); s.State != task.Running {
		t.Errorf("a claim that holds was resolved: %s", shape(s))
	}
	e.Check(t)
}

func TestDeadlines(t *testing.T) {
	for state, want := range map[task.State]string{
		task.Unscheduled: "exception left 5 | exception by exception as deadline-exceeded",
		task.Pending:     "exception left 5 | exception by scheduled as deadline-exceeded",
		task.Running:     "exception left 5 | exception by scheduled as deadline-exceeded",
		task.Completed:   "completed left 5 | completed by scheduled as completed",
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			e := queuetest.New(t)
			id := e.Task(t, state)
			e.PassDeadlines(t, id)
			e.EndClaims(t, id) // the deadline's business, not the claim's
			for range 2 {
				if err := e.Queue.EnforceDeadlines(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, shape(e.Status(t, id))); diff != "" {
				t.Error(diff)
			}
			e.Check(t)
		})
	}
}

func TestExpiredTasksAreRemoved(t *testing.T) {
	e := queuetest.New(t)
	old, kept, running := e.Task(t, task.Completed), e.Task(t, task.Completed), e.Task(t, task.Running)
	e.Expire(t, old, running)
	if _, err := e.Queue.RemoveExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Queue.Task(t.Context(), old); !errors.Is(err, fault.NotFound) {
		t.Errorf("the expired task: %v", err)
	}
	if _, err := e.Queue.Group(t.Context(), old); !errors.Is(err, fault.NotFound) {
		t.Errorf("its group: %v", err)
	}
	e.Status(t, kept)
	e.Status(t, running) // nobody forgets what still runs
}
