package simulate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/pools/simulate"
)

// TestAWeek lives through a week with each kind of settings and luck, prints the table, and holds what must
// be true of all of them, and what each setting is for.
func TestAWeek(t *testing.T) {
	started := time.Now()
	list := simulate.Week()
	results := make([]simulate.Result, len(list))
	byName := map[string]simulate.Result{}
	for i, s := range list {
		results[i] = simulate.Run(s)
		byName[s.Name] = results[i]
	}
	var table strings.Builder
	if err := simulate.Print(&table, list, results); err != nil {
		t.Fatal(err)
	}
	t.Logf("a week of load, %d times, in %s\n%s", len(list), time.Since(started).Round(time.Millisecond), &table)
	if d := time.Since(started); d > time.Minute {
		t.Errorf("the week takes %s", d)
	}
	for i, s := range list {
		switch r := results[i]; {
		case r.Tasks-r.Retried < 25000:
			t.Errorf("%s: only %d tasks", s.Name, r.Tasks)
		case r.Above > 0 || r.Peak > s.Limits.Max:
			t.Errorf("%s: %d at once, above the limit for %s", s.Name, r.Peak, r.Above)
		case r.Left != s.Limits.Min:
			t.Errorf("%s: %d are left when there is nothing to do, want %d", s.Name, r.Left, s.Limits.Min)
		}
	}
	base := byName["as it comes"]
	if base.P50 > time.Minute || base.P95 > 5*time.Minute || base.Use(1) < 0.6 {
		t.Errorf("as it comes: waits %s and %s, %.0f %% in use", base.P50, base.P95, 100*base.Use(1))
	}
	for name, better := range map[string]func(r simulate.Result) bool{
		"10 always there":      func(r simulate.Result) bool { return r.P95 <= base.P95 && r.MachineHours > base.MachineHours },
		"idle for 15 min":      func(r simulate.Result) bool { return r.P95 < base.P95 && r.MachineHours > base.MachineHours },
		"ratio 0.5":            func(r simulate.Result) bool { return r.MachineHours < base.MachineHours && r.P95 > base.P95 },
		"60 at most":           func(r simulate.Result) bool { return r.P95 > base.P95 && r.Peak <= 60 },
		"slow boot, 10 min":    func(r simulate.Result) bool { return r.P95 > base.P95 },
		"1 launch of 3 fails":  func(r simulate.Result) bool { return r.Failures > 0 && r.P95 < base.P95+10*time.Minute },
		"no launch Tue 8-10 h": func(r simulate.Result) bool { return r.Max > base.Max && r.P50 < base.P50+time.Minute },
	} {
		if !better(byName[name]) {
			t.Errorf("%s: %+v, as it comes %+v", name, byName[name], base)
		}
	}
}
