package estimate_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/pools/estimate"
)

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		name     string
		limits   estimate.Limits
		load     estimate.Load
		standing estimate.Standing
		want     estimate.Need
	}{
		{"nothing to do, nothing is asked for", estimate.Limits{Max: 10, Ratio: 1}, estimate.Load{}, estimate.Standing{}, estimate.Need{}},
		{"a worker for each pending task", estimate.Limits{Max: 10, Ratio: 1}, estimate.Load{Pending: 3}, estimate.Standing{}, estimate.Need{Desired: 3, Spawn: 3, Target: 3}},
		{"no more than the limit", estimate.Limits{Max: 10, Ratio: 1}, estimate.Load{Pending: 30}, estimate.Standing{Running: 4}, estimate.Need{Desired: 10, Spawn: 6, Target: 10}},
		{"idle workers take pending tasks first", estimate.Limits{Max: 10, Ratio: 1}, estimate.Load{Pending: 3, Claimed: 2}, estimate.Standing{Running: 4}, estimate.Need{Desired: 5, Spawn: 1, Target: 5}},
		{"what was requested is not requested again", estimate.Limits{Max: 10, Ratio: 1}, estimate.Load{Pending: 3}, estimate.Standing{Requested: 3}, estimate.Need{Desired: 3, Target: 3}},
		{"the least is there without work", estimate.Limits{Min: 2, Max: 10, Ratio: 1}, estimate.Load{}, estimate.Standing{Running: 1}, estimate.Need{Desired: 2, Spawn: 1, Target: 2}},
		{"what stops is not the least", estimate.Limits{Min: 2, Max: 10, Ratio: 1}, estimate.Load{}, estimate.Standing{Stopping: 2}, estimate.Need{Desired: 2, Spawn: 2, Target: 2}},
		{"what stops counts against the limit", estimate.Limits{Max: 4, Ratio: 1}, estimate.Load{Pending: 9}, estimate.Standing{Stopping: 3}, estimate.Need{Desired: 4, Spawn: 1, Target: 4}},
		{"half a worker a task, rounded up", estimate.Limits{Max: 10, Ratio: 0.5}, estimate.Load{Pending: 3}, estimate.Standing{}, estimate.Need{Desired: 2, Spawn: 2, Target: 2}},
		{"far more than allowed is told", estimate.Limits{Max: 20, Ratio: 1}, estimate.Load{}, estimate.Standing{Running: 26}, estimate.Need{Desired: 20, Over: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, estimate.Estimate(c.limits, c.load, c.standing)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEstimateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 2000)
		l := estimate.Limits{Min: n.Draw(t, "min"), Ratio: rapid.Float64Range(0, 1).Draw(t, "ratio")}
		l.Max = l.Min + n.Draw(t, "more")
		load := estimate.Load{Pending: n.Draw(t, "pending"), Claimed: n.Draw(t, "claimed")}
		s := estimate.Standing{Requested: n.Draw(t, "requested"), Running: n.Draw(t, "running"), Stopping: n.Draw(t, "stopping")}
		need := estimate.Estimate(l, load, s)
		total := s.Requested + s.Running + s.Stopping
		switch {
		case need.Spawn < 0:
			t.Fatal("less than nothing is asked for")
		case need.Spawn > 0 && total+need.Spawn > l.Max:
			t.Fatalf("%d and %d more are over the limit", total, need.Spawn)
		case need.Target < l.Min || need.Target > l.Max:
			t.Fatalf("target %d is outside the limits", need.Target)
		case need.Spawn > 0 && s.Requested+s.Running >= l.Min && load.Pending <= s.Requested+s.Running-load.Claimed:
			t.Fatal("more is asked for although idle workers are enough")
		}
		// Asking twice, with what was asked for standing as requested, asks for nothing more.
		s.Requested += need.Spawn
		if again := estimate.Estimate(l, load, s); again.Spawn > 0 && load.Claimed <= s.Running+s.Requested-need.Spawn && l.Ratio == 1 {
			t.Fatalf("the same load asks for %d again", again.Spawn)
		}
		// More work never asks for less.
		s.Requested -= need.Spawn
		load.Pending++
		if more := estimate.Estimate(l, load, s); more.Spawn < need.Spawn || more.Target < need.Target {
			t.Fatal("more work asks for less")
		}
	})
}

func TestChooseProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		configs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) estimate.Config {
			return estimate.Config{
				Weight: rapid.Float64Range(0, 1).Draw(t, "weight"), PerInstance: rapid.IntRange(1, 8).Draw(t, "per"),
				Max: rapid.IntRange(-1, 40).Draw(t, "max"), Existing: rapid.IntRange(0, 20).Draw(t, "existing"), Errors: rapid.IntRange(0, 5).Draw(t, "errors"),
			}
		}), 0, 5).Draw(t, "configs")
		before := append([]estimate.Config(nil), configs...)
		existing := 0
		for _, c := range configs {
			existing += c.Existing
		}
		spawn := rapid.IntRange(0, 60).Draw(t, "spawn")
		headroom := spawn + rapid.IntRange(0, 20).Draw(t, "headroom")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		added := 0
		for n, i := range estimate.Choose(configs, spawn, headroom, existing, r.Float64) {
			if added >= spawn {
				t.Fatal("a worker too many")
			}
			if added += configs[i].PerInstance; added > headroom && (existing > 0 || n > 0) {
				t.Fatalf("%d is more than the headroom %d", added, headroom)
			}
			if before[i].Weight == 0 {
				t.Fatal("a config of weight 0 was chosen")
			}
		}
		for i, c := range configs {
			if c.Max >= 0 && c.Existing > c.Max && c.Existing != before[i].Existing {
				t.Fatalf("config %d is over its own limit", i)
			}
		}
	})
}

func TestChoosePrefersWhatWorks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	for range 1000 {
		configs := []estimate.Config{
			{ID: "good", Weight: 1, PerInstance: 1, Max: -1},
			{ID: "fails", Weight: 1, PerInstance: 1, Max: -1, Errors: 9},
			{ID: "fails a little", Weight: 1, PerInstance: 1, Max: -1, Errors: 1},
			{ID: "full", Weight: 1, PerInstance: 1, Max: 3, Existing: 3},
			{ID: "half", Weight: 1, PerInstance: 1, Max: 10, Existing: 5},
		}
		for _, i := range estimate.Choose(configs, 1, 1, 8, r.Float64) {
			counts[configs[i].ID]++
		}
	}
	// Weights 1, 0.1, 0.9, none, 0.5.
	if counts["full"] != 0 || counts["good"] < 330 || counts["fails"] > 80 || counts["half"] < 150 || counts["half"] > 250 {
		t.Errorf("chosen %v", counts)
	}
	alone := []estimate.Config{{Weight: 1, PerInstance: 2, Max: -1, Errors: 5}}
	if got := estimate.Choose(alone, 3, 9, 0, r.Float64); len(got) != 2 {
		t.Errorf("the only config, which fails, is chosen %d times, want 2", len(got))
	}
	both := []estimate.Config{{Weight: 0.5, PerInstance: 1, Max: -1, Errors: 5}, {Weight: 0.5, PerInstance: 1, Max: -1, Errors: 5}}
	if got := estimate.Choose(both, 3, 9, 0, r.Float64); len(got) != 3 {
		t.Errorf("of configs that all fail %d are chosen, want 3", len(got))
	}
}

func TestRetire(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	since := func(hours int) time.Time { return now.Add(-time.Duration(hours) * time.Hour) }
	got := estimate.Retire([]estimate.Worker{
		{Capacity: 1, Since: since(5)},
		{Capacity: 2, Since: since(1)},
		{Capacity: 1, Since: since(9), Quarantined: true},
		{Capacity: 1, Since: since(0), Archived: true},
		{Capacity: 1, Since: since(2), Expires: now.Add(10 * time.Minute)},
		{Capacity: 1, Since: since(4), Expires: now.Add(time.Hour)},
	}, 3, now)
	want := []estimate.Verdict{
		{true, estimate.OverNeed}, {false, estimate.Needed}, {false, estimate.Quarantined},
		{true, estimate.OldConfig}, {true, estimate.TooOld}, {false, estimate.Needed},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
