package taskgraph_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// tree reads testdata/name.txtar as a tree.
func tree(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{}
	for _, f := range a.Files {
		mode := fs.FileMode(0o644)
		if strings.HasSuffix(f.Name, ".sh") {
			mode = 0o755
		}
		out[f.Name] = &fstest.MapFile{Data: f.Data, Mode: mode}
	}
	return out
}

// scripts stand in for run-task and what belongs to it. The goldens were made with scripts of
// other content, so that some digests differ; normalise says which.
func scripts() fs.FS {
	return fstest.MapFS{
		"run-task": {Data: []byte("#!/bin/sh\n")}, "fetch-content": {Data: []byte("#!/bin/sh\n")},
		"robustcheckout.py": {Data: []byte("pass\n")}, "hgrc": {Data: []byte("[extensions]\n")},
	}
}

// input is what a golden set was made from.
func input(t testing.TB, s goldentest.Set) taskgraph.Input {
	t.Helper()
	var found map[string]optimize.Found
	if err := json.Unmarshal(s.Found(t), &found); err != nil {
		t.Fatal(err)
	}
	return taskgraph.Input{
		Tree: tree(t, s.Repo), Parameters: s.Params(t), Scripts: scripts(), RootURL: s.RootURL(), NewID: goldentest.Counter(),
		Index: func(_ context.Context, paths []string) (map[string]optimize.Found, error) { return found, nil },
	}
}

// golden reads a graph of the set with its digests replaced.
func golden(t testing.TB, s goldentest.Set, name string, r *strings.Replacer) map[string]any {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(r.Replace(string(s.Bytes(t, name)))))
	if err != nil {
		t.Fatal(err)
	}
	return goldentest.Loose(t, g)
}

func TestEveryStageEqualsTheGoldens(t *testing.T) {
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		res, err := taskgraph.Generate(t.Context(), input(t, s), taskgraph.Morphed)
		if err != nil {
			t.Fatal(err)
		}
		r := goldentest.Digests(s.Graph(t, "full.json"), res.Full)
		for name, got := range map[string]*graph.Graph{"full.json": res.Full, "optimized.json": res.Optimized, "morphed.json": res.Morphed} {
			if diff := cmp.Diff(golden(t, s, name, r), goldentest.Loose(t, got)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		for name, got := range map[string][]string{"target.labels": res.TargetSet, "target-graph.labels": res.Target.Keys()} {
			if diff := cmp.Diff(strings.Join(s.Labels(t, name), "\n"), strings.Join(got, "\n")); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}
