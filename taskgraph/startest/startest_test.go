package startest_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/startest"
)

const configYML = `
trust-domain: td
task-priority: low
workers: {aliases: {s: {provisioner: built-in, implementation: always-optimized, os: linux, worker-type: s}}}
taskgraph: {repositories: {r: {name: R}}}
`

const kindYML = `
loader: taskgraph.loader.transform:loader
transforms: ['taskcluster/x.star:level', taskgraph.transforms.task]
tasks: {a: {description: d, worker-type: s, attributes: {}, run-on-projects: ['x']}}
`

const library = `
def level(config, task):
    print("level of", task["name"])
    task["attributes"]["level"] = config.params["level"]
    return task

def add(config, task):
    task.setdefault("env", {})["LEVEL"] = config.params["level"]
    task["builds"] = config.kind_dependencies_tasks.keys()
    return task

def all(config, tasks):
    return [dict(t, n = len(tasks)) for t in tasks]

def drop(config, task):
    return None

def split(config, task):
    return [dict(task, name = task["name"] + x) for x in "ab".elems()]

def broken(config, task):
    return task["nope"]

def loader(config):
    return {config.kind: config.config}

def again(context):
    return effect.create_tasks(context.input["labels"], times = 2)
`

func tree(source string) fstest.MapFS {
	return fstest.MapFS{
		"taskcluster/config.yml":          {Data: []byte(configYML)},
		"taskcluster/kinds/k/kind.yml":    {Data: []byte(kindYML)},
		"taskcluster/x.star":              {Data: []byte(library)},
		"taskcluster/x_test.star":         {Data: []byte("load('x.star', 'add', 'all', 'drop', 'split', 'loader', 'again', 'broken')\n" + source)},
		"taskcluster/testdata/level.json": {Data: []byte("{\n  \"a\": 1\n}\n")},
	}
}

// outcome is what became of the tests of a file, as one text.
func outcome(t testing.TB, source string) string {
	t.Helper()
	var out []string
	err := startest.Run(t.Context(), []string{"taskcluster/x_test.star"}, startest.Options{Tree: tree(source), Root: "taskcluster"}, func(r startest.Result) {
		for _, line := range r.Printed {
			out = append(out, "print: "+line)
		}
		if f := r.Failure; f != nil {
			out = append(out, fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Message))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

func TestWhatHoldsPasses(t *testing.T) {
	for _, body := range []string{
		`assert.eq([1, {"a": (2,)}], [1, {"a": (2,)}])`, `assert.ne(1, 2)`, `assert.true([1])`, `assert.false({})`, `assert.contains("abc", "b")`, `assert.contains([{"a": 1}], {"a": 1})`,
		`assert.contains({"a": 1}, "a")`, `assert.eq(assert.fails(lambda: {}["x"], "not in"), 'key "x" not in dict')`, `assert.fails(lambda: fail("no"))`, `assert.fails(lambda: assert.eq(1, 2), "got 1, want 2")`,
		`assert.eq(test.transform(add, [{"name": "a"}], params = {"level": "1"}, dependencies = {"build-x": {}}), [{"name": "a", "env": {"LEVEL": "1"}, "builds": ["build-x"]}])`,
		`assert.eq(test.transform(all, [{"name": "a"}, {"name": "b"}])[1], {"name": "b", "n": 2})`, `assert.eq(test.transform(drop, [{}]), [])`,
		`assert.eq([t["name"] for t in test.transform(split, [{"name": "x"}])], ["xa", "xb"])`, `assert.fails(lambda: test.transform(broken, [{}]), 'key "nope" not in dict')`,
		`items = [{"name": "a", "e": {}}]; test.transform(add, items); assert.eq(items, [{"name": "a", "e": {}}])`,
		`assert.eq(test.transform("taskcluster/x.star:add", [{"name": "a"}])[0]["env"], {"LEVEL": "3"})`,
		`got = test.transform(["taskgraph.transforms.matrix", "taskcluster/x.star:all"], [{"name": "a", "matrix": {"p": ["x", "y"]}}]); assert.eq([t["name"] for t in got], ["a-x", "a-y"]); assert.eq(got[0]["n"], 2)`,
		`assert.eq(loader(test.config(kind = "k", kind_config = {"a": 1})), {"k": {"a": 1}})`, `assert.eq(test.config().graph_config["trust-domain"], "td")`, `assert.eq(test.config(graph_config = {"x": 1}).graph_config["x"], 1)`,
		`e = again(test.context(input = {"labels": ["a"]}, tasks = {"a": {}})); assert.eq([e.do, e.labels, e.times, e.task_id], ["create-tasks", ["a"], 2, None])`,
		`assert.eq(test.parameters(project = "x")["project"], "x")`, `assert.eq(test.parameters()["build_date"], test.parameters()["build_date"])`,
		`assert.eq(test.graph(params = {"level": "2"})["k-a"]["attributes"]["level"], "2")`, `assert.eq(test.graph(kinds = ["k"], stage = "target", params = {"project": "y"}).keys(), [])`,
		`assert.eq(test.graph(stage = "optimized", params = {"project": "x"}).keys(), ["k-a"])`,
		`assert.eq(sorted(test.graph(files = {"taskcluster/kinds/n/kind.yml": "loader: taskcluster/n.star:f\ntransforms: [taskgraph.transforms.task]\n", "taskcluster/n.star": "def f(config): return {'z': {'description': 'd', 'worker-type': 's'}}\n"})), ["k-a", "n-z"])`,
		`test.golden("level.json", {"a": 1})`,
	} {
		got := outcome(t, "def test_f():\n    "+body+"\n")
		if strings.ReplaceAll(got, "print: level of a", "") != "" {
			t.Errorf("%s:\n%s", body, got)
		}
	}
}

func TestWhatDoesNotHoldFails(t *testing.T) {
	const at = "taskcluster/x_test.star:3: "
	for body, want := range map[string]string{
		`assert.eq(1, 2)`: at + "got 1, want 2", `assert.eq(1, 2, "the sum")`: at + "the sum: got 1, want 2", `assert.ne([1], [1])`: at + "both are [1]",
		`assert.true([])`: at + "[] does not count as true", `assert.false("x")`: at + `"x" does not count as false`, `assert.contains([1], 2)`: at + "2 is not in [1]",
		`assert.fails(lambda: 3)`: at + "it does not fail, but gives 3", `assert.fails(lambda: fail("no"), "yes")`: at + `it fails with "fail: no", which "yes" does not match`,
		`test.transform(broken, [{"name": "a"}])`:            `taskcluster/x.star:22: key "nope" not in dict`,
		`test.transform(lambda config, task: 3, [{}])`:       at + "lambda gave a int, not a task",
		`test.transform(lambda config, task: {1: 2}, [{}])`:  at + "task[0]: the key 1 is a int, not a string",
		`test.transform("a.b", [{}])`:                        at + `test.transform: the transform "a.b:transforms" is not known`,
		`test.transform("taskcluster/x.star:broken", [{}])`:  `taskcluster/x.star:22: key "nope" not in dict`,
		`test.transform(add, [{}], params = {"level": "7"})`: at + "test.transform: parameters: ",
		`test.graph(kinds = ["z"])`:                          at + `test.graph: taskcluster/kinds: there is no kind "z"`,
		`test.graph(stage = "all")`:                          at + `test.graph: stage: "all" is not one of`,
		`test.graph(files = {"../x": ""})`:                   at + `test.graph: files: "../x" is not the path of a text`,
		`test.golden("level.json", {"a": 2})`:                "testdata/level.json is not what it should be; --update writes it anew (-want +got)\n  {\n-   \"a\": 1\n+   \"a\": 2\n  }",
		`test.golden("../x", 1)`:                             `"../x" is not the name of a file below testdata`,
		`test.golden("other.json", 1)`:                       "there is no file taskcluster/testdata/other.json; --update writes it",
		`assert.fails(lambda: [0 for i in range(1 << 40)])`:  "takes more than 10000000 steps",
		"print('seen')\n    fail('then')":                    "print: seen\ntaskcluster/x_test.star:4: fail: then",
		`assert.eq(test.config(kind = 3), 1)`:                at + `test.config: for parameter "kind": got int, want string`,
	} {
		if got := outcome(t, "def test_f():\n    "+body+"\n"); !strings.Contains(got, want) {
			t.Errorf("%s:\n%s\nis not %q", body, got, want)
		}
	}
}

func TestDifferencesAreShownByLines(t *testing.T) {
	got := outcome(t, `def test_f():
    same = {"k%d" % i: "value %d" % i for i in range(20)}
    assert.eq(dict(same, x = {"list": ["one is long enough", "two is long enough", "three is so, too", "four"]}, k4 = 1), dict(same, x = {"list": ["one is long enough", "2", "three is so, too"]}))
`)
	want := `taskcluster/x_test.star:4: (-want +got)
  …
    "k19": "value 19",
    "k2": "value 2",
    "k3": "value 3",
-   "k4": "value 4",
+   "k4": 1,
    "k5": "value 5",
    "k6": "value 6",
    "k7": "value 7",
    "k8": "value 8",
    "k9": "value 9",
-   "x": {"list": ["one is long enough", "2", "three is so, too"]},
+   "x": {
+     "list": ["one is long enough", "two is long enough", "three is so, too", "four"],
+   },
  }`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilesThatCannotBeLoadedFail(t *testing.T) {
	if got, want := outcome(t, "x = nope\n"), "taskcluster/x_test.star:2: undefined: nope"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	files := fstest.MapFS{"x.star": {Data: []byte("assert.eq(1, 1)\n")}, "x_test.star": {Data: []byte("load('x.star', 'f')\n")}}
	var got startest.Result
	if err := startest.Run(t.Context(), []string{"x_test.star"}, startest.Options{Tree: files}, func(r startest.Result) { got = r }); err != nil || got.Failure == nil || !strings.Contains(got.Failure.Message, "undefined: assert") {
		t.Errorf("only tests have assert: %+v, %v", got.Failure, err)
	}
}

func TestTestsAreFoundChosenTimedAndUpdated(t *testing.T) {
	files := tree("def test_b():\n    test.golden('new/b.json', [1])\ndef helper():\n    fail()\ndef test_a():\n    pass\n")
	files["taskcluster/deep/y_test.star"] = &fstest.MapFile{Data: []byte("def test_c(): fail('c')\n")}
	files["taskcluster/.git/z_test.star"] = &fstest.MapFile{Data: []byte("def test_d(): fail('d')\n")}
	found, err := startest.Find(files, "taskcluster")
	if diff := cmp.Diff([]string{"taskcluster/deep/y_test.star", "taskcluster/x_test.star"}, found); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	if _, err := startest.Find(files, "nowhere"); err == nil {
		t.Error("a directory that is not there has no tests")
	}
	var mu sync.Mutex
	now := time.Unix(0, 0)
	written := map[string]string{}
	var got []string
	err = startest.Run(t.Context(), found, startest.Options{
		Tree: files, Root: "taskcluster", Run: regexp.MustCompile("x_test.star:test_"), Jobs: 2,
		Update: func(name string, content []byte) error {
			mu.Lock()
			defer mu.Unlock()
			written[name] = string(content)
			return nil
		},
		Clock: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(time.Second)
			return now
		},
	}, func(r startest.Result) {
		got = append(got, fmt.Sprintf("%s:%d %s %v %v", r.File, r.Line, r.Name, r.Failure == nil, r.Took > 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"taskcluster/x_test.star:2 test_b true true", "taskcluster/x_test.star:6 test_a true true"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]string{"taskcluster/testdata/new/b.json": "[\n  1\n]\n"}, written); diff != "" {
		t.Error(diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := startest.Run(ctx, found, startest.Options{Tree: files}, func(startest.Result) {}); err == nil {
		t.Error("an ended context is no success")
	}
}

func TestManyTestsRunAtOnce(t *testing.T) {
	files := fstest.MapFS{}
	var names []string
	for i := range 20 {
		name := fmt.Sprintf("t%02d_test.star", i)
		files[name] = &fstest.MapFile{Data: []byte("x = [i for i in range(100)]\ndef test_a():\n    assert.eq(sum(x), 1)\ndef sum(l):\n    n = 0\n    for i in l: n += i\n    return n\ndef test_b():\n    assert.eq(len(x), 100)\n")}
		names = append(names, name)
	}
	n, bad := 0, 0
	if err := startest.Run(t.Context(), names, startest.Options{Tree: files, Jobs: 8}, func(r startest.Result) {
		n++
		if r.Failure != nil {
			bad++
		}
	}); err != nil || n != 40 || bad != 20 {
		t.Errorf("%d tests, %d failed, %v", n, bad, err)
	}
}
