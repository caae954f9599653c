package morph_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/goldentest"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/morph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const configYML = `
trust-domain: synth
task-priority: low
taskgraph:
    repositories: {ci: {name: Synth}}
%s
workers:
    aliases:
        %s: {provisioner: 'synth-{level}', implementation: docker-worker, os: linux, worker-type: misc}
`

func load(t *testing.T, more, alias string) *config.GraphConfig {
	t.Helper()
	text := strings.Replace(strings.Replace(configYML, "%s", more, 1), "%s", alias, 1)
	c, err := config.Load(fstest.MapFS{"taskcluster/config.yml": {Data: []byte(text)}}, "taskcluster")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMorphedGraphsEqualTheGoldens(t *testing.T) {
	c := load(t, "", "misc")
	goldentest.Each(t, func(t *testing.T, s goldentest.Set) {
		g := s.Graph(t, "optimized.json")
		ids := goldentest.Counter()
		labels := map[string]string{}
		for id, task := range g.All() {
			labels[task.Label] = id
			ids(task.Label)
		}
		var log explain.Log
		got, _, err := morph.Run(morph.Input{Graph: g, LabelToTaskID: labels, Params: s.Params(t), Config: c, NewID: ids, Log: &log})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(goldentest.Loose(t, s.Graph(t, "morphed.json")), goldentest.Loose(t, got)); diff != "" {
			t.Error(diff)
		}
		if added := got.Len() - g.Len(); len(log.Morphs) < added {
			t.Errorf("%d tasks were added, and recorded is %v", added, log.Morphs)
		}
	})
}

func many(t *testing.T, n int) *graph.Graph {
	t.Helper()
	routes := []any{"checks"}
	for i := range n {
		routes = append(routes, "index.a.b."+strings.Repeat("x", i+1))
	}
	g, err := graph.New(map[string]*graph.Task{"A": {Label: "a", Kind: "k", TaskID: "A", Definition: map[string]any{"routes": routes}, Attributes: map[string]any{"code-review": true}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func run(t *testing.T, c *config.GraphConfig, g *graph.Graph, over map[string]any) (*graph.Graph, map[string]string, error) {
	t.Helper()
	p, err := params.FromMap(over, false)
	if err != nil {
		t.Fatal(err)
	}
	return morph.Run(morph.Input{Graph: g, LabelToTaskID: map[string]string{"a": "A"}, Params: p, Config: c, NewID: func(l string) string { return "id-" + l }})
}

func TestIndexTasks(t *testing.T) {
	c := load(t, "    index-path-regexes: ['(a\\.)b.*']", "misc")
	if g, _, err := run(t, c, many(t, 63), nil); err != nil || g.Len() != 1 {
		t.Errorf("64 routes are changed: %v", err)
	}
	in := many(t, 64)
	g, ids, err := run(t, c, in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ids["index-task-a"] != "id-index-task-a" || g.Task("id-index-task-a") == nil {
		t.Fatalf("no index task: %v", ids)
	}
	if diff := cmp.Diff([]any{"index:insert-task:a.*"}, g.Task("id-index-task-a").Definition["scopes"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]any{"checks"}, g.Task("A").Definition["routes"]); diff != "" {
		t.Error(diff)
	}
	if n := len(in.Task("A").Definition["routes"].([]any)); n != 65 {
		t.Errorf("the given task was changed: %d routes", n)
	}
	if _, _, err := run(t, load(t, "", "other"), in, nil); err == nil || !strings.Contains(err.Error(), "need the worker alias misc") {
		t.Errorf("without the alias: %v", err)
	}
}

func TestCodeReview(t *testing.T) {
	c := load(t, "", "misc")
	g, ids, err := run(t, c, many(t, 1), map[string]any{"code-review": map[string]any{"phabricator-build-target": "PHID"}})
	if err != nil {
		t.Fatal(err)
	}
	task := g.Task(ids["code-review"])
	if task == nil {
		t.Fatal("no task")
	}
	if diff := cmp.Diff([]any{"A"}, task.Definition["dependencies"]); diff != "" || task.Definition["requires"] != "all-resolved" {
		t.Errorf("%s %v", diff, task.Definition)
	}
	if g, _, err = run(t, c, many(t, 1), nil); err != nil || g.Len() != 1 {
		t.Errorf("without the parameter: %v", err)
	}
}

// The first summary that fits counts: the trust domain's own, then those of the configuration in
// their order (taskgraph-map 2.2, 15).
func TestScopesOfIndexTasksAreSummarised(t *testing.T) {
	c := load(t, `    index-path-regexes: ['(synth\.v2\.).*', '(a\.b\.)x*', '(a\.).*']`, "misc")
	routes := []any{}
	for i := range 60 {
		routes = append(routes, "index.synth.v2.p."+strings.Repeat("y", i+1))
	}
	for _, more := range []string{"synth.v2.q.z", "a.b.xx", "a.c", "other.x", "not.synth.v2.p"} {
		routes = append(routes, "index."+more)
	}
	g, err := graph.New(map[string]*graph.Task{"A": {Label: "a", Kind: "k", TaskID: "A", Definition: map[string]any{"routes": routes}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, ids, err := run(t, c, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	const insert = "index:insert-task:"
	want := []any{insert + "a.*", insert + "a.b.*", insert + "not.synth.v2.p", insert + "other.x", insert + "synth.v2.p.*", insert + "synth.v2.q.*"}
	if diff := cmp.Diff(want, out.Task(ids["index-task-a"]).Definition["scopes"]); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"a.b", "(a"} {
		if _, _, err := run(t, load(t, "    index-path-regexes: ['"+bad+"']", "misc"), g, nil); err == nil || !strings.Contains(err.Error(), "index-path-regexes") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
