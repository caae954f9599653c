package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// enterRepository goes to the tree that the goldens of a repository were made from. The answers of
// its index are in found.json, the parameters of each set in params.
func enterRepository(t *testing.T, repo string) []goldentest.Set {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("..", "..", "taskgraph", "testdata", repo+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	sets := slices.DeleteFunc(goldentest.Sets(t), func(s goldentest.Set) bool { return s.Repo != repo })
	for _, s := range sets {
		a.Files = append(a.Files, txtar.File{Name: "params/" + s.Name + ".yml", Data: s.Bytes(t, "parameters.yml")})
	}
	a.Files = append(a.Files, txtar.File{Name: ".taskcluster.yml", Data: goldentest.TaskclusterYML(t)}, txtar.File{Name: "found.json", Data: sets[0].Found(t)})
	enterTree(t, a)
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".sh") { // the mode is part of digests
			if err := os.Chmod(f.Name, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("TASKCLUSTER_ROOT_URL", sets[0].RootURL())
	return sets
}

func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What the commands print is what the field's own generator printed, for every set of every
// repository, once ids stand for labels and digests of run-task are the same.
func TestEveryStageOfTheCommandEqualsTheGoldens(t *testing.T) {
	for _, repo := range []string{"extra", "features", "optimize"} {
		t.Run(repo, func(t *testing.T) {
			for _, s := range enterRepository(t, repo) {
				t.Run(s.Name, func(t *testing.T) { equalsGoldens(t, s) })
			}
		})
	}
}

func equalsGoldens(t *testing.T, s goldentest.Set) {
	run := func(args ...string) string {
		return must(t, append(append([]string{"taskgraph"}, args...), "-q", "-p", "params/"+s.Name+".yml", "--index", "found.json")...)
	}
	full := parse(t, run("full", "-J"))
	digests := goldentest.Digests(s.Graph(t, "full.json"), full)
	want := func(name string) *graph.Graph { return parse(t, digests.Replace(string(s.Bytes(t, name)))) }
	if diff := cmp.Diff(goldentest.Loose(t, want("full.json")), goldentest.Loose(t, full)); diff != "" {
		t.Errorf("full: %s", diff)
	}
	for _, stage := range []string{"optimized", "morphed"} {
		if diff := cmp.Diff(goldentest.ByLabel(t, want(stage+".json")), goldentest.ByLabel(t, parse(t, run(stage, "-J")))); diff != "" {
			t.Errorf("%s: %s", stage, diff)
		}
	}
	for _, stage := range []string{"target", "target-graph"} {
		if diff := cmp.Diff(string(s.Bytes(t, stage+".labels")), run(stage, "-L")); diff != "" {
			t.Errorf("%s: %s", stage, diff)
		}
		// As JSON, the tasks are those of the full graph.
		tasks := goldentest.Loose(t, want("full.json"))
		for label := range tasks {
			if !slices.Contains(s.Labels(t, stage+".labels"), label) {
				delete(tasks, label)
			}
		}
		if diff := cmp.Diff(tasks, goldentest.Loose(t, parse(t, run(stage, "--json")))); diff != "" {
			t.Errorf("%s as JSON: %s", stage, diff)
		}
	}
	if diff := cmp.Diff(string(s.Bytes(t, "actions.json")), must(t, "taskgraph", "actions", "-p", "params/"+s.Name+".yml")); diff != "" {
		t.Errorf("actions: %s", diff)
	}
}
