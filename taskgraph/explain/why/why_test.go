package why_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/explain/why"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

var update = flag.Bool("update", false, "write the golden stories anew")

// input is a push to project mine that changes one file of src.
func input(t *testing.T) taskgraph.Input {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", "tree.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{}
	for _, f := range a.Files {
		tree[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	values := params.Defaults(params.Facts{RepositoryType: "git", RepositoryURL: "https://example.org/mine", HeadRef: "main", HeadRev: "f00", FilesChanged: []string{"src/main.c"}, Now: time.Unix(1e9, 0)})
	for key, v := range map[string]any{"level": "1", "project": "mine", "tasks_for": "github-push", "base_rev": "ba5e", "optimize_target_tasks": true} {
		values[key] = v
	}
	p, err := params.FromMap(values, false)
	if err != nil {
		t.Fatal(err)
	}
	return taskgraph.Input{
		Tree: tree, Root: "taskcluster", Parameters: p, IDSeed: "seed", Trace: true,
		History: func() (*history.Table, error) {
			return &history.Table{Project: "mine", Push: history.Push{Number: 17, Time: time.Unix(1e9, 0)}, Pushes: []history.Push{{Number: 16, Time: time.Unix(1e9-600, 0)}}}, nil
		},
		Index: func(context.Context, []string) (map[string]optimize.Found, error) {
			return map[string]optimize.Found{"td.v1.cached": {TaskID: "Ck6H5RzFTomOeX9C8lZOHA", State: "completed", Expires: time.Unix(2e9, 0)}}, nil
		},
	}
}

// questions are labels of every kind of answer.
var questions = []string{
	"build-app-linux-arm", "build-app-linux-x64", "build-base", "build-cached", "test-part-1", "test-nightly", "test-release", "test-reviewed", "test-always", "test-seldom", "test-conditional",
	"test-timed", "test-with-unit", "build-trusted", "build-documented", "deploy-site", "build-app-mac-x64", "build-app-bsd-arm", "test-part-9", "buidl-base",
}

func explainer(t *testing.T) *why.Explainer {
	t.Helper()
	in := input(t)
	res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	return why.New(in, res)
}

func TestStoriesAreTheGoldenOnes(t *testing.T) {
	e := explainer(t)
	var b strings.Builder
	for _, label := range questions {
		s, err := e.Story(t.Context(), label)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteByte('\n')
	}
	file := filepath.Join("testdata", "stories.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// Every counterfactual that is told is tried here once more, by a generation of its own: for each of
// its patterns a file.
func TestWhatIsSaidToHelpHelps(t *testing.T) {
	e := explainer(t)
	tried := 0
	for _, label := range slices.Concat(e.Labels(), questions) {
		s, err := e.Story(t.Context(), label)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range s.Counterfactuals {
			if !c.Seen {
				t.Errorf("%s %s: not seen", label, c)
			}
			for _, when := range each(c.When) {
				tried++
				if !holds(t, label, c.Would, when) {
					t.Errorf("%s %s: is not so with %+v", label, c, when)
				}
			}
		}
		if len(s.Counterfactuals) == 0 && s.Outcome != explain.Created && s.Outcome != explain.Unknown && label != "test-timed" {
			t.Errorf("%s: nothing is said to help", label)
		}
	}
	if tried < 20 {
		t.Errorf("only %d counterfactuals were told", tried)
	}
}

func TestAMethodThatIsAConditionSaysWhatItAsksFor(t *testing.T) {
	in := input(t)
	var err error
	if in.Parameters, err = in.Parameters.With("target_tasks_method", "hot"); err != nil {
		t.Fatal(err)
	}
	res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	s, err := why.New(in, res).Story(t.Context(), "test-warm")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Counterfactuals) != 1 || s.Counterfactuals[0].String() != "would run on project main" || s.Outcome != explain.Unselected {
		t.Errorf("%s: %v", s.Outcome, s.Counterfactuals)
	}
}

// What a record alone says, without running the generator, has to be so too.
func TestWhatARecordSaysToHelpHelps(t *testing.T) {
	in := input(t)
	res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	r := &explain.Record{Kinds: res.Kinds, Tasks: map[string]explain.Recorded{}, Log: *res.Explain}
	for label, task := range res.Full.All() {
		r.Tasks[label] = explain.Recorded{Provenance: task.Provenance, Optimization: task.Optimization}
	}
	tried := 0
	for _, label := range r.Labels() {
		for _, c := range r.Story(label).Counterfactuals {
			for _, when := range each(c.When) {
				tried++
				if !holds(t, label, c.Would, when) {
					t.Errorf("%s %s: is not so with %+v", label, c, when)
				}
			}
		}
	}
	if tried < 8 {
		t.Errorf("only %d counterfactuals were told", tried)
	}
}

// each gives a premise for each pattern of files.
func each(p explain.Premise) []explain.Premise {
	if len(p.FilesChanged) == 0 {
		return []explain.Premise{p}
	}
	var out []explain.Premise
	for _, pattern := range p.FilesChanged {
		one := p
		one.FilesChanged = []string{pattern}
		out = append(out, one)
	}
	return out
}

func holds(t *testing.T, label, would string, when explain.Premise) bool {
	t.Helper()
	in, err := why.With(input(t), when)
	if err != nil {
		t.Fatal(err)
	}
	res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
	if err != nil {
		t.Fatal(err)
	}
	runs := false
	for _, task := range res.Morphed.All() {
		runs = runs || task.Label == label
	}
	switch would {
	case explain.WouldRun:
		return runs
	case explain.WouldNotRun:
		return !runs
	}
	return slices.Contains(res.TargetSet, label)
}

func TestConditionsSayWhatTheyAskFor(t *testing.T) {
	for source, want := range map[string][]string{
		"level >= 3":                       {"at level 3"},
		"level > 1 and project == 'x'":     {"at level 2", "on project x", "at level 2 and on project x"},
		"changed('a/**', 'b')":             {"if one of these files changed: a/**, b"},
		"branch in ['r1', 'r2']":           {"on branch r1", "on branch r2", "on branch r1"},
		"is_pull_request || name == 'a'":   {"for the event github-pull-request"},
		"params['phase'] == 'ship'":        {"with the parameter phase: ship"},
		"len(files_changed) > 3":           nil,
		"this is no condition":             nil,
		"any(files_changed, {# == 'a.c'})": nil,
	} {
		var got []string
		for _, p := range why.Conditions(source) {
			got = append(got, p.Text())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", source, diff)
		}
	}
}
