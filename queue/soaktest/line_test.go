package soaktest_test

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

var heldFlag = flag.Duration("held", 0, "for how long to measure throughput with and without an old transaction; 0: short")

// replica returns a queue on a pool of its own, as a server has it, with its loops running.
func replica(t *testing.T, url string) *queuetest.Env {
	t.Helper()
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(12), pg.KeepPlans())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	e := queuetest.On(t, pool)
	e.Start(t)
	return e
}

// TestNoTaskIsStranded has 32 claimers wait on two replicas for 2,000 tasks that arrive in waves, some
// released by others, some lost and tried again. Each is claimed, soon, and what is left at the end is
// nothing.
func TestNoTaskIsStranded(t *testing.T) {
	const claimers, waves, wave = 32, 20, 100
	const bound = 30 * time.Second // far above what is usual: of a loaded machine, not of a queue that forgets
	url := pgtest.URL(t)
	replicas := []*queuetest.Env{replica(t, url), replica(t, url)}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var (
		left  atomic.Int64
		over  = make(chan struct{})
		group errgroup.Group
	)
	left.Store(waves * wave)
	working, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-over:
		case <-ctx.Done():
		}
		stop()
	}()
	for i := range claimers {
		q := replicas[i%2].Queue
		group.Go(func() error {
			for n := 0; working.Err() == nil; n++ {
				claims, err := q.Claim(working, queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: fmt.Sprint("w", i), Tasks: 1 + n%3, Wait: queue.MaxWait})
				if err != nil {
					return err
				}
				for _, k := range claims {
					if k.RunID == 0 && k.Status.TaskID[0]%8 == 0 { // some lose their worker
						if _, err := q.ReportException(ctx, k.Status.TaskID, 0, task.ReasonWorkerShutdown); err != nil {
							return err
						}
						continue
					}
					if _, err := q.ReportCompleted(ctx, k.Status.TaskID, k.RunID); err != nil {
						return err
					}
					if left.Add(-1) == 0 {
						close(over)
					}
				}
			}
			return nil
		})
	}
	for w := range waves {
		batch := make([]queue.NewTask, wave)
		in := slug.New()
		for i := range batch {
			changes := []func(*task.Definition){queuetest.In(in)}
			if i%10 == 9 {
				changes = append(changes, queuetest.After(batch[i-9].ID))
			}
			batch[i] = queue.NewTask{ID: slug.New(), Definition: queuetest.Define(changes...)}
		}
		if _, err := replicas[w%2].Queue.CreateBatch(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := left.Load(); n != 0 {
		t.Errorf("%d of %d tasks were not done in time", n, waves*wave)
	}
	var longest float64
	var stranded int
	err := replicas[0].Pool.QueryRow(t.Context(), `SELECT (SELECT extract(epoch FROM max(started - scheduled)) FROM runs), (SELECT count(*) FROM pending)`).Scan(&longest, &stranded)
	if err != nil {
		t.Fatal(err)
	}
	if longest > bound.Seconds() || stranded > 0 {
		t.Errorf("a task waited for %.1f s with %d claimers idle; %d are stranded", longest, claimers, stranded)
	}
	t.Logf("the longest wait was %.2f s", longest)
	replicas[0].Check(t)
}

// TestThroughputBesideAnOldTransaction measures create, claim and complete on two databases in turns, on
// one of which a transaction that began before the first task stays open. Its dead rows must not make it
// slow.
func TestThroughputBesideAnOldTransaction(t *testing.T) {
	total, window, least := *heldFlag, 3*time.Second, 0.8
	if total == 0 {
		total, window, least = 2*time.Second, 500*time.Millisecond, 0.5 // too short to be exact
	}
	freeURL, heldURL := pgtest.URL(t), pgtest.URL(t)
	free, held := replica(t, freeURL), replica(t, heldURL)
	holder, err := pgx.Connect(t.Context(), heldURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Close(context.WithoutCancel(t.Context())) }) // it only read
	if _, err := holder.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pending"); err != nil {
		t.Fatal(err)
	}
	var through [2]int
	var spent [2]time.Duration
	for spent[1] < total {
		for i, e := range []*queuetest.Env{free, held} {
			n, d := stream(t, e.Queue, window)
			through[i] += n
			spent[i] += d
		}
	}
	rate := func(i int) float64 { return float64(through[i]) / spent[i].Seconds() }
	ratio := rate(1) / rate(0)
	t.Logf("beside an old transaction: %.0f tasks/s, without it %.0f tasks/s: %.0f %% (%d and %d tasks)", rate(1), rate(0), 100*ratio, through[1], through[0])
	if ratio < least {
		t.Errorf("an old transaction cuts throughput to %.0f %%", 100*ratio)
	}
}

// stream creates, claims and completes tasks for a while, on eight connections.
func stream(t *testing.T, q *queue.Queue, d time.Duration) (tasks int, spent time.Duration) {
	t.Helper()
	var (
		working sync.WaitGroup
		done    atomic.Int64
		began   = time.Now()
		failed  = make(chan error, 8)
	)
	for i := range 8 {
		working.Go(func() {
			line := fmt.Sprint("held/line-", i)
			for time.Since(began) < d {
				n, err := stretch(t.Context(), q, line)
				done.Add(int64(n))
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	working.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	return int(done.Load()), time.Since(began)
}

// stretch takes 32 tasks from their creation to their completion.
func stretch(ctx context.Context, q *queue.Queue, line string) (done int, err error) {
	batch, in := make([]queue.NewTask, 32), slug.New()
	for i := range batch {
		batch[i] = queue.NewTask{ID: slug.New(), Definition: queuetest.Define(queuetest.In(in), queuetest.OnQueue(line))}
	}
	if _, err := q.CreateBatch(ctx, batch); err != nil {
		return 0, err
	}
	for done < len(batch) {
		claims, err := q.Claim(ctx, queue.ClaimRequest{TaskQueueID: line, WorkerGroup: "g", WorkerID: "w", Tasks: queue.MaxClaim, Wait: queue.MaxWait})
		if err != nil {
			return done, err
		}
		for _, k := range claims {
			if _, err := q.ReportCompleted(ctx, k.Status.TaskID, k.RunID); err != nil {
				return done, err
			}
			done++
		}
	}
	return done, nil
}
