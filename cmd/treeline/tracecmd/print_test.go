package tracecmd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/trace"
)

func TestTheWaterfallInText(t *testing.T) {
	v := &trace.View{
		TraceID: "abc", Title: "Teach it", Takes: 100_000, Settled: true, Result: trace.Failure,
		Rows: []trace.Row{
			{What: trace.OfDecision, Name: "decision", State: "completed", Critical: true, Bars: []trace.Bar{{What: trace.OfDecision, From: 0, To: 10_000}}},
			{What: trace.OfTask, ID: "a", Name: "build", State: "completed", Critical: true, Bars: []trace.Bar{{What: trace.OfNeeds, From: 10_000, To: 20_000}, {What: trace.OfWorker, From: 20_000, To: 40_000}, {What: trace.OfRun, From: 40_000, To: 100_000}, {What: trace.OfUpload, From: 90_000, To: 95_000}}},
			{What: trace.OfTask, ID: "b", Name: "lint", State: "failed", Bars: []trace.Bar{{What: trace.OfRun, From: 20_000, To: 20_001}}},
		},
		Critical: []trace.StepBar{{What: trace.OfDecision, From: 0, To: 10_000, Text: "the push was decided"}, {What: trace.OfRun, Task: "a", Name: "build", From: 10_000, To: 100_000, Text: "ran"}},
	}
	var out bytes.Buffer
	options{width: 10, limit: 100}.show(&out, v)
	want := `Teach it
failure after 1m40s, trace abc

◆ completed   decision █
◆ completed   build     ·░░██████
  failed      lint       █

Critical path
     +0.0s    10.0s  decision: the push was decided
    +10.0s    1m30s  build: ran
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	options{width: 10, critical: true}.show(&out, v)
	if strings.Contains(out.String(), "lint") {
		t.Errorf("got %s", out.String())
	}
}

func TestOnlyTheLongestAreShown(t *testing.T) {
	var rows []trace.Row
	for i, n := range []int64{5, 5, 9, 1, 5} {
		rows = append(rows, trace.Row{What: trace.OfTask, Name: fmt.Sprint(i), Critical: i == 3, Bars: []trace.Bar{{What: trace.OfRun, To: n}}})
	}
	for limit, want := range map[int]string{0: "01234", 1: "3", 2: "23", 3: "023", 4: "0123", 9: "01234"} {
		got := ""
		shown, more := options{limit: limit}.choose(rows)
		for _, r := range shown {
			got += r.Name
		}
		if got != want || more != 5-len(want) {
			t.Errorf("with a limit of %d there are %s and %d more", limit, got, more)
		}
	}
}
