package star_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func tree(files ...string) fstest.MapFS {
	out := fstest.MapFS{}
	for i := 0; i+1 < len(files); i += 2 {
		out[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return out
}

func load(t testing.TB, src string) *star.Module {
	t.Helper()
	m, err := star.Load(t.Context(), tree("taskcluster/x.star", src), "taskcluster/x.star", star.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func config() star.TransformConfig {
	deps := map[string]map[string]any{"build-a": {"label": "build-a", "attributes": map[string]any{"n": int64(1)}}}
	return star.TransformConfig{
		Kind: "test", Path: "taskcluster/kinds/test",
		Params: map[string]any{"level": "3", "project": "x"}, GraphConfig: map[string]any{"trust-domain": "td"},
		KindConfig:   map[string]any{"transforms": []any{"a"}},
		Dependencies: []string{"build-a"},
		Task:         func(l string) (map[string]any, bool) { m, ok := deps[l]; return m, ok },
	}
}

type values = map[string]any

func TestTransform(t *testing.T) {
	items := func() []map[string]any {
		return []map[string]any{{"name": "a", "n": int64(1), "worker": values{"env": values{"X": "1"}}}, {"name": "b", "n": int64(2), "list": []any{1.5, true, nil}}}
	}
	for name, c := range map[string]struct {
		src  string
		want []star.Item
	}{
		"changes one task at a time": {`
def f(config, task):
    task.setdefault("worker", {}).setdefault("env", {})["LEVEL"] = config.params["level"]
    return task
`, []star.Item{
			{Values: values{"name": "a", "n": int64(1), "worker": values{"env": values{"X": "1", "LEVEL": "3"}}}, From: 0},
			{Values: values{"name": "b", "n": int64(2), "list": []any{1.5, true, nil}, "worker": values{"env": values{"LEVEL": "3"}}}, From: 1},
		}},
		"drops and splits": {`
def f(config, task):
    if task["name"] == "a":
        return None
    return [dict(task, name = task["name"] + "-%d" % i, list = i) for i in range(2)]
`, []star.Item{
			{Values: values{"name": "b-0", "n": int64(2), "list": int64(0)}, From: 1},
			{Values: values{"name": "b-1", "n": int64(2), "list": int64(1)}, From: 1},
		}},
		"works on all tasks": {`
def f(config, tasks):
    total = 0
    for t in tasks:
        total += t["n"]
    return [{"name": "sum", "n": total}] + [t for t in tasks if t["n"] > 1]
`, []star.Item{
			{Values: values{"name": "sum", "n": int64(3)}, From: -1},
			{Values: values{"name": "b", "n": int64(2), "list": []any{1.5, true, nil}}, From: 1},
		}},
		"reads config, dependencies and library": {`
def f(config, task):
    dep = config.kind_dependencies_tasks["build-a"]
    a, b = (config.kind, config.path)
    x = merge({"l": [1], "d": {"p": 1}}, {"l": [2], "d": {"q": 2}})
    x["l"] += [3]
    return {
        "name": "{}-{}".format(a, dep["attributes"]["n"]), "path": b, "x": x, "labels": sorted(config.kind_dependencies_tasks.keys()),
        "td": config.graph_config["trust-domain"], "json": json.encode({"b": [1, None]}), "match": match("(l)e", "level"), "none": match("e", "level"),
    } if task["name"] == "a" else None
`, []star.Item{{Values: values{
			"name": "test-1", "path": "taskcluster/kinds/test", "x": values{"l": []any{int64(1), int64(2), int64(3)}, "d": values{"p": int64(1), "q": int64(2)}},
			"labels": []any{"build-a"}, "td": "td", "json": `{"b":[1,null]}`, "match": []any{"le", "l"}, "none": nil,
		}, From: 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := items()
			got, err := load(t, c.src).Transform(t.Context(), "f", config(), in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(items(), in); diff != "" {
				t.Errorf("the input was changed: %s", diff)
			}
		})
	}
}

func TestErrorsNamePlaceFunctionTaskAndTraceback(t *testing.T) {
	for name, c := range map[string]struct {
		src, want string
		trace     []string
	}{
		"in a called function": {"def g(t):\n    return t['nope']\n\ndef f(config, task):\n    return g(task)\n",
			`taskcluster/x.star:2:13: in g: task "a": key "nope" not in dict`, []string{"x.star:5:13: in f", "x.star:2:13: in g", "The task was then:\n  {\"name\": \"a\"}"}},
		"in an operator":           {"def f(config, task):\n    return task + 1\n", `taskcluster/x.star:2:17: in f: task "a": unknown binary op: dict + int`, nil},
		"in a guarded operator":    {"def f(config, task):\n    x = []\n    return task + x\n", `taskcluster/x.star:3:17: in f: task "a": unknown binary op: dict + list, in {"name": "a"} + []`, nil},
		"in a method":              {"def f(config, task):\n    return ','.join([1])\n", `taskcluster/x.star:2:20: in f: task "a": join: in list, want string, got int`, nil},
		"in a loop over all tasks": {"def f(config, tasks):\n    for t in tasks:\n        if t['name'] == 'b': fail('no', t['name'])\n", `taskcluster/x.star:3:34: in f: task "b": fail: no b`, nil},
		"in what is given back":    {"def f(config, task):\n    return {'a': [f]}\n", `taskcluster/x.star:1:1: in f: task "a": task.a[0]: a function cannot be part of a task (use dicts, lists, strings, numbers, bools and None): <function f>`, nil},
		"in the form":              {"def f(task):\n    return task\n", `taskcluster/x.star:1:1: in f: f takes 1 parameters, but is called with 2 (see the forms of functions in the reference)`, nil},
		"of a missing function":    {"def g(): pass\n", `taskcluster/x.star: there is no function "f" (the file has g)`, nil},
		"writing to the config":    {"def f(config, task):\n    config.params['x'] = 1\n", `taskcluster/x.star:2:18: in f: task "a": cannot insert into frozen hash table`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, c.src).Transform(t.Context(), "f", config(), []map[string]any{{"name": "a"}, {"name": "b"}})
			var e *star.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(c.want, e.Error()); diff != "" {
				t.Error(diff)
			}
			for _, part := range c.trace {
				if !strings.Contains(e.Detail(), part) {
					t.Errorf("%q is not in %s", part, e.Detail())
				}
			}
		})
	}
}

func TestLoadReadsOnlyTheTree(t *testing.T) {
	files := tree(
		"taskcluster/a.star", "load('lib/b.star', 'b')\nload('//other/c.star', c2 = 'c')\nx = b + c2\nprint('x is', x)\ndef f(config, task):\n    return {'x': x}\n",
		"taskcluster/lib/b.star", "load('//other/c.star', 'c')\nb = c + '-b'\n", "other/c.star", "c = 'c'\n",
		"loop1.star", "load('loop2.star', 'x')\n", "loop2.star", "load('loop1.star', 'x')\n",
	)
	var lines []string
	m, err := star.Load(t.Context(), files, "taskcluster/a.star", star.Options{Print: func(s string) { lines = append(lines, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"other/c.star", "taskcluster/a.star", "taskcluster/lib/b.star"}, m.Files()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"x is c-bc"}, lines); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"loop1.star":        "load cycle: loop1.star -> loop2.star -> loop1.star",
		"missing.star":      "file does not exist",
		"../etc/passwd":     "not the path of a .star file in the tree",
		"/etc/x.star":       "not the path of a .star file in the tree",
		"taskcluster/a.txt": "not the path of a .star file",
	} {
		if _, err := star.Load(t.Context(), files, name, star.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", name, err, want)
		}
	}
}

func TestSyntaxErrorsNameTheirPlace(t *testing.T) {
	for src, want := range map[string]string{
		"x = (\n":                      "x.star:2:1: ",
		"x = y\n":                      "x.star:1:5: undefined: y",
		"while True:\n    pass\n":      "x.star:1:1: ",
		"def f(): return f2()\nf3()\n": "undefined: f2; undefined: f3",
		"f = lambda *a: a\n":           "lambda takes no *args here",
		"x = []\ndef f():\n    x[len(x)] += [1]\n": "the left side of +=",
		"x = [].append\nx.y.z\n":                   "has no .y field",
	} {
		_, err := star.Load(t.Context(), tree("x.star", src), "x.star", star.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", src, err, want)
		}
	}
}

func TestTargetAndStrategy(t *testing.T) {
	m := load(t, `
def each(task, parameters, graph_config):
    return task["n"] > 1 and parameters["project"] == "x"

def all(tasks, parameters, graph_config):
    return [l for l in tasks if tasks[l]["n"] == 1] + tasks.keys()[:1]

def wrong(tasks, parameters, graph_config):
    return ["nope"]

def old(task, params, arg):
    return "older than %d" % arg if task["n"] < arg else False

def odd(task, params, arg):
    return 3
`)
	tasks := map[string]map[string]any{"a": {"n": int64(1)}, "b": {"n": int64(2)}}
	c := star.TargetConfig{Params: values{"project": "x"}, GraphConfig: values{}, Labels: []string{"a", "b"},
		Task: func(l string) (map[string]any, bool) { m, ok := tasks[l]; return m, ok }}
	if got, err := m.Target(t.Context(), "each", c); err != nil || !cmp.Equal(got, []string{"b"}) {
		t.Errorf("each: %v, %v", got, err)
	}
	if got, err := m.Target(t.Context(), "all", c); err != nil || !cmp.Equal(got, []string{"a", "a"}) {
		t.Errorf("all: %v, %v", got, err)
	}
	if _, err := m.Target(t.Context(), "wrong", c); err == nil || !strings.Contains(err.Error(), `"nope", which is no label`) {
		t.Errorf("wrong: %v", err)
	}
	s, err := m.Strategy(t.Context(), "old", values{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if ok, why, err := s.Removes("a", tasks["a"], int64(2)); !ok || why != "older than 2" || err != nil {
		t.Errorf("a: %v %q %v", ok, why, err)
	}
	if ok, _, err := s.Removes("b", tasks["b"], int64(2)); ok || err != nil {
		t.Errorf("b: %v %v", ok, err)
	}
	if s, err = m.Strategy(t.Context(), "odd", values{}, 2); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Removes("a", tasks["a"], nil); err == nil || !strings.Contains(err.Error(), `task "a": odd gave a int`) {
		t.Errorf("odd: %v", err)
	}
}

func TestAnEndedContextStopsTheCall(t *testing.T) {
	m := load(t, "def f(config, task):\n    for i in range(1 << 60): pass\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Transform(ctx, "f", config(), []map[string]any{{"name": "a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsNotChangedStaysShared(t *testing.T) {
	item := values{"name": "a", "big": values{"list": []any{"x", values{"y": int64(1)}}}, "worker": values{"env": values{}, "keep": []any{int64(1)}}, "none": nil}
	m := load(t, "def f(config, task):\n    task['worker']['env']['A'] = '1'\n    return task\ndef g(config, task):\n    return task\ndef h(config, task):\n    task.pop('name')\n    task['big']['list'][1]['y'] = 2\n    return task\n")
	got, err := m.Transform(t.Context(), "f", config(), []map[string]any{item})
	if err != nil {
		t.Fatal(err)
	}
	out := got[0].Values
	if !value.Same(out["big"].(values), item["big"].(values)) || value.Same(out, item) || len(item["worker"].(values)["env"].(values)) != 0 {
		t.Errorf("sharing is wrong: %v, %v", out, item)
	}
	want := values{"name": "a", "big": item["big"], "worker": values{"env": values{"A": "1"}, "keep": []any{int64(1)}}, "none": nil}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if got, err = m.Transform(t.Context(), "g", config(), []map[string]any{item}); err != nil || !value.Same(got[0].Values, item) {
		t.Errorf("an item nobody touched was copied: %v", err)
	}
	if got, err = m.Transform(t.Context(), "h", config(), []map[string]any{item}); err != nil {
		t.Fatal(err)
	}
	want = values{"big": values{"list": []any{"x", values{"y": int64(2)}}}, "worker": item["worker"], "none": nil}
	if diff := cmp.Diff(want, got[0].Values); diff != "" {
		t.Error(diff)
	}
}
