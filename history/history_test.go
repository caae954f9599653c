package history_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	past "github.com/treeline-ci/treeline/taskgraph/history"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), history.Statements()...) }

// fixture is a history with pushes that come every ten minutes, the last one now.
type fixture struct {
	*history.History
	t      *testing.T
	pool   *pgxpool.Pool
	pushes map[string]history.Push // by group
	last   time.Time
	asked  int
}

func newFixture(t *testing.T, options ...history.Option) *fixture {
	f := &fixture{t: t, pool: pgtest.DB(t), pushes: map[string]history.Push{}}
	if err := f.pool.QueryRow(t.Context(), "SELECT date_trunc('milliseconds', now())").Scan(&f.last); err != nil {
		t.Fatal(err)
	}
	f.last = f.last.UTC()
	f.History = history.New(f.pool, func(_ context.Context, _ pgx.Tx, group string) (history.Push, bool, error) {
		f.asked++
		p, ok := f.pushes[group]
		return p, ok, nil
	}, options...)
	return f
}

// at is the time of push n of total.
func (f *fixture) at(n, total int) time.Time {
	return f.last.Add(time.Duration(n-total) * 10 * time.Minute)
}

// push makes push n of total of a project; its group is "group-<n>".
func (f *fixture) push(project string, n, total int) history.Push {
	p := history.Push{Project: project, Branch: "main", ID: int64(n), Revision: fmt.Sprint("rev-", n), Time: f.at(n, total), TaskGroupID: fmt.Sprintf("group-%s-%d", project, n)}
	f.pushes[p.TaskGroupID] = p
	return p
}

// ran is the event of a run that ended after so many seconds.
func ran(p history.Push, label, kind string, seconds float64) event.Event {
	run := 0
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	payload, _ := json.Marshal(map[string]any{ // of plain values: it always has a form
		"status": map[string]any{"runs": []any{map[string]any{"runId": 0, "started": start, "resolved": start.Add(time.Duration(seconds * float64(time.Second)))}}},
		"task":   map[string]any{"tags": map[string]any{"label": label}},
	})
	return event.Event{Kind: kind, TaskID: "task-" + label, TaskGroupID: p.TaskGroupID, RunID: &run, Payload: payload}
}

func decided(p history.Push) event.Event {
	return event.Event{Kind: "task-completed", TaskID: p.TaskGroupID, TaskGroupID: p.TaskGroupID}
}

func (f *fixture) record(events ...event.Event) {
	f.t.Helper()
	err := pg.Tx(f.t.Context(), f.pool, func(ctx context.Context, tx pgx.Tx) error { return f.Record(ctx, tx, events) })
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestATableTellsOfThePushesBefore(t *testing.T) {
	f := newFixture(t)
	one, two, three := f.push("p", 1, 4), f.push("p", 2, 4), f.push("p", 3, 4)
	f.record(decided(one), ran(one, "a", "task-completed", 10), ran(one, "b", "task-completed", 4), ran(one, "c", "task-failed", 8))
	f.record(ran(two, "a", "task-failed", 30), ran(two, "a", "task-failed", 50), ran(two, "b", "task-failed", 1), ran(two, "b", "task-completed", 6))
	f.record(decided(three), ran(three, "a", "task-completed", 20), ran(three, "a", "task-completed", 40), ran(three, "c", "task-failed", 8),
		ran(three, "x", "task-exception", 9))
	f.record(ran(f.push("other", 1, 1), "a", "task-completed", 1000))
	f.record(event.Event{Kind: "task-completed", TaskID: "t", TaskGroupID: "of no push"})

	got, err := f.For(t.Context(), f.push("p", 4, 4))
	if err != nil {
		t.Fatal(err)
	}
	moment := func(n int) *past.Moment { return &past.Moment{Number: int64(n), Time: f.at(n, 4)} }
	want := &past.Table{
		Version: past.Version, Project: "p", Push: past.Push{Number: 4, Revision: "rev-4", Time: f.at(4, 4)},
		Pushes: []past.Push{
			{Number: 1, Revision: "rev-1", Time: f.at(1, 4)}, {Number: 2, Revision: "rev-2", Time: f.at(2, 4), Undecided: true}, {Number: 3, Revision: "rev-3", Time: f.at(3, 4)},
		},
		Regressions: []past.Regression{{Push: 2, Labels: []string{"a"}}},
		Labels: map[string]past.Label{
			"a": {Runs: 3, Failed: 1, LastRun: moment(3), LastPassed: moment(3), Median: 20, P90: 28},
			"b": {Runs: 2, Flaky: 1, LastRun: moment(2), LastPassed: moment(2), Median: 5, P90: 5.8},
			"c": {Runs: 2, Failed: 2, LastRun: moment(3), Median: 8, P90: 8},
		},
	}
	if diff := cmp.Diff(asJSON(t, want), asJSON(t, got)); diff != "" {
		t.Error(diff)
	}
	again, err := f.For(t.Context(), f.pushes["group-p-4"])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asJSON(t, got), asJSON(t, again)); diff != "" {
		t.Errorf("asked again: %s", diff)
	}
}

func asJSON(t *testing.T, v *past.Table) string {
	t.Helper()
	b, err := v.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPushesAreNumberedByBranch(t *testing.T) {
	f := newFixture(t)
	number := func(branch string, id int64) int64 {
		t.Helper()
		table, err := f.For(t.Context(), history.Push{Project: "p", Branch: branch, ID: id, Time: f.last, TaskGroupID: fmt.Sprint("g", id)})
		if err != nil {
			t.Fatal(err)
		}
		return table.Push.Number
	}
	var got []int64
	for _, p := range []struct {
		branch string
		id     int64
	}{{"main", 11}, {"try", 12}, {"main", 13}, {"main", 11}, {"try", 17}, {"main", 18}} {
		got = append(got, number(p.branch, p.id))
	}
	if diff := cmp.Diff([]int64{1, 1, 2, 1, 2, 3}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNextIsTheTableOfAPushToCome(t *testing.T) {
	f := newFixture(t)
	f.record(decided(f.push("p", 1, 2)), decided(f.push("p", 2, 2)))
	for _, branch := range []string{"main", ""} {
		got, err := f.Next(t.Context(), "p", branch)
		if err != nil {
			t.Fatal(err)
		}
		if got.Push.Number != 3 || len(got.Pushes) != 2 || got.Push.Time.Before(f.last) {
			t.Errorf("branch %q: %+v", branch, got.Push)
		}
	}
	for _, c := range [][2]string{{"p", "elsewhere"}, {"q", ""}} {
		if _, err := f.Next(t.Context(), c[0], c[1]); !errors.Is(err, fault.NotFound) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestAPushIsEnteredOnceWhoeverComesFirst(t *testing.T) {
	f := newFixture(t)
	p := f.push("p", 1, 1)
	if _, err := f.For(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	f.record(ran(p, "a", "task-completed", 1))
	if f.asked != 0 {
		t.Error("a push that is known was looked for")
	}
	table, err := f.Next(t.Context(), "p", "main")
	if err != nil || len(table.Pushes) != 1 || table.Labels["a"].Runs != 1 {
		t.Errorf("%+v, %v", table, err)
	}
}

func TestOldPushesAreForgotten(t *testing.T) {
	f := newFixture(t, history.WithKeep(35*time.Minute))
	for n := 1; n <= 6; n++ {
		p := f.push("p", n, 6)
		f.record(decided(p), ran(p, "a", "task-completed", 1))
	}
	table, err := f.Next(t.Context(), "p", "main")
	if err != nil || len(table.Pushes) != 4 || table.Pushes[0].Number != 3 || table.Labels["a"].Runs != 4 {
		t.Errorf("%+v, %v", table, err)
	}
	if n, err := f.Prune(t.Context()); err != nil || n != 2 {
		t.Errorf("%d forgotten, %v", n, err)
	}
	var left int
	if err := f.pool.QueryRow(t.Context(), "SELECT count(*) FROM history_outcomes").Scan(&left); err != nil || left != 4 {
		t.Errorf("%d outcomes left, %v", left, err)
	}
	table, err = f.For(t.Context(), f.push("p", 7, 6))
	if err != nil || table.Push.Number != 7 {
		t.Errorf("the number of a forgotten push was used again: %+v, %v", table.Push, err)
	}
}

func TestOddEventsAreLeftAlone(t *testing.T) {
	f := newFixture(t)
	p := f.push("p", 1, 1)
	odd := ran(p, "a", "task-completed", 1)
	odd.Payload = json.RawMessage(`"no object"`)
	noRun := ran(p, "a", "task-completed", 1)
	noRun.RunID = nil
	f.record(odd, noRun, ran(p, "", "task-completed", 1), ran(p, "nul\x00", "task-completed", 1), ran(p, string(make([]byte, 2000)), "task-failed", 1))
	table, err := f.Next(t.Context(), "p", "main")
	if err != nil || len(table.Labels) != 0 {
		t.Errorf("%+v, %v", table, err)
	}
}
