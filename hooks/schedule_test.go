package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

func TestADateFiresOnce(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("nightly", daily))
	if n := fx.round(); n != 0 {
		t.Fatalf("%d fired before their time", n)
	}
	date := fx.due("nightly", 5*time.Second)
	if n := fx.round(); n != 1 {
		t.Fatal(n)
	}
	if n := fx.round(); n != 0 {
		t.Fatal("it fired again")
	}
	ids := fx.tasks.ids()
	if len(ids) != 1 {
		t.Fatal(ids)
	}
	d := fx.tasks.definition(ids[0])
	if want := (map[string]any{"by": "schedule", "now": task.At(date).String()}); !cmp.Equal(d["payload"], any(want)) || d["created"] != task.At(date).String() || d["taskGroupId"] != ids[0] {
		t.Errorf("%v, want the date %v", d, date)
	}
	fires := fx.fires("nightly")
	if len(fires) != 1 || fires[0].TaskID != ids[0] || fires[0].By != hooks.Schedule || fires[0].Error != "" || !fires[0].Scheduled.Equal(date) || fires[0].Missed != 0 {
		t.Errorf("%+v", fires)
	}
	s := fx.status("nightly")
	if s.Next.Hour() != 3 || !s.Next.After(time.Now()) || time.Until(s.Next) > 24*time.Hour || !s.Due.Equal(s.Next) {
		t.Error(s.Next, s.Due)
	}
}

func TestDatesThatPassedMeanwhileAreSaid(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("often", func(h *hooks.Hook) { h.Schedule = []string{"0 * * * * *", "0 30 * * * *"} }))
	date := fx.due("often", 25*time.Minute)
	fx.round()
	ids := fx.tasks.ids()
	fires := fx.fires("often")
	if len(ids) != 1 || len(fires) != 1 || fires[0].Missed < 24 || fires[0].Missed > 26 || !fires[0].Scheduled.Equal(date) {
		t.Fatalf("%v %+v", ids, fires)
	}
	d := fx.tasks.definition(ids[0])
	created, err := time.Parse(time.RFC3339, d["created"].(string))
	if err != nil || time.Since(created) > time.Minute {
		t.Errorf("a late task was created %v, which the queue would refuse", d["created"])
	}
	if s := fx.status("often"); time.Until(s.Next) > time.Minute || time.Until(s.Next) < -time.Second {
		t.Error("the next date does not follow from now:", s.Next)
	}
}

func TestACrashBetweenCreatingAndSavingNeitherLosesNorDoubles(t *testing.T) {
	for name, late := range map[string]time.Duration{"in time": 5 * time.Second, "late": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture(t)
			fx.must(hook("nightly", daily))
			fx.due("nightly", late)
			crashed, crash := context.WithCancel(t.Context())
			deps := fx.deps
			deps.Create = func(ctx context.Context, c hooks.Creation) error {
				err := fx.tasks.create(ctx, c)
				crash()           // the process ends here: nothing reaches the database any more
				deps.Pool.Close() // (this is the pool of the one that dies)
				return errors.Join(err, errors.New("killed"))
			}
			config := fx.pool.Config().Copy()
			deps.Pool = pool(t, config)
			dying := hooks.New(deps)
			if _, _, err := dying.Round(crashed); err == nil && len(fx.tasks.ids()) != 1 {
				t.Fatal("it did not die where it should")
			}
			if len(fx.fires("nightly")) != 0 {
				t.Fatal("the fire was saved")
			}
			if n := fx.round(); n != 0 {
				t.Fatal("another takes a hook that is claimed")
			}
			fx.expire("nightly")
			if n := fx.round(); n != 1 {
				t.Fatal("nobody takes the hook of the dead")
			}
			ids, fires := fx.tasks.ids(), fx.fires("nightly")
			if len(ids) != 1 || len(fires) != 1 || fires[0].TaskID != ids[0] || fires[0].Error != "" {
				t.Errorf("%v %+v", ids, fires)
			}
			if len(fx.tasks.asked) != 2 || fx.tasks.asked[0].TaskID != fx.tasks.asked[1].TaskID {
				t.Error("the second try was another task", fx.tasks.asked)
			}
			if late < time.Minute && string(fx.tasks.asked[0].Definition) != string(fx.tasks.asked[1].Definition) {
				t.Error("the second try had another definition")
			}
			if s := fx.status("nightly"); s.Failures != 0 || !s.Next.After(time.Now()) {
				t.Error(s.Failures, s.Next)
			}
		})
	}
}

func TestManyReplicasFireEachDateOnce(t *testing.T) {
	fx := newFixture(t)
	const count = 60
	for i := range count {
		id := "h" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		fx.must(hook(id, daily))
		fx.due(id, 3*time.Second)
	}
	var group sync.WaitGroup
	for range 4 {
		replica := hooks.New(fx.deps)
		group.Go(func() {
			for {
				n, _, err := replica.Round(t.Context())
				if err != nil {
					t.Error(err)
				}
				if n == 0 {
					return
				}
			}
		})
	}
	group.Wait()
	if got := len(fx.tasks.ids()); got != count || len(fx.tasks.asked) != count {
		t.Errorf("%d tasks of %d calls, want %d", got, len(fx.tasks.asked), count)
	}
}

func TestAClockThatGoesBackDoesNotRepeatADate(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("nightly", func(h *hooks.Hook) { h.Schedule = []string{"*/10 * * * *"} }))
	// As if a clock that was ahead had made this date due.
	var date time.Time
	if err := fx.pool.QueryRow(t.Context(), `UPDATE hook_definitions SET next_date = date_trunc('hour', now()) + interval '5 hours', due = now() RETURNING next_date`).Scan(&date); err != nil {
		t.Fatal(err)
	}
	if n := fx.round(); n != 1 {
		t.Fatal(n)
	}
	if s := fx.status("nightly"); !s.Next.After(date) {
		t.Errorf("%v is fired again: the next is %v", date, s.Next)
	}
}

func TestAHookThatKeepsFailingIsHeldBack(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("bad", func(h *hooks.Hook) { h.Schedule = []string{"* * * * *"} }))
	fx.tasks.fails = func(int) error { return fault.New(fault.Forbidden, "it lacks a scope") }
	var gaps []time.Duration
	for range 9 {
		fx.due("bad", time.Second)
		if n := fx.round(); n != 1 {
			t.Fatal(n)
		}
		gaps = append(gaps, time.Until(fx.status("bad").Next).Round(time.Minute))
	}
	if gaps[0] > time.Minute || gaps[1] > time.Minute || gaps[8] < time.Hour || !slices.IsSorted(gaps[2:]) {
		t.Error(gaps)
	}
	s := fx.status("bad")
	if !s.Failing() || s.Failures != 9 || !strings.Contains(s.Last.Error, "hook-id:project-a/bad") || len(fx.fires("bad")) != 9 {
		t.Errorf("%+v", s)
	}
	if len(fx.failures) != 9 || fx.failures[8].Failures != 9 || fx.failures[0].By != hooks.Schedule || !fx.failures[8].Next.Equal(s.Next) {
		t.Errorf("%+v", fx.failures)
	}
	list, err := fx.Overview(t.Context(), "", "", 10)
	if err != nil || len(list) != 1 || list[0].Failures != 9 || list[0].LastError == "" {
		t.Error(list, err)
	}
	t.Run("until it succeeds", func(t *testing.T) {
		fx.tasks.fails = nil
		if _, err := fx.Fire(t.Context(), hooks.Fire{Group: "project-a", ID: "bad", By: hooks.TriggerHook}); err != nil {
			t.Fatal(err)
		}
		if s := fx.status("bad"); s.Failures != 0 || time.Until(s.Next) > time.Minute || s.Failing() {
			t.Errorf("%+v", s)
		}
	})
	t.Run("or is changed", func(t *testing.T) {
		if _, err := fx.pool.Exec(t.Context(), `UPDATE hook_definitions SET failures = 9, next_date = now() + interval '1 day', due = now() + interval '1 day'`); err != nil {
			t.Fatal(err)
		}
		if _, err := fx.Update(t.Context(), "ada", hook("bad", anyPayload, func(h *hooks.Hook) { h.Schedule = []string{"* * * * *"} })); err != nil {
			t.Fatal(err)
		}
		if s := fx.status("bad"); s.Failures != 0 || time.Until(s.Next) > time.Minute {
			t.Errorf("%+v", s)
		}
	})
	t.Run("an owner who wants no mail gets none", func(t *testing.T) {
		fx.failures = nil
		fx.tasks.fails = func(int) error { return fault.New(fault.Invalid, "no") }
		fx.must(hook("quiet", daily, func(h *hooks.Hook) { h.Metadata.EmailOnError = false }))
		fx.due("quiet", time.Second)
		if fx.round(); len(fx.failures) > 0 {
			t.Error(fx.failures)
		}
	})
}

func TestWhatMayPassIsTriedAgainAtTheSameDate(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("nightly", daily))
	date := fx.due("nightly", time.Second)
	fx.tasks.fails = func(n int) error {
		if n <= 2 {
			return fault.New(fault.Unavailable, "the database is away")
		}
		return nil
	}
	var waits []time.Duration
	for range 2 {
		fx.round()
		s := fx.status("nightly")
		if !s.Next.Equal(date) || !s.Failing() {
			t.Fatalf("%+v", s)
		}
		waits = append(waits, time.Until(s.Due))
		fx.expire("nightly")
	}
	if waits[0] < time.Second || waits[1] <= waits[0] {
		t.Error(waits)
	}
	fx.round()
	ids, fires := fx.tasks.ids(), fx.fires("nightly")
	if len(ids) != 1 || len(fires) != 1 || fires[0].Error != "" || fires[0].TaskID != ids[0] || len(fx.failures) > 0 {
		t.Errorf("%v %+v %v", ids, fires, fx.failures)
	}
	if d := fx.tasks.definition(ids[0]); d["created"] != task.At(date).String() {
		t.Error(d)
	}
}

func TestAnEditLosesNoDateThatIsDue(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("nightly", daily))
	fx.due("nightly", time.Second)
	if _, err := fx.Update(t.Context(), "ada", hook("nightly", daily, anyPayload)); err != nil {
		t.Fatal(err)
	}
	if n := fx.round(); n != 1 || len(fx.tasks.ids()) != 1 {
		t.Error(n, fx.tasks.ids())
	}
	t.Run("while it is fired", func(t *testing.T) {
		fx.due("nightly", time.Second)
		fx.tasks.breaks = func(int) error {
			_, err := fx.Update(t.Context(), "ada", hook("nightly", daily))
			return err
		}
		fx.round()
		fx.tasks.breaks = nil
		if n := fx.round(); n != 0 || len(fx.tasks.ids()) != 2 {
			t.Error(n, fx.tasks.ids())
		}
		if s := fx.status("nightly"); !s.Next.After(time.Now()) {
			t.Error(s.Next)
		}
	})
	t.Run("that takes the schedule away ends it", func(t *testing.T) {
		fx.due("nightly", time.Second)
		if _, err := fx.Update(t.Context(), "ada", hook("nightly")); err != nil {
			t.Fatal(err)
		}
		if n := fx.round(); n != 0 || !fx.status("nightly").Next.IsZero() {
			t.Error(n, fx.status("nightly").Next)
		}
	})
	t.Run("a hook removed while it is fired leaves nothing behind", func(t *testing.T) {
		fx.must(hook("gone", daily))
		fx.due("gone", time.Second)
		fx.tasks.breaks = func(int) error { return fx.Remove(t.Context(), "ada", "project-a", "gone") }
		fx.round()
		var left int
		if err := fx.pool.QueryRow(t.Context(), `SELECT count(*) FROM hook_fires WHERE hook_id = 'gone'`).Scan(&left); err != nil || left > 0 {
			t.Error(left, err)
		}
	})
}

func TestADeclinedDatePassesSilently(t *testing.T) {
	fx := newFixture(t)
	fx.must(hook("picky", daily, func(h *hooks.Hook) { h.Task = json.RawMessage(`{"$if": "false", "then": {}}`) }))
	fx.due("picky", time.Second)
	fx.round()
	if s := fx.status("picky"); len(fx.tasks.asked) > 0 || s.Last != nil || !s.Next.After(time.Now()) {
		t.Errorf("%v %+v", fx.tasks.asked, s)
	}
}

func TestStartedHooksFireByThemselves(t *testing.T) {
	fx := newFixture(t)
	fx.Start(context.WithoutCancel(t.Context()), nil)
	t.Cleanup(fx.Stop)
	fx.must(hook("soon", func(h *hooks.Hook) { h.Schedule = []string{"* * * * * *"} }))
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(fx.tasks.ids()) < 2 {
		select {
		case <-deadline:
			t.Fatal("nothing fired within 20 s", fx.log.String())
		case <-tick.C:
		}
	}
}
