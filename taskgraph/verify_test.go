package taskgraph_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// raw is a kind whose only transform is a function of the tree that gives finished tasks, so that
// verifications see what the built-in transforms would not let through. body changes the dict t.
func raw(body string) []string {
	src := `
def f(config, task):
    th = {"collection": {"opt": True}, "machine": {"platform": "linux"}, "symbol": task["name"], "tier": 1}
    t = {"label": task["name"], "description": "d", "attributes": {}, "dependencies": task.get("needs", {}),
         "task": {"provisionerId": "p", "workerType": "w", "routes": [], "payload": {}, "extra": {"treeherder": th}}}
    d, name = t["task"], task["name"]
`
	for line := range strings.Lines(body) {
		src += "    " + line
	}
	return []string{"taskcluster/raw.star", src + "\n    return t\n"}
}

func TestVerificationsOfTheFullGraph(t *testing.T) {
	const kind = "loader: taskgraph.loader.transform:loader\ntransforms: ['taskcluster/raw.star:f']\ntasks:\n  a: {}\n  b: {needs: {up: a}}\n"
	cases := []struct{ name, body, want string }{
		{"sound", "", ""},
		{"one symbol twice", `th["symbol"] = "S"`, "kind.yml:5: task b: has the Treeherder platform and symbol of a: linux/opt (S)"},
		{"two collections", `th["collection"]["debug"] = True`, "task a: must be in one Treeherder collection (what stands behind the slash of the platform), not 2"},
		{"no collection", `th.pop("collection")`, "must be in one Treeherder collection"},
		{"one route twice", `d["routes"] = ["index.td.v2.x"]`, "task b: has the route of a: index.td.v2.x"},
		{"one route twice that is not the tree's own", `d["routes"] = ["index.other.v2.x"]`, ""},
		{"a notification nobody knows", `d["routes"] = ["notify.email.a@b.on-complete"]`, `whose end is no filter of notifications; known are on-any, on-completed, on-defined, on-failed, on-exception, on-pending, on-resolved, on-running, on-transition; is "on-completed" meant?`},
		{"a notification of transitions", `d["routes"] = ["notify.email.a@b.on-transition"]`, ""},
		{"a namespace with a space", `d["routes"] = ["index.td v2"]`, `has the index route "index.td v2", which is no namespace`},
		{"a namespace with an end", `d["routes"] = ["index.a."]`, `has the index route "index.a.", which is no namespace`},
		{"a worse tier", `th["tier"] = 2 if name == "a" else 1`, "task b: (tier 1) cannot depend on a (tier 2): give that one a tier of at most 1"},
		{"no tier", "if name == 'a':\n    d['extra'] = {}", "task b: (tier 1) cannot depend on a (no tier)"},
		{"a worse tier that never runs", "if name == 'a':\n    th['tier'] = 3\n    d['workerType'] = 'always-optimized'", ""},
		{"an alias twice", `t["attributes"]["toolchain-alias"] = ["x", "y"] if name == "a" else "y"`, `task b: has the toolchain-alias "y" of a`},
		{"a cache of others", `d["payload"]["cache"] = {"td-level-1-x": "/x"}`, `task a: uses the cache "td-level-1-x"; the names of its trust domain and level start with "td-level-3-"`},
		{"a cache of others in a reference", `d["payload"]["cache"] = {"task-reference": {"x-level-3-x": "/x"}}`, `uses the cache "x-level-3-x"`},
		{"a cache of one's own", `d["payload"]["cache"] = {"td-level-3-x": "/x"}`, ""},
		{"a checkout without run-task", `d["payload"].update({"cache": {"td-level-3-checkouts-x": "/x"}, "command": ["make"]})`, `uses the cache "td-level-3-checkouts-x", which is run-task's own; use run-task or another name`},
		{"a checkout without a command", `d["payload"].update({"cache": {"td-level-3-tooltool-cache": "/x"}})`, "which is run-task's own"},
		{"a checkout of any run-task", `d["payload"].update({"cache": {"td-level-3-checkouts-x": "/x"}, "command": ["/usr/bin/run-task-1", "--"]})`, "whose name does not change with run-task's content"},
		{"a worker type that is no name", `d["workerType"] = "a b"`, `has the workerType "a b"; it must be 1 to 38 letters, digits, _ or -`},
		{"a provisioner that is too long", `d["provisionerId"] = "p" * 39`, "has the provisionerId"},
		{"no worker type", `d.pop("workerType")`, `has the workerType ""`},
		{"too many dependencies", `t["soft-dependencies"] = ["s%d" % i for i in range(10000)]`, "has 10000 dependencies; the limit is 9999"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := small(append([]string{"k", kind}, raw(c.body)...)...)
			_, err := generate(t, files, taskgraph.Full)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got  %v\nwant %s", err, c.want)
			}
			if e, ok := errors.AsType[*graph.Error](err); !ok || e.File != "taskcluster/kinds/k/kind.yml" || e.Line == 0 || e.Label == "" {
				t.Errorf("the fault does not say where it is: %#v", e)
			}
			if _, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Scripts: scripts(), NoVerify: true}, taskgraph.Full); err != nil {
				t.Errorf("without verification: %v", err)
			}
		})
	}
}

func TestADeprecatedNotificationIsToldOf(t *testing.T) {
	files := small("k", succeed+"tasks: {a: {worker-type: succeed, description: d, routes: [notify.email.a@b.on-any]}}")
	res, err := generate(t, files, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0].Error(), "task k-a: has the route \"notify.email.a@b.on-any\"; on-any is deprecated") {
		t.Errorf("%v", res.Warnings)
	}
	_, err = taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Strict: true}, taskgraph.Full)
	if err == nil || !strings.Contains(err.Error(), "on-any is deprecated") {
		t.Errorf("strict: %v", err)
	}
}

// A task that only stands for one in the index must be replaced (taskgraph-map 16).
func TestATaskThatCannotRunMustBeReplaced(t *testing.T) {
	files := small("k", succeed+"tasks: {a: {worker-type: always-optimized, description: d, run-on-projects: [all], optimization: {index-search: [td.x, td.y]}}}")
	p := smallParams(t, nil)
	found := map[string]optimize.Found{"td.y": {TaskID: "Y", State: "completed", Expires: time.Unix(4e9, 0)}}
	for name, c := range map[string]struct {
		known map[string]optimize.Found
		want  string
	}{
		"found":     {found, ""},
		"not found": {nil, "task k-a: no task was found to take its place, and it cannot run itself: the index has no task that is not failed and lives long enough at td.x, td.y"},
	} {
		in := taskgraph.Input{Tree: files, Parameters: p, Index: func(context.Context, []string) (map[string]optimize.Found, error) { return c.known, nil }}
		_, err := taskgraph.Generate(t.Context(), in, taskgraph.Optimized)
		if c.want == "" && err != nil || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFaultsOfWhatParametersName(t *testing.T) {
	tree := small("k", succeed+"tasks: {a: {worker-type: succeed, description: d, run-on-projects: [all], run-on-git-branches: ['(']}, b: {worker-type: succeed, description: d, run-on-projects: [all], optimization: {sometimes: null}}}",
		"taskcluster/t.star", "def one(task, parameters, graph_config):\n    return task['nope']\n\ndef ghost(tasks, parameters, graph_config):\n    return ['ghost']\n\nbad = {'x': 1}\n")
	for _, c := range []struct {
		name string
		over map[string]any
		want string
	}{
		{"a filter nobody knows", map[string]any{"filters": []string{"target_task_method"}}, `parameter filters: there is no filter "target_task_method" (known: target_tasks_method, try_auto, or FILE.star:FUNCTION); is "target_tasks_method" meant?`},
		{"a method nobody knows", map[string]any{"target_tasks_method": "defualt"}, `parameter target_tasks_method: there is no method "defualt" (known: codereview, default, nothing, try_auto, try_tasks, or FILE.star:FUNCTION); is "default" meant?`},
		{"a method that fails", map[string]any{"target_tasks_method": "taskcluster/t.star:one"}, `taskcluster/t.star:2: task k-a: target_tasks_method: taskcluster/t.star:one`},
		{"a method that invents tasks", map[string]any{"filters": []string{"taskcluster/t.star:ghost"}}, `gave "ghost", which is no label of the graph`},
		{"a method that is not there", map[string]any{"target_tasks_method": "taskcluster/t.star:nope"}, `there is no function "nope"`},
		{"a file that is not there", map[string]any{"target_tasks_method": "taskcluster/gone.star:nope"}, "taskcluster/gone.star"},
		{"a branch that is no expression", nil, `taskcluster/kinds/k/kind.yml:3: task k-a: run_on_git_branches`},
		{"strategies that are not there", map[string]any{"optimize_strategies": "taskcluster/gone.star:bad", "target_tasks_method": "nothing"}, "gone.star"},
		{"a strategy nobody knows", map[string]any{"tasks_for": "github-pull-request"}, `task k-b: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: tree, Parameters: smallParams(t, c.over)}, taskgraph.Morphed)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestFaultsOfSubmission(t *testing.T) {
	for _, c := range []struct{ name, extra, want string }{
		{"too many copies", "attributes: {task_duplicates: 1001}", "task k-a: asks for 1001 copies of itself (task_duplicates); the limit is 1000"},
		{"a date that is none", "extra: {x: {relative-datestamp: soon}}", "task k-a: "},
	} {
		res, err := generate(t, small("k", succeed+"tasks: {a: {worker-type: succeed, description: d, run-on-projects: [all], "+c.extra+"}}"), taskgraph.Morphed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := res.Submissions(time.Unix(0, 0), "D"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

const hooksStar = `
def register(graph_config):
    print("registered", graph_config["trust-domain"])
    return {"parameters": {"phase": {"type": "string"}, "channels": {"type": "strings", "default": ["nightly"]}}}

def decide(graph_config, parameters):
    if parameters["head_tag"]:
        parameters["phase"] = "ship"
        parameters["target_tasks_method"] = "nothing"
    if parameters["project"] == "odd":
        return {"shoe": 44}
`

// hooked is a tree whose configuration names the functions.
func hooked(register, decide, star string) map[string]string {
	hooks := ""
	if register != "" {
		hooks += ", register: '" + register + "'"
	}
	if decide != "" {
		hooks += ", decision-parameters: '" + decide + "'"
	}
	return map[string]string{
		"taskcluster/config.yml": strings.Replace(smallConfig, "{name: Small}}}", "{name: Small}}"+hooks+"}", 1),
		"taskcluster/hooks.star": star,
	}
}

func TestHooksDeclareAndChangeParameters(t *testing.T) {
	files := small("k", succeed+"tasks: {a: {worker-type: succeed, description: d}}")
	for name, text := range hooked("taskcluster/hooks.star:register", "taskcluster/hooks.star:decide", hooksStar) {
		files[name] = small(name, text)[name]
	}
	var prints []string
	h, err := taskgraph.ReadHooks(t.Context(), files, "", func(line string) { prints = append(prints, line) })
	if err != nil {
		t.Fatal(err)
	}
	d := params.Decision{Project: "small", Level: "3", RepositoryType: "git", Owner: "a@b", FilesChanged: []string{"x"}, Now: time.Unix(1767225600, 0)}
	p, err := h.Decide(t.Context(), d, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{nil, []any{"nightly"}, "default"}, []any{p.Get("phase"), p.Get("channels"), p.Get("target_tasks_method")}); diff != "" {
		t.Error(diff)
	}
	d.HeadTag = "v1"
	if p, err = h.Decide(t.Context(), d, map[string]any{"channels": []any{"beta"}, "target_tasks_method": "default"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"ship", []any{"beta"}, "default"}, []any{p.Get("phase"), p.Get("channels"), p.Get("target_tasks_method")}); diff != "" {
		t.Errorf("what overrides does not win over the hook: %s", diff)
	}
	d.Project = "odd"
	if _, err = h.Decide(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "taskcluster/config.yml:5: taskgraph.decision-parameters: after decide: parameters: shoe is not a known parameter") {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"registered td"}, prints); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsOfHooks(t *testing.T) {
	const at = "taskcluster/hooks.star:f"
	for _, c := range []struct{ name, register, decide, star, want string }{
		{"a declaration of a core parameter", at, "", "def f(graph_config):\n    return {'parameters': {'level': {}}}\n", "taskcluster/config.yml:5: taskgraph.register: parameter level: is one of the core parameters"},
		{"something else than parameters", at, "", "def f(graph_config):\n    return {'morphs': []}\n", `taskgraph.register: f gives "morphs", which is not known`},
		{"parameters as a list", at, "", "def f(graph_config):\n    return {'parameters': []}\n", "f gives parameters that are no dict"},
		{"an answer that is no dict", at, "", "def f(graph_config):\n    return 1\n", "taskcluster/hooks.star:1: taskgraph.register"},
		{"a failure", "", at, "def f(graph_config, parameters):\n    fail('no')\n", "taskcluster/hooks.star:2: taskgraph.decision-parameters"},
		{"a file that is not there", "", "taskcluster/gone.star:f", "", "gone.star"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := small()
			for name, text := range hooked(c.register, c.decide, c.star) {
				files[name] = small(name, text)[name]
			}
			h, err := taskgraph.ReadHooks(t.Context(), files, "taskcluster", nil)
			if err == nil {
				_, err = h.Decide(t.Context(), params.Decision{Level: "3", RepositoryType: "git"}, nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
	files := small("k", succeed+"tasks: {a: {worker-type: succeed, description: d}}")
	for name, text := range hooked("my_taskgraph:register", "my_taskgraph.x:f", "") {
		files[name] = small(name, text)[name]
	}
	res, err := generate(t, files, taskgraph.Full)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) != 2 || !strings.Contains(res.Warnings[1].Error(), `taskcluster/config.yml:5: taskgraph.register: "my_taskgraph:register" is not run: hooks are Starlark functions of the tree`) {
		t.Errorf("%v", res.Warnings)
	}
	if _, err := taskgraph.Generate(t.Context(), taskgraph.Input{Tree: files, Parameters: smallParams(t, nil), Strict: true}, taskgraph.Full); err == nil {
		t.Error("strict takes hooks in Python")
	}
}
