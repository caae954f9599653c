package queue_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// fan returns a root and n tasks of its group that wait for it, about a kilobyte each.
func fan(n int) []queue.NewTask {
	root := slug.New()
	tasks := make([]queue.NewTask, 0, n+1)
	for range n {
		tasks = append(tasks, queue.NewTask{ID: slug.New(), Definition: sized(queuetest.In(root), queuetest.After(root))})
	}
	return append(tasks, queue.NewTask{ID: root, Definition: sized(queuetest.In(root))})
}

func sized(changes ...func(*task.Definition)) task.Definition {
	d := queuetest.Define(changes...)
	d.Payload = []byte(fmt.Sprintf(`{"command": ["/bin/bash", "-c", "%0500d"], "maxRunTime": 3600}`, 0))
	return d
}

func BenchmarkCreate(b *testing.B) {
	for _, connections := range []int{1, 8} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			e := queuetest.New(b)
			b.SetParallelism(connections)
			done := cost(b, e)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					e.Create(b, slug.New(), sized())
				}
			})
			rate(b, b.N)
			done(b.N)
		})
	}
}

func rate(b *testing.B, tasks int) {
	b.ReportMetric(float64(tasks)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkBatch creates 10,000 tasks, 9,999 of which wait for the first, and then releases them by
// completing it, and lists them.
func BenchmarkBatch(b *testing.B) {
	e := queuetest.New(b)
	ctx := b.Context()
	var groups []string
	b.Run("create 10000", func(b *testing.B) {
		for b.Loop() {
			tasks := fan(9999)
			if _, err := e.Queue.CreateBatch(ctx, tasks); err != nil {
				b.Fatal(err)
			}
			groups = append(groups, tasks[9999].ID)
		}
	})
	if len(groups) == 0 {
		return // the filter left out what makes groups
	}
	b.Run("list 10000", func(b *testing.B) {
		for b.Loop() {
			listAll(b, e.Queue, groups[0])
		}
	})
	b.Run("release 9999", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			b.StopTimer()
			if i == len(groups) {
				tasks := fan(9999)
				if _, err := e.Queue.CreateBatch(ctx, tasks); err != nil {
					b.Fatal(err)
				}
				groups = append(groups, tasks[9999].ID)
			}
			run := e.Run(b, groups[i])
			b.StartTimer()
			if _, err := e.Queue.ReportCompleted(ctx, groups[i], run); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func listAll(b *testing.B, q *queue.Queue, group string) {
	count, token := 0, ""
	for {
		page, err := q.ListGroup(b.Context(), group, 1000, token)
		if err != nil {
			b.Fatal(err)
		}
		count += len(page.Tasks)
		if token = page.Next; token == "" {
			break
		}
	}
	if count != 10000 {
		b.Fatalf("%d tasks", count)
	}
}

func BenchmarkClaim(b *testing.B) {
	for _, c := range []struct{ connections, tasks int }{{8, 1}, {8, 32}} {
		b.Run(fmt.Sprintf("connections=%d,tasks=%d", c.connections, c.tasks), func(b *testing.B) {
			e := queuetest.New(b)
			fill(b, e, b.N*c.tasks)
			b.SetParallelism(c.connections)
			done := cost(b, e)
			b.ResetTimer()
			var claimed atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				worker := slug.New()
				for pb.Next() {
					claims, err := e.Queue.Claim(b.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Tasks: c.tasks})
					if err != nil {
						b.Fatal(err)
					}
					claimed.Add(int64(len(claims)))
				}
			})
			rate(b, int(claimed.Load()))
			done(int(claimed.Load()))
		})
	}
}

func fill(b *testing.B, e *queuetest.Env, n int) {
	for n > 0 {
		batch := make([]queue.NewTask, min(n, 5000))
		group := slug.New()
		for i := range batch {
			batch[i] = queue.NewTask{ID: slug.New(), Definition: sized(queuetest.In(group))}
		}
		if _, err := e.Queue.CreateBatch(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n -= len(batch)
	}
}

// BenchmarkLifecycle creates, claims and completes.
func BenchmarkLifecycle(b *testing.B) {
	e := queuetest.New(b)
	b.SetParallelism(8)
	done := cost(b, e)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		worker := slug.New()
		for pb.Next() {
			e.Create(b, slug.New(), sized())
			if err := workOne(b.Context(), e.Queue, worker); err != nil {
				b.Fatal(err)
			}
		}
	})
	rate(b, b.N)
	done(b.N)
}

func workOne(ctx context.Context, q *queue.Queue, worker string) error {
	claims, err := q.Claim(ctx, queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Wait: queue.MaxWait})
	if err != nil || len(claims) != 1 {
		return fmt.Errorf("claimed %d: %w", len(claims), err)
	}
	_, err = q.ReportCompleted(ctx, claims[0].Status.TaskID, claims[0].RunID)
	return err
}

// cost reports the processor time of an operation, which other work on the machine changes less than
// the clock's time: that of this process, and that of the database's processes where /proc shows it.
func cost(b *testing.B, e *queuetest.Env) (report func(n int)) {
	own, theirs := processor(b, e)
	return func(n int) {
		ownNow, theirsNow := processor(b, e)
		b.ReportMetric(float64((ownNow-own).Microseconds())/float64(n), "go-µs/op")
		b.ReportMetric(float64((theirsNow-theirs).Microseconds())/float64(n), "pg-µs/op")
	}
}

func processor(b *testing.B, e *queuetest.Env) (own, theirs time.Duration) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range stats {
		line, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(line), " "+e.Pool.Config().ConnConfig.Database+" ") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(filepath.Dir(name), "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest) // utime and stime are the 14th and 15th of all, in hundredths of a second
		for _, f := range fields[11:13] {
			ticks, err := strconv.Atoi(f)
			if err != nil {
				b.Fatal(err)
			}
			theirs += time.Duration(ticks) * 10 * time.Millisecond
		}
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), theirs
}
