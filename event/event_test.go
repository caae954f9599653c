package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), event.Statements...) }

func appendAll(t testing.TB, pool *pgxpool.Pool, events ...event.Event) {
	t.Helper()
	err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) })
	if err != nil {
		t.Fatal(err)
	}
}

func exec(t testing.TB, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func startFeed(t testing.TB, pool *pgxpool.Pool, opts ...event.Option) *event.Feed {
	t.Helper()
	f := event.NewFeed(pool, slog.New(slog.DiscardHandler), opts...)
	f.Start(context.WithoutCancel(t.Context()))
	t.Cleanup(f.Stop)
	return f
}

// take reads n events of a subscription that began at the beginning.
func take(t testing.TB, f *event.Feed, filter event.Filter, n int) []event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if filter.After == nil {
		filter.After = new(int64)
	}
	var got []event.Event
	if n == 0 {
		return nil
	}
	for e, err := range f.Subscribe(ctx, filter) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, e); len(got) == n {
			return got
		}
	}
	t.Fatalf("%d events of %d came", len(got), n)
	return nil
}

func kinds(events []event.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestAppendAndRead(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	run := 3
	want := []event.Event{
		{ID: "one", Kind: "task-running", TaskID: "t", TaskGroupID: "g", RunID: &run, Routes: []string{"index.a.b", "x\"y"},
			Topic: "sample", Payload: json.RawMessage(`{"b": 1, "a": "\u0000"}`)},
		{ID: "two", Kind: "push-created"},
	}
	appendAll(t, pool)
	appendAll(t, pool, want...)
	f.Wake()
	take(t, f, event.Filter{}, 2)
	got, err := f.Read(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Position != int64(i+1) || time.Since(got[i].Time).Abs() > time.Hour {
			t.Errorf("event %d: %+v", i, got[i])
		}
	}
	if d := cmp.Diff(want, got, cmpopts.IgnoreFields(event.Event{}, "Position", "Time"), cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if head, err := f.Head(t.Context()); head != 2 || err != nil {
		t.Error(head, err)
	}
	t.Run("an event needs a kind", func(t *testing.T) {
		err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, event.Event{}) })
		if !errors.Is(err, fault.Internal) {
			t.Error(err)
		}
	})
}

func TestOpenTransactionHoldsUpNobody(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	slow, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Append(t.Context(), slow, event.Event{Kind: "slow"}); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 30 {
		kind := fmt.Sprint("quick-", i)
		appendAll(t, pool, event.Event{Kind: kind})
		want = append(want, kind)
		f.Wake()
		if got := kinds(take(t, f, event.Filter{}, i+1)); !cmp.Equal(got, want) {
			t.Fatal(cmp.Diff(want, got))
		}
	}
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := kinds(take(t, f, event.Filter{}, 31)); got[30] != "slow" {
		t.Errorf("last is %s", got[30])
	}
}

// Writers that change tasks under their row locks, some for long, some in vain; two replicas; their
// connections cut again and again: each committed event comes once, a task's in order.
func TestOrderAndNoLoss(t *testing.T) {
	url := pgtest.URL(t)
	admin, err := pg.Open(t.Context(), url, pg.MaxConns(20))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	exec(t, admin, "CREATE TABLE test_tasks (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
	exec(t, admin, "INSERT INTO test_tasks SELECT generate_series(0, 9)")
	var feeds []*event.Feed
	for range 2 {
		pool, err := pg.Open(t.Context(), url+"&application_name=test-feed")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		feeds = append(feeds, startFeed(t, pool))
	}
	stopCutting := cutAgainAndAgain(t, admin)

	long, err := admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := event.Append(t.Context(), long, event.Event{Kind: "change", TaskID: "long", Payload: json.RawMessage("1")}); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for range 60 {
				if err := change(t.Context(), admin, random); err != nil && !errors.Is(err, errInVain) {
					t.Error(err)
				}
				feeds[w%2].Wake()
			}
		})
	}
	writers.Wait()
	if err := long.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopCutting()

	var total int
	if err := admin.QueryRow(t.Context(), "SELECT sum(n) + 1 FROM test_tasks").Scan(&total); err != nil {
		t.Fatal(err)
	}
	for i, f := range feeds {
		last := map[string]int{}
		for j, e := range take(t, f, event.Filter{}, total) {
			n := 0
			if err := json.Unmarshal(e.Payload, &n); err != nil {
				t.Fatal(err)
			}
			if e.Position != int64(j+1) || n != last[e.TaskID]+1 {
				t.Fatalf("feed %d: event %d has position %d; task %s: %d after %d", i, j, e.Position, e.TaskID, n, last[e.TaskID])
			}
			last[e.TaskID] = n
		}
	}
	if head, err := feeds[0].Head(t.Context()); head != int64(total) || err != nil {
		t.Errorf("head %d, want %d; %v", head, total, err)
	}
}

var errInVain = errors.New("in vain")

// change is one transaction of a writer: some tasks, in order, each with its event; now and then slow,
// now and then rolled back.
func change(ctx context.Context, pool *pgxpool.Pool, random *rand.Rand) error {
	task, many := random.IntN(10), 1+random.IntN(3)
	slow, inVain := random.IntN(10) == 0, random.IntN(8) == 0
	return pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		for id := task; id < min(task+many, 10); id++ {
			var n int
			if err := tx.QueryRow(ctx, "UPDATE test_tasks SET n = n + 1 WHERE id = $1 RETURNING n", id).Scan(&n); err != nil {
				return err
			}
			e := event.Event{Kind: "change", TaskID: fmt.Sprint(id), Payload: json.RawMessage(fmt.Sprint(n))}
			if err := event.Append(ctx, tx, e); err != nil {
				return err
			}
		}
		if slow {
			if _, err := tx.Exec(ctx, "SELECT pg_sleep(0.03)"); err != nil {
				return err
			}
		}
		if inVain {
			return errInVain
		}
		return nil
	})
}

// cutAgainAndAgain ends the feeds' connections until the returned function is called.
func cutAgainAndAgain(t *testing.T, admin *pgxpool.Pool) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.NewTicker(30 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			_, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test-feed' AND datname = current_database()")
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	return func() { cancel(); <-done }
}

func TestSubscribe(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	appendAll(t, pool,
		event.Event{Kind: "task-pending", TaskID: "t1", TaskGroupID: "g1"},
		event.Event{Kind: "task-running", TaskID: "t1", TaskGroupID: "g1"},
		event.Event{Kind: "task-pending", TaskID: "t2", TaskGroupID: "g2"},
		event.Event{Kind: "push-created", Topic: "sample"},
	)
	two := int64(2)
	for _, tt := range []struct {
		name   string
		filter event.Filter
		want   []int64
	}{
		{"everything", event.Filter{}, []int64{1, 2, 3, 4}},
		{"after a position", event.Filter{After: &two}, []int64{3, 4}},
		{"by kind", event.Filter{Kinds: []string{"task-pending"}}, []int64{1, 3}},
		{"by subject", event.Filter{TaskGroups: []string{"g1"}, Topics: []string{"sample"}}, []int64{1, 2, 4}},
		{"by both", event.Filter{Tasks: []string{"t1", "t2"}, Kinds: []string{"task-running"}}, []int64{2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []int64
			for _, e := range take(t, f, tt.filter, len(tt.want)) {
				got = append(got, e.Position)
			}
			if !cmp.Equal(got, tt.want) {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
	t.Run("from now on", func(t *testing.T) {
		began := make(chan struct{})
		go func() {
			<-began
			appendAll(t, pool, event.Event{Kind: "new"})
			f.Wake()
		}()
		head := int64(4)
		close(began)
		if got := take(t, f, event.Filter{After: &head}, 1); got[0].Kind != "new" {
			t.Error(got)
		}
	})
	t.Run("a slow subscriber misses nothing", func(t *testing.T) {
		n := 0
		appendAll(t, pool, event.Event{Kind: "first"})
		for e, err := range f.Subscribe(t.Context(), event.Filter{After: new(int64(5))}) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; e.Position != int64(5+n) {
				t.Fatalf("position %d, want %d", e.Position, 5+n)
			}
			if n == 1 {
				batch := make([]event.Event, 6000)
				for i := range batch {
					batch[i].Kind = "many"
				}
				appendAll(t, pool, batch...)
				f.Wake()
				take(t, f, event.Filter{After: new(int64(6))}, 6000)
			}
			if n == 6001 {
				break
			}
		}
	})
	t.Run("one from the future or the far past begins anew", func(t *testing.T) {
		for _, after := range []int64{1 << 40, -30000} {
			for _, err := range f.Subscribe(t.Context(), event.Filter{After: &after}) {
				if !errors.Is(err, event.ErrTooFarBehind) {
					t.Errorf("after %d: %v", after, err)
				}
			}
		}
	})
	t.Run("one who comes back goes on where it was, or with what is new", func(t *testing.T) {
		head, err := f.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for was, want := range map[string]int64{"": head, "x": head, "-30000": head, "1099511627776": head, strconv.FormatInt(head-1, 10): head - 1} {
			if got, err := f.Resume(t.Context(), was); err != nil || got != want {
				t.Errorf("%q: %d, %v, want %d", was, got, err, want)
			}
		}
	})
	t.Run("the end of the feed ends it", func(t *testing.T) {
		go f.Stop()
		for e, err := range f.Subscribe(t.Context(), event.Filter{}) {
			t.Error(e, err)
		}
	})
}

func TestConsume(t *testing.T) {
	t.Run("everything", func(t *testing.T) { consume(t, event.Interest{}, 600) })
	t.Run("what few events are", func(t *testing.T) {
		consume(t, event.Interest{Kinds: []string{"wanted"}, Every: time.Millisecond}, 100)
	})
	t.Run("what is of the first task of a group", func(t *testing.T) {
		consume(t, event.Interest{First: true}, 100)
	})
}

// consume has two replicas consume 600 events, of which want are wanted, and sees that each of those is
// handled once.
func consume(t *testing.T, what event.Interest, want int) {
	pool := pgtest.DB(t)
	exec(t, pool, "CREATE TABLE test_seen (position bigint, replica int)")
	ctx, cancel := context.WithCancel(t.Context())
	var replicas sync.WaitGroup
	for i := range 2 {
		f := startFeed(t, pool)
		random := rand.New(rand.NewPCG(3, uint64(i)))
		replicas.Go(func() {
			err := f.Consume(ctx, "test", what, func(ctx context.Context, tx pgx.Tx, events []event.Event) error {
				for _, e := range events {
					if _, err := tx.Exec(ctx, "INSERT INTO test_seen VALUES ($1, $2)", e.Position, i); err != nil {
						return err
					}
				}
				if random.IntN(3) == 0 {
					return errInVain // after the work: it must not count
				}
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	const total = 600
	for i := range total / 6 {
		events := make6()
		events[i%6].Kind = "wanted"
		events[i%6].TaskID, events[(i+1)%6].TaskID, events[(i+1)%6].TaskGroupID = "group", "other", "group"
		events[i%6].TaskGroupID = "group"
		appendAll(t, pool, events...)
	}
	eventually(t, "all events are done", func() bool {
		var seen int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM test_seen").Scan(&seen)
		consumers, lagging := event.NewFeed(pool, slog.New(slog.DiscardHandler)).Consumers(t.Context())
		return errors.Join(err, lagging) == nil && seen >= want && len(consumers) == 1 && consumers[0].Position == total
	})
	cancel()
	replicas.Wait()
	var distinct, count int
	err := pool.QueryRow(t.Context(), `SELECT count(DISTINCT position), count(*) FROM test_seen`).Scan(&distinct, &count)
	if err != nil || distinct != want || count != want {
		t.Errorf("%d distinct of %d, want %d, %v", distinct, count, want, err)
	}
	consumers, err := event.NewFeed(pool, slog.New(slog.DiscardHandler)).Consumers(t.Context())
	if diff := cmp.Diff([]event.Consumer{{Name: "test", Position: total}}, consumers); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func make6() []event.Event {
	events := make([]event.Event, 6)
	for i := range events {
		events[i].Kind = "k"
	}
	return events
}

func TestConsumeWhatIsOfInterest(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	const rounds = 200 // more than a batch
	for i := range rounds {
		events := make6()
		events[i%6].Kind, events[i%6].Payload = "wanted", json.RawMessage(`{"n":1}`)
		appendAll(t, pool, events...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []int64
	err := f.Consume(ctx, "some", event.Interest{Kinds: []string{"wanted", "other"}}, func(_ context.Context, _ pgx.Tx, events []event.Event) error {
		for _, e := range events {
			if e.Kind != "wanted" || string(e.Payload) != `{"n":1}` {
				t.Errorf("%+v", e)
			}
			seen = append(seen, e.Position)
		}
		if len(seen) == rounds {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for i, position := range seen {
		if want := int64(6*i + i%6 + 1); position != want {
			t.Fatalf("the event %d has position %d, want %d", i, position, want)
		}
	}
	// What nobody wanted counts as done, too.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = f.Consume(ctx, "none", event.Interest{Kinds: []string{"other"}}, func(context.Context, pgx.Tx, []event.Event) error {
			t.Error("there is an event of no interest")
			return nil
		})
	}()
	deadline := time.After(30 * time.Second)
	for {
		consumers, err := f.Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(consumers, func(c event.Consumer) bool { return c.Name == "none" }); i >= 0 && consumers[i].Lag == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%+v", consumers)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestConsumeWhenNothingIsWantedAtTheMoment(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wants atomic.Bool
	got := make(chan string, 10)
	var consumed sync.WaitGroup
	consumed.Go(func() {
		_ = f.Consume(ctx, "now and then", event.Interest{Any: func(context.Context) (bool, error) { return wants.Load(), nil }},
			func(_ context.Context, _ pgx.Tx, events []event.Event) error {
				for _, e := range events {
					got <- e.Kind
				}
				return nil
			})
	})
	done := func() bool {
		consumers, err := f.Consumers(t.Context())
		return err == nil && len(consumers) == 1 && consumers[0].Lag == 0
	}
	appendAll(t, pool, event.Event{Kind: "unwanted"})
	eventually(t, "it is passed by", func() bool { head, err := f.Head(t.Context()); return err == nil && head == 1 && done() })
	wants.Store(true)
	appendAll(t, pool, event.Event{Kind: "wanted"})
	if kind := <-got; kind != "wanted" {
		t.Errorf("got %s", kind)
	}
	eventually(t, "it is done", done)
	cancel()
	consumed.Wait()
}

func TestConsumeByRouteFromNowOn(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	with := func(routes ...string) event.Event { return event.Event{Kind: "k", TaskID: "t", Routes: routes} }
	appendAll(t, pool, with("a_b.old"))
	take(t, f, event.Filter{}, 1) // it has its place
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var seen [][]string
	consumed := make(chan error, 1)
	go func() {
		consumed <- f.Consume(ctx, "routes", event.Interest{Kinds: []string{"k"}, Route: "a_b.", Fresh: true}, func(_ context.Context, _ pgx.Tx, events []event.Event) error {
			for _, e := range events {
				seen = append(seen, e.Routes)
				if e.Routes[len(e.Routes)-1] == "a_b.end" {
					cancel()
				}
			}
			return nil
		})
	}()
	for registered := false; !registered; {
		consumers, err := f.Consumers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		registered = len(consumers) > 0
	}
	appendAll(t, pool, with(), with("x", "a_b.c"), with("axb.c"), with("x.a_b.c"), with("a_b.end"))
	if err := <-consumed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if diff := cmp.Diff([][]string{{"x", "a_b.c"}, {"a_b.end"}}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestPrune(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool, event.Keep(24*time.Hour))
	appendAll(t, pool, make6()...)
	take(t, f, event.Filter{}, 6)
	f.Stop()
	left := func(want ...int64) {
		t.Helper()
		if _, err := f.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		events, err := f.Read(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, e := range events {
			got = append(got, e.Position)
		}
		if !cmp.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
	}
	exec(t, pool, "UPDATE events SET time = now() - interval '25 hours'")
	exec(t, pool, "UPDATE event_checkpoint SET position = 6, mark = (SELECT max(seq) FROM events)")
	exec(t, pool, "INSERT INTO event_consumers (name, position) VALUES ('late', 2)")
	left(3, 4, 5, 6)
	exec(t, pool, "UPDATE event_consumers SET moved = now() - interval '25 hours'")
	left(6)

	g := startFeed(t, pool)
	appendAll(t, pool, event.Event{Kind: "next"})
	if got := take(t, g, event.Filter{After: new(int64(6))}, 1); got[0].Position != 7 {
		t.Errorf("the count begins again: %d", got[0].Position)
	}
}

// BenchmarkFeed measures events through append, sequencer and a subscriber, in transactions of ten.
func BenchmarkFeed(b *testing.B) {
	pool := pgtest.DB(b)
	f := startFeed(b, pool)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	batch := make([]event.Event, 10)
	for i := range batch {
		batch[i] = event.Event{Kind: "task-completed", TaskID: "VBHM4KiMQ2CKXcfyw6CCpA", TaskGroupID: "VBHM4KiMQ2CKXcfyw6CCpA",
			Payload: json.RawMessage(`{"status": {"state": "completed", "runs": [{"runId": 0}]}}`)}
	}
	seen := 0
	b.ResetTimer()
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range b.N/4 + 1 {
				appendAll(b, pool, batch...)
				f.Wake()
			}
		})
	}
	for _, err := range f.Subscribe(ctx, event.Filter{After: new(int64)}) {
		if err != nil {
			b.Fatal(err)
		}
		if seen++; seen == b.N*10 {
			break
		}
	}
	b.ReportMetric(float64(seen)/b.Elapsed().Seconds(), "events/s")
	b.StopTimer()
	writers.Wait()
}

// BenchmarkSequence measures the sequencer alone: 50,000 events that are there already.
func BenchmarkSequence(b *testing.B) {
	var events int
	for b.Loop() {
		b.StopTimer()
		pool := pgtest.DB(b)
		batch := make([]event.Event, 10000)
		for i := range batch {
			batch[i] = event.Event{Kind: "task-defined", TaskID: "VBHM4KiMQ2CKXcfyw6CCpA"}
		}
		for range 5 {
			appendAll(b, pool, batch...)
		}
		f := event.NewFeed(pool, slog.New(slog.DiscardHandler))
		b.StartTimer()
		f.Start(b.Context())
		for head := int64(0); head < 50000; {
			var err error
			if head, err = f.Head(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		f.Stop()
		events += 50000
		b.StartTimer()
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
