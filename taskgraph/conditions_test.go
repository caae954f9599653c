package taskgraph_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const conditionsConfig = `
trust-domain: td
task-priority: low
workers: {aliases: {s: {provisioner: built-in, implementation: always-optimized, os: linux, worker-type: s}}}
taskgraph: {repositories: {r: {name: R}}}
target-tasks:
    nightly: task.attributes.nightly == true && project == 'x'
    builds: kind == 'build' or name endsWith '-b'
`

func conditions(t *testing.T, config, kind string, over map[string]any, upTo taskgraph.Stage) (*taskgraph.Result, error) {
	t.Helper()
	values := map[string]any{"project": "x", "files_changed": []any{"src/a.py"}, "base_rev": "a", "head_rev": "b"}
	for k, v := range over {
		values[k] = v
	}
	p, err := params.FromMap(values, false)
	if err != nil {
		t.Fatal(err)
	}
	const head = "loader: taskgraph.loader.transform:loader\ntransforms: [taskgraph.transforms.task]\n"
	tree := fstest.MapFS{
		"taskcluster/config.yml":           {Data: []byte(config)},
		"taskcluster/kinds/k/kind.yml":     {Data: []byte(head + kind)},
		"taskcluster/kinds/build/kind.yml": {Data: []byte(head + "tasks: {x: {description: d, worker-type: s, run-on-projects: [all]}}\n")},
	}
	return taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: p}, upTo)
}

func TestConditionsOfAllFilesAreCheckedBeforeAnyKind(t *testing.T) {
	_, err := conditions(t, strings.ReplaceAll(conditionsConfig, "== true", ">= 'x' + 1")+"    other: 3\n", `
task-defaults: {description: d, worker-type: s, if: level > 'a'}
tasks:
    a:
        if: levle > 1 &&
            project == 'x'
    b:
        optimization: {when: "chnged('src')"}
    c: {if: level > 1}
`, nil, taskgraph.Full)
	want := `taskcluster/config.yml:7: target-tasks.nightly: column 32: invalid operation: + (mismatched types string and int)
    task.attributes.nightly >= 'x' + 1 && project == 'x'
                                   ^
taskcluster/config.yml:9: target-tasks.other: must be a condition, not an integer
taskcluster/kinds/k/kind.yml:4: if: column 7: invalid operation: > (mismatched types int and string)
    level > 'a'
          ^
taskcluster/kinds/k/kind.yml:7: task k-a: if: column 1: unknown name levle; is "level" meant?
    levle > 1 && project == 'x'
    ^
taskcluster/kinds/k/kind.yml:10: task k-b: optimization.when: column 1: unknown name chnged; is "changed" meant?
    chnged('src')
    ^`
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
}

func TestConditionsSelectAndOptimize(t *testing.T) {
	const kind = `
task-defaults: {description: d, worker-type: s, run-on-projects: [all]}
tasks:
    a: {attributes: {nightly: true}, optimization: {when: "changed('src/**')"}}
    b: {attributes: {nightly: true}, optimization: {when: "changed('docs/**')"}}
    c: {optimization: {when: "label == 'x'"}}
`
	res, err := conditions(t, conditionsConfig, strings.ReplaceAll(kind, "label ==", "name =="), map[string]any{"target_tasks_method": "nightly"}, taskgraph.Optimized)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-a", "k-b"}, res.TargetSet); diff != "" {
		t.Errorf("selected: %s", diff)
	}
	var left []string
	for _, task := range res.Optimized.All() {
		left = append(left, task.Label)
	}
	if diff := cmp.Diff([]string{"k-a"}, left); diff != "" {
		t.Errorf("left: %s", diff)
	}
	res, err = conditions(t, conditionsConfig, strings.ReplaceAll(kind, "label ==", "name =="), map[string]any{"filters": []any{"target_tasks_method", "builds"}}, taskgraph.TargetSet)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"build-x", "k-b"}, res.TargetSet); diff != "" {
		t.Errorf("filtered: %s", diff)
	}
	if _, err = conditions(t, conditionsConfig, kind, nil, taskgraph.Full); err == nil || !strings.Contains(err.Error(), "unknown name label") {
		t.Errorf("got %v", err)
	}
	if _, err = conditions(t, conditionsConfig, strings.ReplaceAll(kind, "label ==", "name =="), map[string]any{"target_tasks_method": "nigthly"}, taskgraph.TargetSet); err == nil || !strings.Contains(err.Error(), `there is no method "nigthly" (known: builds, codereview, default, nightly, nothing, try_auto, try_tasks, or FILE.star:FUNCTION); is "nightly" meant?`) {
		t.Errorf("got %v", err)
	}
}
