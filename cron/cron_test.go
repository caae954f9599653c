package cron_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

const nightly = `jobs:
  - name: nightly
    job: {type: decision-task, treeherder-symbol: N, target-tasks-method: nightly}
    when: [{hour: 2, minute: 0}]
  - name: often
    job: {type: decision-task, treeherder-symbol: O, target-tasks-method: default, include-cron-input: true}
    run-on-projects: [mine]
    when: [{minute: [0, 30]}]
  - name: by-hand
    job: {type: trigger-action, action-name: cancel-all}
`

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), cron.Statements()...) }

// fixture is a calendar whose clock the test sets.
type fixture struct {
	*cron.Calendar
	t     *testing.T
	pool  *pgxpool.Pool
	woken int
}

func newFixture(t *testing.T, at string) *fixture {
	f := &fixture{t: t, pool: pgtest.DB(t)}
	f.Calendar = cron.New(f.pool, func() { f.woken++ }, slog.New(slog.DiscardHandler))
	f.at(at)
	return f
}

// at sets the calendar's clock, "2026-03-02 02:07".
func (f *fixture) at(text string) time.Time {
	f.t.Helper()
	at, err := time.Parse("2006-01-02 15:04", text)
	if err == nil {
		_, err = f.pool.Exec(f.t.Context(), fmt.Sprintf(`CREATE OR REPLACE FUNCTION cron_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT '%s'::timestamptz$$`, at.Format(time.RFC3339)))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return at
}

func (f *fixture) follow(repository string) {
	f.t.Helper()
	if err := f.Follow(f.t.Context(), nil, []cron.Branch{{Repository: repository, Branch: "main"}}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) take() []cron.Branch {
	f.t.Helper()
	list, err := f.Take(f.t.Context(), []string{"mine", "other"}, time.Minute, 10)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// look settles what is due with a file, and says for which repositories.
func (f *fixture) look(source string) (out []string) {
	f.t.Helper()
	for _, b := range f.take() {
		if _, err := f.Settle(f.t.Context(), b, "aaaa", source, nil); err != nil {
			f.t.Fatal(err)
		}
		out = append(out, b.Repository)
	}
	return out
}

// told is the calendar as lines, the newest first.
func (f *fixture) told() (out []string) {
	f.t.Helper()
	list, err := f.Runs(f.t.Context(), cron.Filter{})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, r := range list {
		out = append(out, fmt.Sprintf("%s %s %s %s", r.Slot.UTC().Format("02 15:04"), r.Repository, r.Job, r.State))
	}
	return out
}

func (f *fixture) want(what string, want ...string) {
	f.t.Helper()
	if diff := cmp.Diff(sorted(want), sorted(f.told())); diff != "" {
		f.t.Errorf("%s: %s", what, diff)
	}
}

func TestASlotIsSettledOnce(t *testing.T) {
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	f.want("the slot in which a branch began to be followed is over")

	f.at("2026-03-02 01:59")
	if list := f.take(); len(list) > 0 {
		t.Errorf("%v is due before its time", list)
	}
	f.at("2026-03-02 02:00")
	b := f.take()
	if len(b) != 1 || len(f.take()) > 0 {
		t.Fatalf("%d branches are due, or one is handed out twice", len(b))
	}
	// Ten servers that took the branch, however that came about.
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := f.Settle(t.Context(), b[0], "aaaa", nightly, nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f.want("two jobs are due", "02 02:00 mine often waiting", "02 02:00 mine nightly waiting")
	f.at("2026-03-02 02:14")
	if err := f.Poke(t.Context(), "mine"); err != nil {
		t.Fatal(err)
	}
	if got := f.look(nightly); len(got) != 1 {
		t.Errorf("the branch that moved is not looked at: %v", got)
	}
	f.want("a look within the slot changes nothing", "02 02:00 mine often waiting", "02 02:00 mine nightly waiting")

	t.Run("though the clock steps back", func(t *testing.T) {
		f.at("2026-03-02 01:30")
		if err := f.Poke(t.Context(), "mine"); err != nil {
			t.Fatal(err)
		}
		f.look(nightly)
		f.at("2026-03-02 02:20")
		f.look(nightly)
		f.want("nothing comes again", "02 02:00 mine often waiting", "02 02:00 mine nightly waiting")
	})
}

func TestWhatWasMissedIsToldAndTheNewestMakesUpForIt(t *testing.T) {
	for _, c := range []struct {
		name, back string
		want       []string
	}{
		{"a short while", "2026-03-02 02:40", []string{"02 02:30 mine often waiting", "02 02:00 mine nightly waiting", "02 02:00 mine often missed"}},
		{"just in time for the nightly", "2026-03-02 08:00", []string{
			"02 08:00 mine often waiting", "02 07:30 mine often missed", "02 07:00 mine often missed", "02 06:30 mine often missed",
			"02 06:00 mine often missed", "02 05:30 mine often missed", "02 05:00 mine often missed", "02 04:30 mine often missed",
			"02 04:00 mine often missed", "02 03:30 mine often missed", "02 03:00 mine often missed", "02 02:30 mine often missed",
			"02 02:00 mine nightly waiting", "02 02:00 mine often missed",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, "2026-03-02 01:50")
			f.follow("mine")
			f.look(nightly)
			f.at(c.back)
			f.look(nightly)
			f.want("the calendar", c.want...)
		})
	}
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	f.at("2026-05-20 08:20") // weeks later
	f.look(nightly)
	counts := map[string]int{}
	for _, line := range f.told() {
		counts[strings.SplitN(line, "mine ", 2)[1]]++
	}
	if diff := cmp.Diff(map[string]int{"often waiting": 1, "often missed": 96, "nightly missed": 80}, counts); diff != "" {
		t.Error(diff)
	}
}

func sorted(list []string) map[string]int {
	out := map[string]int{}
	for _, s := range list {
		out[s]++
	}
	return out
}

func TestAForgeThatIsAwayIsAskedLessAndLessAndLosesNoSlot(t *testing.T) {
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	f.at("2026-03-02 02:01")
	b := f.take()
	if err := f.Fail(t.Context(), b[0], cron.Error{Code: "forge", Message: "It does not answer.\x00"}); err != nil {
		t.Fatal(err)
	}
	list, err := f.Branches(t.Context(), "")
	if err != nil || list[0].Error == nil || list[0].Error.Code != "forge" || list[0].Failures != 1 || time.Until(list[0].RetryAfter) < 10*time.Second {
		t.Fatalf("%+v, %v", list[0], err)
	}
	if len(f.take()) > 0 {
		t.Error("it is asked again at once")
	}
	why, err := f.Why(t.Context(), "mine", "main", "nightly", f.at("2026-03-02 02:03"))
	if err != nil || why.Verdict != cron.NotSettled || !strings.Contains(why.Reasons[0], "does not answer") {
		t.Errorf("%+v, %v", why, err)
	}
	if _, err := f.pool.Exec(t.Context(), `UPDATE cron_branches SET retry_after = 'epoch'`); err != nil {
		t.Fatal(err)
	}
	f.at("2026-03-02 02:20")
	f.look(nightly)
	f.want("the slot is settled late", "02 02:00 mine often waiting", "02 02:00 mine nightly waiting")
	if list, _ := f.Branches(t.Context(), ""); list[0].Error != nil || list[0].Failures != 0 {
		t.Errorf("%+v", list[0])
	}
}

func TestABrokenFileIsToldAndKeepsNoOtherBranchAway(t *testing.T) {
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.follow("other")
	f.look(nightly)
	f.at("2026-03-02 02:00")
	for _, b := range f.take() {
		source := nightly
		if b.Repository == "mine" {
			source = "jobs:\n  - name: x\n    job: {type: decision-task}\n    when: [{hour: 25}]\n"
		}
		if _, err := f.Settle(t.Context(), b, "bbbb", source, nil); err != nil {
			t.Fatal(err)
		}
	}
	f.want("run-on-projects leaves one out", "02 02:00 other nightly waiting")
	list, err := f.Branches(t.Context(), "mine")
	if err != nil || list[0].Error == nil || list[0].Error.Code != "bad-file" || list[0].Error.File != ".cron.yml" || list[0].Error.Line != 3 || list[0].Revision != "bbbb" {
		t.Errorf("%+v %v, %v", list[0], list[0].Error, err)
	}
	why, err := f.Why(t.Context(), "mine", "main", "x", f.at("2026-03-02 02:05"))
	if err != nil || why.Verdict != cron.NotDue || !strings.Contains(why.Reasons[0], ".cron.yml:3") {
		t.Errorf("%+v, %v", why, err)
	}
	t.Run("a job that is wrong for this branch alone keeps no other away", func(t *testing.T) {
		f.at("2026-03-02 02:20")
		for _, b := range f.take() {
			source := "jobs:\n  - name: lost\n    job: {type: trigger-action, action-name: a}\n    when: {by-project: {elsewhere: [{hour: 1}]}}\n" +
				"  - name: fine\n    job: {type: trigger-action, action-name: a}\n    when: [{minute: 15}]\n"
			if _, err := f.Settle(t.Context(), b, "cccc", source, nil); err != nil {
				t.Fatal(err)
			}
		}
		list, err := f.Branches(t.Context(), "other")
		if err != nil || list[0].Error == nil || list[0].Error.Line != 4 {
			t.Errorf("%+v, %v", list[0].Error, err)
		}
		f.want("the other jobs start", "02 02:15 other fine waiting", "02 02:15 mine fine waiting", "02 02:00 other nightly waiting")
	})
}

func (f *fixture) taken() []cron.Run {
	f.t.Helper()
	list, err := f.TakeRuns(f.t.Context(), []string{"mine"}, time.Minute, 10)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

func TestARunIsTakenUntilItIsStarted(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	f.at("2026-03-02 02:00")
	f.look(nightly)
	runs := f.taken()
	if len(runs) != 2 || len(f.taken()) > 0 {
		t.Fatalf("%d runs", len(runs))
	}
	first, second := runs[0], runs[1]
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if first.TaskID == second.TaskID || first.TaskID == "" {
		t.Error("each run has a task id of its own from the beginning")
	}
	step(f.SetGroup(ctx, first.ID, first.TaskID, first.TaskID, 7))
	step(f.Start(ctx, first.ID))
	step(f.Refuse(ctx, first.ID, cron.Error{Code: "late", Message: "somebody is late"})) // does nothing
	step(f.Retry(ctx, second, cron.Error{Code: "forge", Message: "away"}))
	got, err := f.ByTaskGroup(ctx, first.TaskID)
	if err != nil || got.State != cron.Started || got.Started == nil || got.PushID != 7 || got.Error != nil {
		t.Errorf("%+v, %v", got, err)
	}
	step(f.DecisionRefused(ctx, first.TaskID, cron.Error{Code: "bad-graph", Message: "a kind is missing", File: "taskcluster/config.yml", Line: 3}))
	if why, err := f.Why(ctx, "mine", "main", first.Job, first.Slot); err != nil || why.Verdict != cron.Ran || !strings.Contains(why.Reasons[0], "config.yml:3") {
		t.Errorf("%+v, %v", why, err)
	}
	if why, err := f.Why(ctx, "mine", "main", second.Job, second.Slot); err != nil || why.Verdict != cron.IsWaiting || !strings.Contains(why.Reasons[0], "away") {
		t.Errorf("%+v, %v", why, err)
	}
	if _, err := f.ByTaskGroup(ctx, ""); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	if list, err := f.OfPushes(ctx, "mine", []int64{6, 7}); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	f.at("2026-03-02 08:01")
	step(f.Retry(ctx, second, cron.Error{Code: "forge", Message: "away"}))
	if why, err := f.Why(ctx, "mine", "main", second.Job, second.Slot); err != nil || why.Verdict != cron.WasMissed {
		t.Errorf("%+v, %v", why, err)
	}
	f.at("2028-03-02 08:01")
	if n, err := f.Prune(ctx, cron.Keep); err != nil || n != 2 {
		t.Errorf("%d forgotten, %v", n, err)
	}
}

func TestARunByHandHasItsOwnKey(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	ask := func(q cron.Request) (cron.Run, error) {
		q.Repository, q.Branch, q.By = "mine", "main", "me"
		return f.Trigger(ctx, q)
	}
	one, err := ask(cron.Request{Job: "often", Key: "k", Input: json.RawMessage(`{"a": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	again, err := ask(cron.Request{Job: "often", Key: "k", Input: json.RawMessage(`{"a":1}`)})
	if err != nil || again.ID != one.ID || !again.ByHand() || f.woken != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	if other, err := ask(cron.Request{Job: "often"}); err != nil || other.ID == one.ID {
		t.Errorf("%+v, %v", other, err)
	}
	for _, c := range []struct {
		q    cron.Request
		kind fault.Kind
		text string
	}{
		{cron.Request{Job: "often", Key: "k"}, fault.Conflict, "other input"},
		{cron.Request{Job: "nightly", Input: json.RawMessage(`{}`)}, fault.Invalid, "include-cron-input"},
		{cron.Request{Job: "nightlly"}, fault.NotFound, "nightly"},
	} {
		if _, err := ask(c.q); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
	for _, q := range []cron.Request{{Repository: "none", Branch: "main"}, {Repository: "mine", Branch: "side"}} {
		if _, err := f.Trigger(ctx, q); !errors.Is(err, fault.NotFound) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	at, err := f.AtHead(ctx, one.ID, "1111")
	if err != nil || at.Revision != "1111" {
		t.Errorf("%+v, %v", at, err)
	}
	if at, err = f.AtHead(ctx, one.ID, "2222"); err != nil || at.Revision != "1111" {
		t.Errorf("a run moved with the branch: %+v, %v", at, err)
	}
}

func TestTheListingAndTheReasons(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.look(nightly)
	f.at("2026-03-02 02:00")
	f.look(nightly)
	now := f.at("2026-03-02 02:10")
	l, err := f.Listing(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range l.Jobs {
		next, last := "never", "never"
		if j.Next != nil {
			next = j.Next.Format("02 15:04")
		}
		if j.Last != nil {
			last = j.Last.Slot.UTC().Format("02 15:04") + " " + string(j.Last.State)
		}
		got = append(got, j.Name+": "+last+", "+next)
	}
	if diff := cmp.Diff([]string{"nightly: 02 02:00 waiting, 03 02:00", "often: 02 02:00 waiting, 02 02:30", "by-hand: never, never"}, got); diff != "" {
		t.Error(diff)
	}
	got = nil
	for _, c := range l.Coming(now.Add(-time.Hour), now.Add(time.Hour)) {
		got = append(got, c.Job+" "+c.Slot.Format("15:04"))
	}
	if diff := cmp.Diff([]string{"often 02:30", "often 03:00"}, got); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		job, at string
		verdict cron.Verdict
		text    string
	}{
		{"nightly", "2026-03-03 02:10", cron.WillRun, "hour 2"},
		{"nightly", "2026-03-03 03:10", cron.NotDue, "not in this slot"},
		{"nightly", "2026-03-02 01:10", cron.NotDue, "not in this slot"},
		{"nightly", "2026-03-01 02:10", cron.NotDue, "not followed yet"},
		{"nightly", "2026-03-02 02:10", cron.IsWaiting, "being started"},
		{"by-hand", "2026-03-02 02:10", cron.NotDue, "never runs by itself"},
	} {
		at, _ := time.Parse("2006-01-02 15:04", c.at)
		e, err := f.Why(ctx, "mine", "main", c.job, at)
		if err != nil || e.Verdict != c.verdict || len(e.Reasons) == 0 || !strings.Contains(e.Reasons[0], c.text) {
			t.Errorf("%s at %s: %s %q, %v", c.job, c.at, e.Verdict, e.Reasons, err)
		}
	}
	if _, err := f.Why(ctx, "mine", "main", "nothing", now); !errors.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
	page, err := f.Runs(ctx, cron.Filter{Repository: "mine", Limit: 1})
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	rest, err := f.Runs(ctx, cron.Filter{Repository: "mine", Before: &page[0]})
	if err != nil || len(rest) != 1 || rest[0].ID == page[0].ID {
		t.Errorf("%v, %v", rest, err)
	}
}

func TestWhatNobodyFollowsAnyMore(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, "2026-03-02 01:50")
	f.follow("mine")
	f.follow("other")
	f.look(nightly)
	f.at("2026-03-02 02:00")
	f.look(nightly)
	if err := f.Follow(ctx, []string{"mine"}, []cron.Branch{{Repository: "mine", Branch: "release"}}); err != nil {
		t.Fatal(err)
	}
	told := func() (out []string) {
		t.Helper()
		list, err := f.Branches(ctx, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range list {
			line := b.Repository + " " + b.Branch
			if b.Error != nil {
				line += " " + b.Error.Code
			}
			out = append(out, line)
		}
		return out
	}
	if diff := cmp.Diff([]string{"mine release", "other main"}, told()); diff != "" {
		t.Error(diff)
	}
	f.at("2026-03-02 03:00")
	if diff := cmp.Diff([]string{"mine release unread", "other main unread"}, told()); diff != "" {
		t.Error(diff)
	}
	f.at("2026-03-02 20:00")
	if _, err := f.Prune(ctx, cron.Keep); err != nil {
		t.Fatal(err)
	}
	f.want("what waited for a server is given up", "02 02:00 mine often missed", "02 02:00 mine nightly missed", "02 02:00 other nightly missed")
}

// BenchmarkNothingDue is what a thousand followed branches cost while nothing is due: a question that
// each server asks all the time, and the settling of an empty slot.
func BenchmarkNothingDue(b *testing.B) {
	const branches = 1000
	pool := pgtest.DB(b)
	c := cron.New(pool, func() {}, slog.New(slog.DiscardHandler))
	ctx := context.Background()
	var list []cron.Branch
	var names []string
	for i := range branches {
		name := fmt.Sprintf("r%d", i)
		list, names = append(list, cron.Branch{Repository: name, Branch: "main"}), append(names, name)
	}
	if err := c.Follow(ctx, nil, list); err != nil {
		b.Fatal(err)
	}
	settle := func() (n int) {
		for {
			taken, err := c.Take(ctx, names, time.Minute, 50)
			if err != nil {
				b.Fatal(err)
			}
			for _, t := range taken {
				if _, err := c.Settle(ctx, t, "aaaa", nightly[:strings.Index(nightly, "  - name: often")], nil); err != nil {
					b.Fatal(err)
				}
			}
			if n += len(taken); len(taken) == 0 {
				return n
			}
		}
	}
	began := time.Now()
	if n := settle(); n != branches {
		b.Fatalf("%d branches were due at first", n)
	}
	settled := time.Since(began)
	for b.Loop() {
		if n := settle(); n > 0 {
			b.Fatalf("%d branches are due", n)
		}
	}
	b.ReportMetric(float64(settled.Microseconds())/branches, "µs/settled-branch")
}
