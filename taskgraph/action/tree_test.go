package action_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

const starActions = `
def pick(context):
    if not context.input["labels"]:
        return None
    return [
        effect.create_tasks(context.input["labels"], modify = louder, times = 2),
        effect.create_task({"metadata": {"name": "extra"}, "created": {"relative-datestamp": "1 hour"}, "payload": {}}),
        effect.rerun_task(context.label_to_task_id["check"]),
        effect.cancel_task(context.label_to_task_id["build-opt"]),
        effect.cancel_group(context.task_group_id),
        effect.decide({"target_tasks_method": "nightly"}),
    ]

def louder(task):
    task["task"]["payload"]["env"]["LOUD"] = "1"
    return task

def broken(context):
    return context.tasks["nope"]

action(name = "pick", title = "Pick", symbol = "p", callback = pick, description = "Picks tasks.", order = 15, permission = "picking",
    schema = {"type": "object", "properties": {"labels": {"type": "array", "items": {"type": "string"}, "default": []}}})
action(name = "later", title = "Later", callback = broken, available = lambda params: params["level"] == "3", context = [{"kind": "test"}])
`

func TestStarlarkActions(t *testing.T) {
	files := tree("", "taskcluster/actions.star", starActions)
	in := call(t, files, "", dict{"labels": []any{"lint"}})
	r := registry(t, files, in.Push.Parameters)
	got, err := r.Run(t.Context(), "pick", in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lint", "lint", "extra"}, labels(got)); diff != "" {
		t.Error(diff)
	}
	if env := got.Tasks[0].Definition["payload"].(dict)["env"].(dict); env["LOUD"] != "1" {
		t.Errorf("the modifier did not run: %v", env)
	}
	if d := got.Tasks[2].Definition; d["created"] != "2026-03-01T13:00:00.000Z" || d["taskGroupId"] != group || d["schedulerId"] != "td-level-1" {
		t.Errorf("the task of a definition: %v", d)
	}
	want := action.Effects{Rerun: []action.OnTask{{TaskID: checkID}}, Cancel: []action.OnTask{{TaskID: buildID}}, CancelGroups: []string{group}}
	if diff := cmp.Diff(want, action.Effects{Rerun: got.Rerun, Cancel: got.Cancel, CancelGroups: got.CancelGroups}); diff != "" {
		t.Error(diff)
	}
	if got.Decide == nil || got.Decide.String("target_tasks_method") != "nightly" || got.Decide.String("project") != "mine" {
		t.Errorf("no decision: %v", got.Decide)
	}
	if in.Input = nil; in.Input == nil {
		got, err := r.Run(t.Context(), "pick", in)
		if err != nil || len(got.Tasks) != 0 {
			t.Errorf("the default of the schema is not there: %+v, %v", got, err)
		}
	}
	t.Run("one that is not available is hidden, and may be run", func(t *testing.T) {
		for _, d := range r.All() {
			if d.Name == "later" {
				t.Error("it is offered")
			}
		}
		in := call(t, files, "test-opt-1", nil)
		_, err := r.Run(t.Context(), "later", in)
		var e *graph.Error
		if !errors.As(err, &e) || e.File != "taskcluster/actions.star" || e.Line != 19 {
			t.Errorf("the error is not at its line: %v", err)
		}
	})
}

func TestFaultsOfTheTreeHaveTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		more, star string
		want       string
	}{
		"unknown key":         {"actions:\n  kind: hook\n  backfil: {}\n", "", `taskcluster/config.yml:7: `},
		"wrong kind":          {"actions: {kind: job}\n", "", `taskcluster/config.yml:5: `},
		"no flavors":          {"actions: {release-promotion: {}}\nrelease-promotion: {flavors: {}}\n", "", `taskcluster/config.yml:6: `},
		"nothing to promote":  {"actions: {release-promotion: {}}\n", "", `taskcluster/config.yml:`},
		"flavor lacks method": {"actions: {release-promotion: {}}\nrelease-promotion:\n  flavors:\n    ship: {}\n", "", `taskcluster/config.yml:8: `},
		"bad expression":      {"actions:\n  create-interactive:\n    scopes:\n    - '('\n", "", `taskcluster/config.yml:8: `},
		"taken":               {"", `action(name = "x", title = "X", cb_name = "rerun", callback = lambda c: None)`, `taskcluster/actions.star:1: there is an action "rerun" already (Rerun)`},
		"no schema":           {"", `action(name = "x", title = "X", schema = {"type": 7}, callback = lambda c: None)`, `taskcluster/actions.star:1: action "x": schema: `},
		"schema elsewhere":    {"", `action(name = "x", title = "X", schema = {"$ref": "file:///etc/passwd"}, callback = lambda c: None)`, `taskcluster/actions.star:1: action "x": schema: `},
		"no Starlark":         {"", `action(`, `taskcluster/actions.star:1`},
	} {
		t.Run(name, func(t *testing.T) {
			files := tree(c.more)
			if c.star != "" {
				files = tree(c.more, "taskcluster/actions.star", c.star)
			}
			_, err := action.New(t.Context(), action.Tree{Config: load(t, files), Params: parameters(t, nil), Files: files})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || len(graph.Errors(err)) == 0 {
				t.Errorf("%v does not begin with %q", err, c.want)
			}
		})
	}
	t.Run("disabled but unknown", func(t *testing.T) {
		files := tree("")
		files["taskcluster/config.yml"].Data = []byte(strings.Replace(plainConfig, "name: mine}}}", "name: mine}}, disabled-actions: [nope]}", 1))
		_, err := action.New(t.Context(), action.Tree{Config: load(t, files), Params: parameters(t, nil)})
		if err == nil || !strings.Contains(err.Error(), `config.yml:4: taskgraph.disabled-actions: there is no action "nope" (known: `) {
			t.Error(err)
		}
	})
}

func TestDisabledActionsAreGone(t *testing.T) {
	files := tree("")
	files["taskcluster/config.yml"].Data = []byte(strings.Replace(plainConfig, "name: mine}}}", "name: mine}}, disabled-actions: [cancel-all, rerun]}", 1))
	r := registry(t, files, parameters(t, nil))
	if n := len(r.All()); n != len(action.Builtin().All())-2 {
		t.Errorf("%d actions are left", n)
	}
	if _, err := r.Run(t.Context(), "rerun", call(t, files, "check", nil)); err == nil {
		t.Error("one that is disabled runs")
	}
}

func TestATreeAsksForMoreActions(t *testing.T) {
	names := func(r *action.Registry) (out []string) {
		for _, d := range r.All() {
			out = append(out, d.Callback)
		}
		return out
	}
	files := tree("actions:\n  backfill:\n  run-missing-tests: {kinds: [test]}\n  create-interactive: {}\n  release-promotion:\nrelease-promotion: {flavors: {ship: {target-tasks-method: ship}}}\n")
	want := []string{"retrigger-decision", "retrigger", "retrigger-disabled", "create-interactive", "add-new-jobs", "backfill", "run-missing-tests",
		"rerun", "cancel", "cancel-all", "release-promotion", "rebuild-cached-tasks", "retrigger-multiple"}
	if diff := cmp.Diff(want, names(registry(t, files, parameters(t, nil)))); diff != "" {
		t.Error(diff)
	}
	t.Run("release-promotion as trees of the field do", func(t *testing.T) {
		for register, want := range map[string]int{"": 9, ", register: 'mozilla_taskgraph:register'": 10} {
			files := tree("")
			files["taskcluster/config.yml"].Data = []byte(strings.Replace(plainConfig, "name: mine}}}", "name: mine}}"+register+"}", 1) + "release-promotion: {flavors: {ship: {target-tasks-method: ship}}}\n")
			if got := names(registry(t, files, parameters(t, nil))); len(got) != want {
				t.Errorf("with %q: %v", register, got)
			}
		}
	})
	d, _ := registry(t, files, parameters(t, dict{"level": "3"})).Lookup("create-interactive")
	if diff := cmp.Diff([]any{
		dict{"worker-implementation": "docker-worker", "kind": "test"}, dict{"worker-implementation": "generic-worker", "os": "linux", "kind": "test"},
		dict{"worker-implementation": "generic-worker", "os": "macosx", "kind": "test"},
	}, d.Context); diff != "" {
		t.Errorf("at level 3: %s", diff)
	}
}

func TestContextsMatchTags(t *testing.T) {
	for name, c := range map[string]struct {
		sets []any
		tags map[string]string
		want bool
	}{
		"any task":     {[]any{dict{}}, map[string]string{}, true},
		"the group":    {nil, map[string]string{"a": "b"}, false},
		"both":         {[]any{dict{"a": "x", "b": "y"}}, map[string]string{"a": "x", "b": "y", "c": "z"}, true},
		"one is not":   {[]any{dict{"a": "x", "b": "y"}}, map[string]string{"a": "x"}, false},
		"or the other": {[]any{dict{"a": "x"}, dict{"c": "z"}}, map[string]string{"c": "z"}, true},
		"no set":       {[]any{"a"}, map[string]string{"a": "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := action.Matches(c.sets, c.tags); got != c.want {
				t.Error(got)
			}
		})
	}
}
