package history_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/history"
)

// table is the history before push n, pushes from first on, those of failed undecided.
func table(first, n int64, failed ...int64) *history.Table {
	t := &history.Table{Version: history.Version, Push: history.Push{Number: n, Time: at(n)}}
	for i := first; i < n; i++ {
		t.Pushes = append(t.Pushes, history.Push{Number: i, Time: at(i), Undecided: slices.Contains(failed, i)})
	}
	return t
}

func TestBackstops(t *testing.T) {
	backstops := func(n int, age time.Duration, failed ...int64) []int64 {
		var out []int64
		for i := int64(1); i <= 22; i++ {
			if table(1, i, failed...).Backstop(n, age).Yes {
				out = append(out, i)
			}
		}
		return out
	}
	for name, c := range map[string]struct{ got, want []int64 }{
		"the first push, and every n-th":                     {backstops(10, 0), []int64{1, 10, 20}},
		"and whoever comes long after the last":              {backstops(10, 40*time.Minute), []int64{1, 5, 9, 10, 14, 18, 20}},
		"a decision that failed is no backstop":              {backstops(10, 0, 10, 11), []int64{1, 10, 11, 12, 20}},
		"nor is the next one":                                {backstops(10, time.Hour, 1, 2)[:4], []int64{1, 2, 3, 9}},
		"one of one is every push":                           {backstops(1, 0)[:5], []int64{1, 2, 3, 4, 5}},
		"an age shorter than the pushes' distance is always": {backstops(10, time.Minute)[:5], []int64{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBackstopsDoNotDependOnHowFarTheTableReachesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "every")
		age := time.Duration(rapid.IntRange(0, 90).Draw(t, "minutes")) * time.Minute
		number := rapid.Int64Range(13, 60).Draw(t, "number")
		var failed []int64
		for i := int64(1); i < number; i++ {
			if rapid.IntRange(0, 3).Draw(t, "failed") == 0 {
				failed = append(failed, i)
			}
		}
		first := rapid.Int64Range(1, number-int64(n)).Draw(t, "first")
		if a, b := table(1, number, failed...).Backstop(n, age), table(first, number, failed...).Backstop(n, age); a != b {
			t.Errorf("%v with all pushes, %v from %d on", a, b, first)
		}
	})
}

func TestEachLabelHasItsTurnOnOnePushOfSome(t *testing.T) {
	turns := map[int64]int{}
	for i := range 300 {
		label := fmt.Sprintf("test-%d", i)
		n := 0
		for push := int64(20); push < 30; push++ {
			if table(20, push).Bucket(label, 10).Yes {
				n++
				turns[push]++
			}
		}
		if n != 1 {
			t.Fatalf("%s runs on %d of 10 pushes", label, n)
		}
	}
	if len(turns) != 10 || slices.Min(slices.Collect(maps.Values(turns))) < 10 {
		t.Errorf("the turns are uneven: %v", turns)
	}
}

func TestRecent(t *testing.T) {
	h := table(1, 20)
	moment := func(n int64) *history.Moment { return &history.Moment{Number: n, Time: at(n)} }
	h.Labels = map[string]history.Label{
		"good":   {Runs: 3, LastRun: moment(17), LastPassed: moment(17)},
		"failed": {Runs: 3, LastRun: moment(17), LastPassed: moment(16)},
	}
	for name, c := range map[string]struct {
		got  history.Answer
		want history.Answer
	}{
		"within both limits":  {h.Recent("good", 4, time.Hour), history.Answer{Yes: true, Reason: "it passed on push 17, 3 pushes and 30m ago"}},
		"too many pushes":     {h.Recent("good", 3, time.Hour), history.Answer{Reason: "it last ran 3 pushes ago, not less than 3"}},
		"too long ago":        {h.Recent("good", 9, 30*time.Minute), history.Answer{Reason: "it last ran 30m ago, not less than 30m"}},
		"of any age":          {h.Recent("good", 9, 0), history.Answer{Yes: true, Reason: "it passed on push 17, 3 pushes and 30m ago"}},
		"it failed":           {h.Recent("failed", 9, 0), history.Answer{Reason: "it failed when it last ran, on push 17"}},
		"it is not known yet": {h.Recent("new", 9, 0), history.Answer{Reason: "it is not known to have run"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCover(t *testing.T) {
	h := table(1, 100)
	h.Regressions = []history.Regression{
		{Push: 10, Labels: []string{"a", "b"}}, {Push: 20, Labels: []string{"a", "slow"}}, {Push: 30, Labels: []string{"c", "slow"}},
		{Push: 90, Labels: []string{"b", "elsewhere"}}, {Push: 95, Labels: []string{"elsewhere"}},
	}
	h.Labels = map[string]history.Label{"a": {Runs: 90, Median: 5}, "b": {Runs: 90, Median: 5}, "c": {Runs: 90, Median: 1}, "slow": {Runs: 90, Median: 50}, "idle": {Runs: 90}, "new": {Runs: 2}}
	labels := []string{"a", "b", "c", "slow", "idle", "new"}
	valuable := func(pushes int, catch float64) string {
		c := h.Cover(labels, pushes, catch, 10)
		var out []string
		for _, l := range labels {
			if !c.LowValue(l).Yes {
				out = append(out, l)
			}
		}
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct{ got, want string }{
		"all regressions, by as few as can be": {valuable(0, 1), "a b c new"},
		"most of them":                         {valuable(0, 0.5), "a new"},
		"none of them":                         {valuable(0, 0), "new"},
		"of the last pushes":                   {valuable(20, 1), "b new"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.got != c.want {
				t.Errorf("valuable are %s, want %s", c.got, c.want)
			}
		})
	}
	c := h.Cover(labels, 0, 1, 10)
	for label, want := range map[string]string{
		"a":    "it is number 1 of the 3 tasks that find 4 of 4 regressions",
		"slow": "others find what it found: 3 tasks find 4 of 4 regressions", "idle": "it found none of 4 regressions in 90 runs",
		"new": "it ran on 2 pushes; with fewer than 10 a task is not judged",
	} {
		if got := c.LowValue(label).Reason; got != want {
			t.Errorf("%s: %s", label, got)
		}
	}
}

func TestCoverFindsWhatItShall(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := table(1, 50)
		h.Labels = map[string]history.Label{}
		var labels []string
		for i := range rapid.IntRange(1, 8).Draw(t, "labels") {
			l := fmt.Sprint("l", i)
			labels = append(labels, l)
			h.Labels[l] = history.Label{Runs: 20, Median: float64(rapid.IntRange(0, 3).Draw(t, "median"))}
		}
		for push := int64(1); push < 50; push += rapid.Int64Range(1, 9).Draw(t, "gap") {
			found := rapid.SliceOfNDistinct(rapid.SampledFrom(labels), 1, len(labels), rapid.ID).Draw(t, "found")
			slices.Sort(found)
			h.Regressions = append(h.Regressions, history.Regression{Push: push, Labels: found})
		}
		catch := rapid.Float64Range(0, 1).Draw(t, "catch")
		c := h.Cover(labels, 0, catch, 1)
		caught := 0
		for _, r := range h.Regressions {
			if slices.ContainsFunc(r.Labels, func(l string) bool { return !c.LowValue(l).Yes }) {
				caught++
			}
		}
		if float64(caught) < catch*float64(len(h.Regressions)) {
			t.Errorf("the valuable tasks find %d of %d regressions, which is less than %v", caught, len(h.Regressions), catch)
		}
		shuffled := slices.Clone(labels)
		slices.Reverse(shuffled)
		again := h.Cover(shuffled, 0, catch, 1)
		for _, l := range labels {
			if c.LowValue(l) != again.LowValue(l) {
				t.Errorf("%s: %v, and %v in another order", l, c.LowValue(l), again.LowValue(l))
			}
		}
	})
}
