package workers_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

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
	fmt.Fprintln(table, "\nat once\ttasks\ttasks/s\tclaim to report, median\tp99\tprocessor time a task: agent and server\tits command\tconnections of PostgreSQL\ttransactions")
	for _, capacity := range []int{1, 20, 200} {
		b.Run(fmt.Sprintf("at-once=%d", capacity), func(b *testing.B) {
			for range b.N {
				tasks := n
				if capacity == 1 {
					tasks = max(1, n/10)
				}
				f := noOps(b, capacity, tasks)
				b.ReportMetric(f.rate, "tasks/s")
				b.ReportMetric(float64(f.median.Microseconds())/1000, "ms/task")
				b.ReportMetric(float64((f.own+f.commands+f.database).Microseconds())/1000, "cpu-ms/task")
				round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
				fmt.Fprintf(table, "%d\t%d\t%.0f\t%s\t%s\t%s\t%s\t%s\t%.1f\n", capacity, tasks, f.rate, round(f.median), round(f.p99),
					round(f.own), round(f.commands), round(f.database), f.transactions)
			}
		})
	}
	if err := table.Flush(); err != nil {
		b.Error(err)
	}
}

// figures are what a number of tasks cost, each.
type figures struct {
	rate                    float64 // tasks a second
	median, p99             time.Duration
	own, commands, database time.Duration // processor time of agent and server, of the tasks' processes, and of the database's connections
	transactions            float64
}

// noOps runs tasks and says how many a second came through, how long each took its worker, and what it cost.
func noOps(b *testing.B, capacity, n int) figures {
	b.Helper()
	s := startServer(b, 20*time.Minute)
	ids := s.createNoOps(n)
	groups, err := cgroup.Open("treeline-bench")
	if err != nil {
		groups = nil // the table is without them then
	}
	e := process.New(process.Options{Groups: groups})
	before := s.spent()
	b.ResetTimer()
	began := time.Now()
	a := s.work(func(c *workers.Config) { c.Engine, c.Capacity, c.MaxTasks, c.LogEvery = e, capacity, n, 0 })
	if err := <-a.done; err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	b.StopTimer()
	f := s.spent().since(before, n)
	f.rate = float64(n) / took.Seconds()
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
	f.median, f.p99 = each[len(each)/2], each[len(each)*99/100]
	return f
}

// createNoOps creates tasks that do nothing.
func (s *server) createNoOps(n int) []string {
	s.t.Helper()
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
		if _, err := s.root.CreateTasks(s.t.Context(), batch); err != nil {
			s.t.Fatal(err)
		}
	}
	return ids
}

// spending is what was used until now.
type spending struct {
	own, commands time.Duration
	database      map[int]time.Duration // by backend
	transactions  int64
}

func (now spending) since(before spending, n int) figures {
	each := func(d time.Duration) time.Duration { return d / time.Duration(n) }
	var database time.Duration
	for pid, used := range now.database {
		database += used - before.database[pid]
	}
	return figures{
		own: each(now.own - before.own), commands: each(now.commands - before.commands), database: each(database),
		transactions: float64(now.transactions-before.transactions) / float64(n),
	}
}

// spent asks the system for the processor time of this process, of those it started, and of this
// database's connections, and PostgreSQL for the transactions.
func (s *server) spent() (p spending) {
	s.t.Helper()
	used := func(who int) time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			s.t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	p.own, p.commands = used(syscall.RUSAGE_SELF), used(syscall.RUSAGE_CHILDREN)
	p.database = map[int]time.Duration{}
	rows, err := s.pool.Query(s.t.Context(), "SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
	if err != nil {
		s.t.Fatal(err)
	}
	backends, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		s.t.Fatal(err)
	}
	for _, pid := range backends {
		p.database[pid] = processorTime(s.t, pid)
	}
	if err := s.pool.QueryRow(s.t.Context(), "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()").Scan(&p.transactions); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// processorTime is that of a process; on Linux only, elsewhere 0.
func processorTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // it has ended, or this is no Linux
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // of the user and of the system, each in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
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
