package intree_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const configYML = `
trust-domain: td
task-priority: low
workers: {aliases: {s: {provisioner: built-in, implementation: always-optimized, os: linux, worker-type: s}}}
taskgraph: {repositories: {r: {name: R}}}
`

// generate makes the full graph of a tree of one kind, k.
func generate(t testing.TB, kind, source string) (*taskgraph.Result, error) {
	t.Helper()
	tree := fstest.MapFS{"taskcluster/config.yml": {Data: []byte(configYML)}, "taskcluster/kinds/k/kind.yml": {Data: []byte(kind)}, "taskcluster/x.star": {Data: []byte(source)}}
	return taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: parametersOf(t)}, taskgraph.Full)
}

func parametersOf(t testing.TB) *params.Parameters {
	t.Helper()
	p, err := params.FromMap(map[string]any{"level": "1", "project": "x", "head_repository": "https://example.com/r", "head_rev": strings.Repeat("a", 40)}, false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAKindHasItsTasksFromALoaderOfTheTree(t *testing.T) {
	res, err := generate(t, `
loader: taskcluster/x.star:platforms
transforms: [taskgraph.transforms.task]
task-defaults: {description: made, worker-type: s, attributes: {made: true}}
platforms: {linux: [x86, arm], win: [x86]}
`, `
def platforms(config):
    print("kind", config.kind)
    return {os + "-" + arch: {"attributes": {"arch": arch}} for os, archs in config.config["platforms"].items() for arch in archs}
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-linux-arm", "k-linux-x86", "k-win-x86"}, res.Full.Keys()); diff != "" {
		t.Error(diff)
	}
	task := res.Full.Task("k-linux-arm")
	if task.Attributes["arch"] != "arm" || task.Attributes["made"] != true {
		t.Errorf("attributes %v", task.Attributes)
	}
	if p := task.Provenance; p.File != "taskcluster/kinds/k/kind.yml" || p.Line != 2 || p.Entry != "linux-arm" || p.Loader != "taskcluster/x.star:platforms" {
		t.Errorf("provenance %+v", p)
	}
	if diff := cmp.Diff([]string{"kind k"}, res.Explain.Prints); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfLoadersAndTransformsAreTold(t *testing.T) {
	for name, c := range map[string]struct{ kind, source, want string }{
		"a loader that fails": {"loader: taskcluster/x.star:f\n", "def f(config):\n    return config.config['nope']\n", `taskcluster/x.star:2: Starlark: taskcluster/x.star:2:25: in f: key "nope" not in dict`},
		"a loader of nothing": {"loader: taskcluster/x.star:f\n", "", `taskcluster/kinds/k/kind.yml:1: Starlark: taskcluster/x.star: there is no function "f"`},
		"an unknown loader":   {"loader: a:b\n", "", `the loader "a:b" is not known; there are taskgraph.loader.default:loader and taskgraph.loader.transform:loader, and functions of the tree`},
		"an entry of the loader that the task transform refuses": {"loader: taskcluster/x.star:f\ntransforms: [taskgraph.transforms.task]\n", "def f(config):\n    return {'a': {'description': 'd', 'worker-type': 's', 'nonsense': 1}}\n", `taskcluster/kinds/k/kind.yml:1: task k-a: `},
		"a transform that fails": {"loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/x.star:f']\ntasks: {a: {n: 1}}\n", "def f(config, task):\n    return task['n'] + task['name']\n",
			`taskcluster/x.star:2: task a: Starlark: taskcluster/x.star:2:22: in f: task "a": unknown binary op: int + string, in 1 + "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := generate(t, c.kind, c.source)
			if len(graph.Errors(err)) == 0 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v does not say %q", err, c.want)
			}
		})
	}
}

func TestSplitTasksAreTasksOfTheirOwn(t *testing.T) {
	res, err := generate(t, "loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/x.star:twice', 'taskcluster/x.star:name', taskgraph.transforms.task]\ntasks: {a: {description: d, worker-type: s, attributes: {}}}\n", `
def twice(config, task):
    return [task, task]

def name(config, tasks):
    for i, t in enumerate(tasks):
        t["name"] = "%s%d" % (t["name"], i)
        t["attributes"]["i"] = i
    return tasks
`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k-a0", "k-a1"}, res.Full.Keys()); diff != "" {
		t.Error(diff)
	}
	if a := res.Full.Task("k-a0").Attributes["i"]; a != int64(0) {
		t.Errorf("the first has %v", a)
	}
}

func TestATaskInsideAnotherIsACopy(t *testing.T) {
	res, err := generate(t, "loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/x.star:nest', 'taskcluster/x.star:change', 'taskcluster/x.star:show', taskgraph.transforms.task]\ntasks: {a: {description: d, worker-type: s, attributes: {}}, b: {description: d, worker-type: s, attributes: {n: {x: 1}}}}\n", `
def nest(config, tasks):
    tasks[0]["other"] = tasks[1]
    return [t for t in tasks] + [dict(tasks[1]["attributes"]["n"], name = "c", description = "d", attributes = {})]

def change(config, task):
    if task["name"] != "a":
        task["description"] = "changed"
        task.pop("x", None)
    task["worker-type"] = "s"
    return task

def show(config, tasks):
    tasks[0]["description"] = json.encode(tasks[0].pop("other"))
    tasks[1]["description"] = json.encode(tasks[1]["attributes"])
    return tasks
`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for label, task := range res.Full.All() {
		got[label] = task.Description
	}
	want := map[string]string{
		"k-a": `{"attributes":{"n":{"x":1}},"description":"d","name":"b","task-from":"kind.yml","worker-type":"s"}`,
		"k-b": `{"n":{"x":1}}`, "k-c": "changed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
