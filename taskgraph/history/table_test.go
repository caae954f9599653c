package history_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/history"
)

// at is the time of the n-th push: one every ten minutes.
func at(n int64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * 10 * time.Minute)
}

func TestATableReadsBack(t *testing.T) {
	in := &history.Table{
		Version: history.Version, Project: "p", Push: history.Push{Number: 3, Time: at(3)},
		Pushes:      []history.Push{{Number: 1, Revision: "r1", Time: at(1)}, {Number: 2, Time: at(2), Undecided: true}},
		Regressions: []history.Regression{{Push: 1, Labels: []string{"<a>", "b"}}},
		Labels: map[string]history.Label{
			"<a>": {Runs: 2, Failed: 1, LastRun: &history.Moment{Number: 2, Time: at(2)}, Median: 1.5, P90: 2},
			"b":   {Runs: 1, Median: 7}, "c": {Runs: 1, Median: 3},
		},
	}
	b, err := in.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	out, err := history.Read(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	again, err := out.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(b), string(again)); diff != "" {
		t.Error(diff)
	}
	var d history.Durations = out
	if got, ok := d.Duration("<a>"); !ok || got != 1500*time.Millisecond {
		t.Errorf("a takes %v, %v", got, ok)
	}
	if _, ok := d.Duration("never ran"); ok {
		t.Error("a label that never ran has a duration")
	}
	if got := d.Typical(); got != 3*time.Second {
		t.Errorf("a typical task takes %v", got)
	}
	d = (*history.Table)(nil)
	if _, ok := d.Duration("a"); ok || d.Typical() != 0 {
		t.Error("no table knows durations")
	}
}

func TestBadTablesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":         {"nothing", "treeline taskgraph history"},
		"version":         {`{"version": 2}`, "version 2"},
		"no push":         {`{"version": 1}`, "push.number is 0"},
		"order":           {`{"version": 1, "push": {"number": 9}, "pushes": [{"number": 2}, {"number": 1}]}`, "pushes[1] has number 1 after 2"},
		"later push":      {`{"version": 1, "push": {"number": 9}, "pushes": [{"number": 9}]}`, "pushes[0] has number 9"},
		"unsorted labels": {`{"version": 1, "push": {"number": 9}, "regressions": [{"push": 1, "labels": ["b", "a"]}]}`, "regressions[0]"},
		"counts":          {`{"version": 1, "push": {"number": 9}, "labels": {"a": {"runs": 1, "failed": 2}}}`, "labels.a"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := history.Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}
