package why_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/explain/why"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// goldenInput is what a golden set of package taskgraph was made from.
func goldenInput(t *testing.T, s goldentest.Set) taskgraph.Input {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "..", "testdata", s.Repo+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	tree := fstest.MapFS{}
	for _, f := range a.Files {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(f.Name, ".sh") {
			mode = 0o755
		}
		tree[f.Name] = &fstest.MapFile{Data: f.Data, Mode: mode}
	}
	var found map[string]optimize.Found
	if err := json.Unmarshal(s.Found(t), &found); err != nil {
		t.Fatal(err)
	}
	return taskgraph.Input{
		Tree: tree, Parameters: s.Params(t), RootURL: s.RootURL(), IDSeed: "seed", Trace: true,
		Scripts: fstest.MapFS{"run-task": {Data: []byte("#!/bin/sh\n")}, "fetch-content": {Data: []byte("#!/bin/sh\n")}},
		Index:   func(context.Context, []string) (map[string]optimize.Found, error) { return found, nil },
	}
}

// What a story says became of a task is what did, for every task of every golden set; and watching
// changes nothing about the graph.
func TestStoriesOfTheGoldensAreTrue(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		in := goldenInput(t, s)
		res, err := taskgraph.Generate(t.Context(), in, taskgraph.Morphed)
		if err != nil {
			t.Fatal(err)
		}
		plain := in
		plain.Trace = false
		unwatched, err := taskgraph.Generate(t.Context(), plain, taskgraph.Morphed)
		if err != nil {
			t.Fatal(err)
		}
		a, errA := res.Full.MarshalIndent()
		b, errB := unwatched.Full.MarshalIndent()
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("the full graph is another one when values are recorded: %v %v", errA, errB)
		}
		created := map[string]bool{}
		for _, task := range res.Morphed.All() {
			created[task.Label] = true
		}
		e := why.New(in, res)
		counted := 0
		for _, label := range e.Labels() {
			story := e.Plain(label)
			want := explain.Unselected
			switch id := res.LabelToTaskID[label]; {
			case created[label]:
				want = explain.Created
			case id != "":
				want = explain.Replaced
			case res.Target.Has(label):
				want = explain.Removed
			}
			if story.Outcome != want {
				t.Errorf("%s: %s, but it is %s", label, story.Outcome, want)
			}
			full, err := e.Story(t.Context(), label)
			if err != nil {
				t.Fatal(err)
			}
			counted += len(full.Counterfactuals)
			if len(full.Counterfactuals) == 0 && story.Outcome != explain.Created {
				t.Logf("%s, %s: none of %d changes helps", label, story.Outcome, full.Tried)
			}
		}
		t.Logf("%d counterfactuals came true", counted)
	})
}
