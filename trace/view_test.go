package trace_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/trace"
)

func TestView(t *testing.T) {
	v := trace.Build(facts()).View()
	var got []string
	for _, r := range v.Rows {
		var bars []string
		for _, b := range r.Bars {
			bars = append(bars, fmt.Sprintf("%s %d-%d", b.What, b.From, b.To))
		}
		text := fmt.Sprintf("%s %s %s: %s", r.What, r.ID, r.State, strings.Join(bars, ", "))
		if r.Critical {
			text += " !"
		}
		got = append(got, text)
	}
	want := []string{
		"webhook webhook completed: webhook 0-1000 !",
		"decision decision completed: decision 1000-13000 !",
		"task decision completed: worker 3000-6000, run 6000-16000 !",
		"task build completed: needs 13000-16000, worker 16000-21000, run 21000-51000, artifacts 46000-50000 !",
		"task test failed: needs 13000-51000, worker 51000-61000, run 61000-71000, worker 71000-72000, run 72000-91000 !",
		"report 9 completed: report 91000-93000 !",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Takes != 93000 || v.Result != trace.Failure || v.Repository != "acme/web" || len(v.Critical) != 11 || v.Critical[10].To != v.Takes || v.Rows[3].Bars[3].Artifacts != 2 {
		t.Errorf("got %+v", v)
	}
}
