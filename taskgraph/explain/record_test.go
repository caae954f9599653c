package explain_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/explain"
)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	shared := explain.Step{Transform: "shared", Keys: []string{"label", "matrix", "worker"}, Edits: []explain.Edit{{Old: explain.Absent, New: "l"}, {Old: "m", New: explain.Absent}, {Old: "c", New: "a<b"}}}
	p := explain.Provenance{Kind: "k", File: "f", Line: 3, Entry: "e", Loader: "default"}.With(shared)
	r := &explain.Record{Kinds: []string{"k"}, Tasks: map[string]explain.Recorded{
		"k-a": {Provenance: p, TaskID: "A"},
		"k-b": {Provenance: p.With(explain.Step{Transform: "own", Note: "n"}), Optimization: map[string]any{"skip-unless-changed": []any{"src/**"}}},
	}}
	r.Select(explain.Selection{Label: "k-a", Filter: "f", Kept: true, Rule: "all"})
	r.Select(explain.Selection{Label: "k-b", Filter: "f", Rule: "run_on_projects", Wants: []explain.Want{{Parameter: "project", OneOf: []string{"main", "try"}}}})
	r.Optimize(explain.Optimization{Label: "k-a", Phase: "remove", Outcome: explain.Kept, Reason: "wanted"})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), `"shared"`); n != 1 {
		t.Errorf("a step of two tasks is written %d times: %s", n, text)
	}
	var back explain.Record
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(&back)
	if diff := cmp.Diff(string(text), string(again)); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if got := back.Label("A"); got != "k-a" {
		t.Errorf("task A is %q", got)
	}
	var out strings.Builder
	for _, label := range []string{"k-a", "k-b", "k-c"} {
		if err := back.Story(label).WriteText(&out); err != nil {
			t.Fatal(err)
		}
	}
	want := `k-a: runs as task A
  from f:3 entry "e", read by default
  shared changed label, matrix, worker
    - matrix: …
    worker: "c" → "a<b"
  selected by f: all
  remove: kept, wanted
k-b: not selected
  from f:3 entry "e", read by default
  shared changed label, matrix, worker
    - matrix: …
    worker: "c" → "a<b"
  own (n)
  not selected by f: run_on_projects
  would be selected on project main
  would be selected on project try
k-c: no kind makes it
  is k-a or k-b meant?
  kind k makes 2 tasks
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestARecordThatIsNoneIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		`[]`: "explain.json", `{"steps": [{"transform": 1}]}`: "explain.json", `{"tasks": {"a": {"steps": [0]}}}`: "has a step 0, of 0", `{"tasks": {"a": {"steps": [-1]}}}`: "has a step -1",
	} {
		var r explain.Record
		if err := json.Unmarshal([]byte(text), &r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"kinds":["k"],"steps":[{"transform":"t"}],"tasks":{"k-a":{"file":"f","steps":[0]}},"selections":[{"label":"k-a","wants":[{"parameter":"p"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r explain.Record
		if json.Unmarshal(text, &r) != nil {
			return
		}
		for _, label := range append(r.Labels(), "k-b") {
			r.Story(label)
		}
	})
}

// The record is written without encoding/json: any text has to come back.
func FuzzStepsAreJSON(f *testing.F) {
	f.Add("t", "a\"\\\x00\x1f\n<é\xff\u2028", "cell")
	f.Fuzz(func(t *testing.T, transform, text, note string) {
		s := explain.Step{
			Transform: transform, Keys: []string{text, "b"}, Note: note, Cell: []explain.Dimension{{Name: text, Value: note}},
			Changes: []explain.Change{{Key: text, Old: note, New: text}, {Key: note}},
		}
		r := &explain.Record{Tasks: map[string]explain.Recorded{text: {Provenance: explain.Provenance{Steps: []*explain.Step{&s}}}}}
		got, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back struct{ Steps []explain.Step }
		if err := json.Unmarshal(got, &back); err != nil || len(back.Steps) != 1 {
			t.Fatalf("%v: %s", err, got)
		}
		want, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var clean explain.Step // as encoding/json reads its own
		if err := json.Unmarshal(want, &clean); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(clean, back.Steps[0]); diff != "" {
			t.Error(diff)
		}
	})
}
