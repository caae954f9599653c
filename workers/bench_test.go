package workers_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers"
	"github.com/treeline-ci/treeline/workers/engine/cgroup"
	"github.com/treeline-ci/treeline/workers/engine/process"
)

// BenchmarkNoOpTasks runs tasks that do nothing, with everything a task has (directory, control group, log,
// claim, report), on a real server and database of this machine, which take their share of its processors.
// "make bench-worker" prints the table. TASKS is how many, 1,000 unless set.
func BenchmarkNoOpTasks(b *testing.B) {
	n := 1000
	if v, err := strconv.Atoi(os.Getenv("TASKS")); err == nil {
		n = v
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nat once\ttasks\ttasks/s\tclaim to report, median\tp99")
	for _, capacity := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("at-once=%d", capacity), func(b *testing.B) {
			for range b.N {
				tasks := n
				if capacity == 1 {
					tasks = max(1, n/10)
				}
				rate, median, p99 := noOps(b, capacity, tasks)
				b.ReportMetric(rate, "tasks/s")
				b.ReportMetric(float64(median.Microseconds())/1000, "ms/task")
				fmt.Fprintf(table, "%d\t%d\t%.0f\t%s\t%s\n", capacity, tasks, rate, median.Round(100*time.Microsecond), p99.Round(100*time.Microsecond))
			}
		})
	}
	if err := table.Flush(); err != nil {
		b.Error(err)
	}
}

// noOps runs tasks and says how many a second came through, and how long each took its worker.
func noOps(b *testing.B, capacity, n int) (rate float64, median, p99 time.Duration) {
	b.Helper()
	s := startServer(b, 20*time.Minute)
	ids := make([]string, n)
	now := time.Now()
	for start := 0; start < n; start += 100 {
		var batch []client.NewTask
		for i := start; i < min(start+100, n); i++ {
			ids[i] = slug.Nice()
			batch = append(batch, client.NewTask{TaskID: ids[i], Task: dict{
				"taskQueueId": testQueue, "schedulerId": "test", "created": task.At(now), "deadline": task.At(now.Add(time.Hour)), "expires": task.At(now.Add(2 * time.Hour)),
				"payload":  dict{"command": [][]string{{"true"}}, "maxRunTime": 60},
				"metadata": dict{"name": "no-op", "description": "d", "owner": "o@example.com", "source": "https://example.com"},
			}})
		}
		if _, err := s.root.CreateTasks(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	groups, err := cgroup.Open("treeline-bench")
	if err != nil {
		groups = nil // the table is without them then
	}
	e := process.New(process.Options{Groups: groups})
	b.ResetTimer()
	began := time.Now()
	a := s.work(func(c *workers.Config) { c.Engine, c.Capacity, c.MaxTasks, c.LogEvery = e, capacity, n, 0 })
	if err := <-a.done; err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	b.StopTimer()
	if err := e.Close(); err != nil {
		b.Error(err)
	}
	var each []time.Duration
	for _, id := range ids {
		st := s.status(id)
		run := st.LastRun()
		if run.ReasonResolved != task.ReasonCompleted {
			b.Fatalf("task %s was resolved as %s", id, run.ReasonResolved)
		}
		each = append(each, run.Resolved.Sub(run.Started.Time))
	}
	slices.Sort(each)
	return float64(n) / took.Seconds(), each[len(each)/2], each[len(each)*99/100]
}

// BenchmarkLiveLog measures how long a line takes from the task's command to somebody who follows the log, through
// the worker and the server. The log is sent as often as usual.
func BenchmarkLiveLog(b *testing.B) {
	const lines = 100
	for range b.N {
		s := startServer(b, 20*time.Minute)
		s.work(func(c *workers.Config) { c.LogEvery = 0 })
		id := s.create(sh(fmt.Sprintf("sleep 1; i=0; while [ $i -lt %d ]; do i=$((i+1)); echo at $(date +%%s%%N); sleep 0.0$((i%%10))7; done", lines)), nil)
		var address string
		await(b, "the live log", func() bool {
			var err error
			address, err = s.root.Locate(b.Context(), id, client.LatestRun, "public/logs/live.log")
			return err == nil
		})
		seen := &stopwatch{}
		if _, err := s.root.Follow(b.Context(), address, 0, seen); err != nil {
			b.Fatal(err)
		}
		slices.Sort(seen.each)
		if len(seen.each) != lines {
			b.Fatalf("%d lines of %d", len(seen.each), lines)
		}
		b.ReportMetric(float64(seen.each[lines/2].Milliseconds()), "ms-median")
		b.ReportMetric(float64(seen.each[lines*99/100].Milliseconds()), "ms-p99")
	}
}

// stopwatch reads when lines were written, and notes how long ago that is.
type stopwatch struct {
	rest string
	each []time.Duration
}

func (w *stopwatch) Write(p []byte) (int, error) {
	w.rest += string(p)
	for {
		line, rest, whole := strings.Cut(w.rest, "\n")
		if !whole {
			return len(p), nil
		}
		w.rest = rest
		if text, ok := strings.CutPrefix(line, "at "); ok {
			if at, err := strconv.ParseInt(text, 10, 64); err == nil {
				w.each = append(w.each, time.Since(time.Unix(0, at)))
			}
		}
	}
}
