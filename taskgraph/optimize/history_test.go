package optimize_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// before is the history before push n; pushes come every ten minutes.
func before(n int64) *history.Table {
	at := func(n int64) time.Time {
		return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * 10 * time.Minute)
	}
	moment := func(n int64) *history.Moment { return &history.Moment{Number: n, Time: at(n)} }
	t := &history.Table{
		Version: history.Version, Push: history.Push{Number: n, Time: at(n)}, Regressions: []history.Regression{{Push: 2, Labels: []string{"a"}}},
		Labels: map[string]history.Label{
			"a": {Runs: 50, LastRun: moment(n - 2), LastPassed: moment(n - 2)}, "b": {Runs: 50, LastRun: moment(n - 9), LastPassed: moment(n - 9)},
		},
	}
	for i := int64(1); i < n; i++ {
		t.Pushes = append(t.Pushes, history.Push{Number: i, Time: at(i)})
	}
	return t
}

func TestStrategiesThatLookAtTheHistory(t *testing.T) {
	one := func(name string, arg any) map[string]any { return map[string]any{name: arg} }
	for name, c := range map[string]struct {
		optimization map[string]any
		push         int64
		want         string
	}{
		"interval, on it":             {one("skip-unless-push-interval", int64(10)), 30, "kept: push 30 is one of every 10"},
		"interval, between":           {one("skip-unless-push-interval", nil), 33, "removed: push 33 is not one of every 10; the next is 40"},
		"backstop, on it":             {one("skip-unless-backstop", nil), 40, "kept: push 40 is one of every 20"},
		"backstop, between":           {one("skip-unless-backstop", one("pushes", int64(20))), 45, "removed: the last backstop, push 40, is 5 pushes and 50m ago"},
		"backstop, long ago":          {one("skip-unless-backstop", map[string]any{"pushes": int64(20), "minutes": int64(30)}), 43, "kept: the last backstop, push 40, is 30m ago"},
		"expanded, on half":           {one("skip-unless-expanded", int64(20)), 30, "kept: push 30 is one of every 10"},
		"expanded, between":           {one("skip-unless-expanded", int64(20)), 31, "removed: the last backstop, push 20"},
		"bucket":                      {one("skip-unless-bucket", int64(1)), 31, "kept: its turn of one push in 1 is push 31"},
		"not its turn":                {one("skip-unless-bucket", int64(3)), 30, "removed: its turn of one push in 3 is push 31, not 30"},
		"recent":                      {one("skip-if-recent", nil), 31, "removed: it passed on push 29, 2 pushes and 20m ago"},
		"not recent":                  {one("skip-if-recent", int64(2)), 31, "kept: it last ran 2 pushes ago"},
		"by age":                      {one("skip-if-recent", one("minutes", int64(15))), 31, "kept: it last ran 20m ago, not less than 15m"},
		"valuable":                    {one("skip-low-value", nil), 31, "kept: it is number 1 of the 1 tasks that find 1 of 1 regressions"},
		"low value":                   {one("skip-low-value", 0.0), 31, "removed: others find what it found: 0 tasks find 0 of 1"},
		"low value, judged by more":   {one("skip-low-value", map[string]any{"catch": int64(0), "runs": int64(60)}), 31, "kept: it ran on 50 pushes; with fewer than 60"},
		"composed: all":               {one("all", []any{one("skip-low-value", int64(0)), one("skip-unless-expanded", nil)}), 31, "removed: others find what it found"},
		"composed: kept on expanded":  {one("all", []any{one("skip-low-value", int64(0)), one("skip-unless-expanded", nil)}), 30, "kept: push 30 is one of every 10"},
		"composed: not":               {one("not", one("skip-unless-backstop", nil)), 40, "removed: not: push 40"},
		"composed: any, with a files": {one("any", []any{one("skip-unless-changed", []any{"src"}), one("skip-if-recent", nil)}), 31, "removed: it passed"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			log := pastRun(t, c.optimization, nil, func() (*history.Table, error) { asked++; return before(c.push), nil })
			if got := log.Optimizations[0].Outcome + ": " + log.Optimizations[0].Reason; !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
			if asked != 1 {
				t.Errorf("the history was asked for %d times", asked)
			}
		})
	}
}

// pastRun optimizes a task a with that optimization, beside b.
func pastRun(t *testing.T, optimization, over map[string]any, source history.Source) explain.Log {
	t.Helper()
	g, err := graph.FromTasks([]*graph.Task{{Label: "a", Optimization: optimization}, {Label: "b", Optimization: optimization}})
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{"files_changed": []any{"src/a.py"}}
	for k, v := range over {
		values[k] = v
	}
	var log explain.Log
	in := input(t, g, values)
	in.Log, in.History = &log, source
	if _, err := optimize.Run(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	return log
}

func TestWithoutHistoryEverythingRuns(t *testing.T) {
	for name := range optimize.Builtin() {
		if !strings.HasPrefix(name, "skip-") || name == "skip-unless-changed" || name == "skip-unless-has-relevant-tests" {
			continue
		}
		for why, c := range map[string]struct {
			source history.Source
			over   map[string]any
			want   string
		}{
			"none is given": {nil, nil, "no history of earlier pushes is known"},
			"there is none": {func() (*history.Table, error) { return nil, nil }, nil, "no history of earlier pushes is known"},
			"no push":       {func() (*history.Table, error) { return before(31), nil }, map[string]any{"base_rev": "r", "head_rev": "r"}, "base_rev and head_rev are the same"},
		} {
			t.Run(name+", "+why, func(t *testing.T) {
				log := pastRun(t, map[string]any{name: nil}, c.over, c.source)
				if o := log.Optimizations[0]; o.Outcome != explain.Kept || !strings.HasPrefix(o.Reason, c.want) {
					t.Errorf("%s: %s", o.Outcome, o.Reason)
				}
			})
		}
	}
}

func TestFaultsOfHistoryStrategies(t *testing.T) {
	broken := errors.New("the table is gone")
	for name, c := range map[string]struct {
		optimization map[string]any
		source       history.Source
		want         string
	}{
		"no number":        {map[string]any{"skip-if-recent": "x"}, nil, "strategy skip-if-recent wants null, pushes as a number, or some of {minutes: 0, pushes: 5}; got a string"},
		"unknown key":      {map[string]any{"skip-unless-backstop": map[string]any{"pushs": int64(1)}}, nil, `got the key "pushs"; is "pushes" meant?`},
		"too many pushes":  {map[string]any{"skip-unless-bucket": int64(501)}, nil, "pushes must be a whole number from 1 to 500, not 501"},
		"no pushes":        {map[string]any{"skip-unless-bucket": int64(0)}, nil, "pushes must be a whole number from 1 to 500, not 0"},
		"no whole number":  {map[string]any{"skip-unless-push-interval": 1.5}, nil, "pushes must be a whole number from 1 to 500, not 1.5"},
		"more than all":    {map[string]any{"skip-low-value": map[string]any{"catch": 1.5}}, nil, "catch must be a number from 0 to 1, not 1.5"},
		"no table":         {map[string]any{"skip-low-value": nil}, func() (*history.Table, error) { return nil, broken }, "history of earlier pushes: the table is gone"},
		"within composite": {map[string]any{"any": []any{map[string]any{"skip-if-recent": "x"}}}, nil, "strategy skip-if-recent wants"},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := graph.FromTasks([]*graph.Task{{Label: "a", Optimization: c.optimization}})
			if err != nil {
				t.Fatal(err)
			}
			in := input(t, g, nil)
			in.History = c.source
			if _, err := optimize.Run(t.Context(), in); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "task a") {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}
