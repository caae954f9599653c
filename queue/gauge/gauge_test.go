package gauge_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), gauge.Statements...) }

func on(t *testing.T, pool *pgxpool.Pool) *gauge.Gauge {
	return &gauge.Gauge{Pool: pool, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Age: -1}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// TestThePendingListIsTheOrderOfClaims: groups of different weights and priorities, some tasks run before; workers then
// get exactly what the list says, one at a time and some at once (check W5).
func TestThePendingListIsTheOrderOfClaims(t *testing.T) {
	e := queuetest.New(t)
	g := on(t, e.Pool)
	random := rand.New(rand.NewPCG(7, 7))
	priorities := task.Priorities()
	var groups []string
	for i := range 12 {
		group := slug.New()
		groups = append(groups, group)
		for range 5 {
			e.Task(t, task.Pending, queuetest.In(group), func(d *task.Definition) { d.Priority = priorities[random.IntN(len(priorities))] })
		}
		if i%4 == 0 {
			if _, err := e.Queue.WeighGroup(t.Context(), group, 1+random.IntN(20)); err != nil {
				t.Fatal(err)
			}
		}
	}
	claim := func(n int) (ids []string) {
		for _, c := range must[[]queue.Claim](t)(e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "w", Tasks: n})) {
			ids = append(ids, c.Status.TaskID)
		}
		return ids
	}
	claim(7)
	for i := range 147 {
		e.Task(t, task.Pending, queuetest.In(groups[random.IntN(12)]), func(d *task.Definition) { d.Priority = priorities[i%len(priorities)] })
	}
	listed := must[[]gauge.Waiting](t)(g.Pending(t.Context(), queuetest.TaskQueueID, 0, 1000))
	if len(listed) != 200 {
		t.Fatalf("%d are listed", len(listed))
	}
	var want []string
	for i, w := range listed {
		want = append(want, w.TaskID)
		higher, own := 0, 0
		for _, before := range listed[:i] {
			if before.Priority != w.Priority {
				higher++
			} else if before.TaskGroupID == w.TaskGroupID {
				own++
			}
		}
		if w.Higher != higher || w.Own != own || w.Created != "scheduled" || w.Name != "test" {
			t.Fatalf("row %d: %+v; want %d higher, %d of its own", i, w, higher, own)
		}
	}
	page := must[[]gauge.Waiting](t)(g.Pending(t.Context(), queuetest.TaskQueueID, 50, 25))
	if diff := cmp.Diff(listed[50:75], page); diff != "" {
		t.Errorf("a page of the list: %s", diff)
	}
	var got []string
	for len(got) < 200 {
		ids := claim(1 + len(got)%4)
		if len(ids) == 0 {
			break
		}
		// Claimed together they come as a set: each batch holds the next ones of the list.
		slices.SortFunc(ids, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) })
		got = append(got, ids...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list and claims differ: %s", diff)
	}
}

// TestWaitsAreThoseOfTheRuns holds the percentiles against those computed from the rows (check W6).
func TestWaitsAreThoseOfTheRuns(t *testing.T) {
	e := queuetest.New(t)
	g := on(t, e.Pool)
	var ids []string
	for i := range 41 {
		id := e.Task(t, task.Running)
		ids = append(ids, id)
		exec(t, e.Pool, `UPDATE runs SET scheduled = now() - interval '10 minutes', started = now() - interval '10 minutes' + $2 * interval '1 second' WHERE task_id = $1`, id, (i*37)%101)
	}
	old := e.Task(t, task.Running)
	exec(t, e.Pool, `UPDATE runs SET scheduled = now() - interval '2 hours', started = now() WHERE task_id = $1`, old)
	waiting := e.Task(t, task.Pending)
	exec(t, e.Pool, `UPDATE pending SET inserted = now() - interval '3 hours' WHERE task_id = $1`, waiting)

	l, ok, err := g.Line(t.Context(), queuetest.TaskQueueID)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	var waits []time.Duration
	for _, s := range must[[]task.Status](t)(e.Queue.Statuses(t.Context(), ids)) {
		waits = append(waits, s.Runs[0].Started.Sub(s.Runs[0].Scheduled.Time))
	}
	slices.Sort(waits)
	if want := (gauge.Waits{N: 41, P50: waits[20], P95: waits[38]}); l.Waits.N != want.N || (l.Waits.P50-want.P50).Abs() > 2*time.Millisecond || (l.Waits.P95-want.P95).Abs() > 2*time.Millisecond {
		t.Errorf("waits %+v, want %+v", l.Waits, want)
	}
	if l.Pending != 1 || l.Running != 42 || time.Since(l.Oldest) < 2*time.Hour {
		t.Errorf("line: %+v", l)
	}
}

func TestSamples(t *testing.T) {
	e := queuetest.New(t)
	one, two := on(t, e.Pool), on(t, e.Pool)
	price := 1.5
	one.Standings = func(context.Context) (map[string]gauge.Standing, error) {
		return map[string]gauge.Standing{queuetest.TaskQueueID: {Capacity: 4, Hourly: &price}, "idle/pool": {Capacity: 2}, "none/at-all": {}}, nil
	}
	two.Standings = one.Standings
	e.Task(t, task.Running)
	for range 3 {
		e.Task(t, task.Pending)
	}
	e.Create(t, slug.New(), queuetest.Define(queuetest.OnQueue("other/queue")))
	for _, g := range []*gauge.Gauge{one, two, one} {
		if err := g.Sample(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int, where string) {
		t.Helper()
		var n int
		if err := e.Pool.QueryRow(t.Context(), `SELECT count(*) FROM queue_samples WHERE `+where).Scan(&n); err != nil || n != want {
			t.Errorf("%d samples where %s, want %d; %v", n, where, want, err)
		}
	}
	t.Run("of several replicas one takes a minute's", func(t *testing.T) {
		// The three may stand around a full minute: then there are two rounds.
		var rounds int
		if err := e.Pool.QueryRow(t.Context(), `SELECT count(*) FROM queue_samples WHERE task_queue_id = ''`).Scan(&rounds); err != nil || rounds < 1 || rounds > 2 {
			t.Fatalf("%d rounds, %v", rounds, err)
		}
		count(3*rounds, `task_queue_id <> '' AND task_queue_id NOT LIKE '%aside%'`)
		count(rounds, `task_queue_id = '`+queuetest.TaskQueueID+`' AND pending = 3 AND running = 1 AND capacity = 4 AND waits = 1 AND wait_p95 >= 0 AND hourly = 1.5`)
		count(rounds, `task_queue_id = 'idle/pool' AND capacity = 2 AND hourly IS NULL`)
		count(rounds, `task_queue_id = 'other/queue' AND pending = 1 AND capacity = 0`)
	})
	exec(t, e.Pool, `DELETE FROM queue_samples`)
	exec(t, e.Pool, `INSERT INTO queue_samples SELECT q, date_trunc('minute', now()) - m * interval '1 minute', m, 1, 2, 1, 1, m, 6
		FROM generate_series(1, 120) m, unnest(ARRAY['', 'a/b']) q WHERE q = '' OR m <= 60`)
	t.Run("what was not there is zero", func(t *testing.T) {
		points := must[map[string][]gauge.Point](t)(one.History(t.Context(), []string{"a/b", "no/such"}, 2*time.Hour, 10*time.Minute))
		list := points["a/b"]
		if len(list) < 12 || len(points["no/such"]) != len(list) {
			t.Fatalf("%d points, %d of a queue without any", len(list), len(points["no/such"]))
		}
		if first := list[1]; first.Pending != 0 || first.Running != 0 || first.Waits {
			t.Errorf("before it was used: %+v", first)
		}
		late := list[len(list)-2]
		if late.Running != 1 || late.Capacity != 2 || !late.Waits || late.P95 < 10*time.Second || late.P95 > 20*time.Second || late.Hourly == nil || *late.Hourly != 6 {
			t.Errorf("late: %+v", late)
		}
	})
	exec(t, e.Pool, `DELETE FROM queue_samples`)
	// Five minutes ahead, so that the hour that the samples end with is not over before they are counted.
	exec(t, e.Pool, `INSERT INTO queue_samples SELECT '', date_trunc('hour', now() + interval '5 minutes') - m * interval '1 minute', 1, 1, 1, 0 FROM generate_series(1, 120 * 1440) m`)
	t.Run("old ones are thinned out", func(t *testing.T) {
		if _, err := one.Thin(t.Context(), 100*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		count(0, `at < now() - interval '100 days'`)
		var day, week, rest int
		err := e.Pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE at > now() - interval '1 day'), count(*) FILTER (WHERE at < now() - interval '26 hours' AND at > now() - interval '8 days'),
			count(*) FILTER (WHERE at < now() - interval '8 days') FROM queue_samples`).Scan(&day, &week, &rest)
		if err != nil || day < 1380 || week > 6*168 || week < 900 || rest > 24*93 || rest < 24*91 {
			t.Errorf("left: %d, %d, %d; %v", day, week, rest, err)
		}
	})
}

func TestWorkersAndWhatTheyDid(t *testing.T) {
	e := queuetest.New(t)
	g := on(t, e.Pool)
	claim := func(worker string, states ...task.State) {
		for _, s := range states {
			id := e.Task(t, task.Pending)
			list := must[[]queue.Claim](t)(e.Queue.Claim(t.Context(), queue.ClaimRequest{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: worker, Tasks: 1}))
			if len(list) != 1 || list[0].Status.TaskID != id {
				t.Fatalf("claimed %v", list)
			}
			switch s {
			case task.Completed:
				_ = must[task.Status](t)(e.Queue.ReportCompleted(t.Context(), id, 0))
			case task.Failed:
				_ = must[task.Status](t)(e.Queue.ReportFailed(t.Context(), id, 0))
			case task.Exception:
				_ = must[task.Status](t)(e.Queue.Cancel(t.Context(), id))
			}
		}
	}
	claim("bad", task.Failed, task.Completed, task.Failed, task.Exception)
	claim("good", task.Completed, task.Running)
	if err := e.Queue.Roster().Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := must[[]gauge.Worker](t)(g.Workers(t.Context(), queuetest.TaskQueueID))
	if len(list) != 2 {
		t.Fatalf("workers: %+v", list)
	}
	if err := g.Latest(t.Context(), []*gauge.Worker{&list[0], &list[1]}); err != nil {
		t.Fatal(err)
	}
	bad, good := list[0], list[1]
	if bad.ID != "bad" || bad.Latest.State != task.Exception || bad.Latest.Name != "test" || bad.Running != 0 {
		t.Errorf("bad: %+v", bad)
	}
	if good.Running != 1 || good.Latest.State != task.Running {
		t.Errorf("good: %+v", good)
	}
	did := must[*gauge.Record](t)(g.Record(t.Context(), queuetest.TaskQueueID))
	want := gauge.Record{Of: map[string]gauge.Outcomes{"g/bad": {Runs: 3, Failed: 2}, "g/good": {Runs: 1}}, All: gauge.Outcomes{Runs: 4, Failed: 2}}
	if diff := cmp.Diff(want, *did); diff != "" || g.Known(queuetest.TaskQueueID) != did {
		t.Errorf("record: %s", diff)
	}
	strip := must[[]gauge.Past](t)(g.Strip(t.Context(), roster.Key{TaskQueueID: queuetest.TaskQueueID, WorkerGroup: "g", WorkerID: "bad"}))
	var states []task.State
	for _, p := range strip {
		states = append(states, p.State)
	}
	if diff := cmp.Diff([]task.State{task.Exception, task.Failed, task.Completed, task.Failed}, states); diff != "" {
		t.Error(diff)
	}
	busy := must[[]gauge.Busy](t)(g.Busy(t.Context(), queuetest.TaskQueueID, time.Hour))
	n := map[string]int{}
	for _, b := range busy {
		n[b.WorkerID] += b.Runs
	}
	if diff := cmp.Diff(map[string]int{"bad": 4, "good": 2}, n); diff != "" {
		t.Error(diff)
	}
}

// TestSuspects: check W8, and that bad luck is not a bad machine.
func TestSuspects(t *testing.T) {
	for _, c := range []struct {
		name    string
		worker  gauge.Outcomes
		others  gauge.Outcomes
		workers int
		want    bool
	}{
		{"8 of 10 where the others fail 5 %", gauge.Outcomes{Runs: 10, Failed: 8}, gauge.Outcomes{Runs: 400, Failed: 20}, 40, true},
		{"the same among ten thousand", gauge.Outcomes{Runs: 10, Failed: 8}, gauge.Outcomes{Runs: 100000, Failed: 5000}, 10000, true},
		{"3 of 20 where the others fail 5 %", gauge.Outcomes{Runs: 20, Failed: 3}, gauge.Outcomes{Runs: 400, Failed: 20}, 40, false},
		{"8 of 10 where the others fail 70 %", gauge.Outcomes{Runs: 10, Failed: 8}, gauge.Outcomes{Runs: 400, Failed: 280}, 40, false},
		{"2 of 2", gauge.Outcomes{Runs: 2, Failed: 2}, gauge.Outcomes{Runs: 400}, 40, false},
		{"all of the only worker", gauge.Outcomes{Runs: 10, Failed: 10}, gauge.Outcomes{}, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := gauge.Suspect(c.worker, c.worker.Add(c.others), c.workers); got != c.want {
				t.Errorf("suspect: %v", got)
			}
		})
	}
}

func TestARunThatExpiredIsNone(t *testing.T) {
	w := gauge.Worker{Latest: gauge.Latest{Run: roster.Run{TaskID: "long-gone"}, Name: "x"}}
	if err := on(t, pgtest.DB(t)).Latest(t.Context(), []*gauge.Worker{&w}); err != nil || w.Latest != (gauge.Latest{}) {
		t.Errorf("%+v, %v", w.Latest, err)
	}
}

// As servers have it, nobody waits long for the waits of all runs of an hour: at first they are late, then of a moment ago.
func TestNobodyWaitsForWaits(t *testing.T) {
	g := on(t, pgtest.DB(t))
	g.Age = time.Nanosecond
	exec(t, g.Pool, `INSERT INTO task_queues (task_queue_id) VALUES ('p/q')`)
	hold := func() pgx.Tx {
		tx := must[pgx.Tx](t)(g.Pool.Begin(t.Context()))
		if _, err := tx.Exec(t.Context(), `LOCK TABLE runs IN ACCESS EXCLUSIVE MODE`); err != nil {
			t.Fatal(err)
		}
		return tx
	}
	late := func() bool {
		l, known, err := g.Line(t.Context(), "p/q")
		if err != nil || !known {
			t.Fatal(l, known, err)
		}
		return l.Waits.Late
	}
	held := hold()
	if !late() {
		t.Error("they are known before they can be read")
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for late() {
	}
	held = hold()
	for range 3 {
		if late() {
			t.Error("they are late once they were known")
		}
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
