package star_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/treeline-ci/treeline/taskgraph/star"
)

const backfillSource = `
load("lib/shared.star", "symbol")

def schema(graph_config):
    return {"type": "object", "properties": {"depth": {"type": "integer", "maximum": graph_config["depth"]}}}

def on_main(params):
    return params["project"] == "x"

def slower(task):
    task["task"]["payload"]["maxRunTime"] *= 2
    return task

def run(context):
    if context.task_id == None:
        return None
    print("asked for", context.input["depth"])
    labels = [l for l in context.tasks if context.tasks[l]["attributes"]["n"] <= context.input["depth"]]
    return [
        effect.create_tasks(labels, times = 2, modify = slower),
        effect.create_task(dict(context.task, priority = "low")),
        effect.rerun_task(context.label_to_task_id["a"]),
        effect.cancel_task(context.task_id),
        effect.cancel_group(context.task_group_id),
        effect.decide({"target_tasks_method": "all"}),
    ]

action(name = "backfill", title = "Backfill", symbol = symbol, description = "Runs it before.", context = [{"kind": "test"}],
       schema = schema, permission = "backfill", order = 200, available = on_main, callback = run)
`

func actionFiles() (tree map[string]string) {
	return map[string]string{
		"taskcluster/actions/backfill.star": backfillSource, "taskcluster/actions/lib/shared.star": "symbol = 'Bk'\n",
		"taskcluster/actions/backfill_test.star": "fail('tests are not loaded')\n",
		"taskcluster/actions.star":               "def f(context):\n    return effect.rerun_task(context.task_id)\ndef by_tag(params):\n    return [{'project': params['project']}]\naction(name='again', title='Again', callback=f, context=by_tag, available=False)\n",
	}
}

func filesOf(m map[string]string) *star.Files {
	var list []string
	for k, v := range m {
		list = append(list, k, v)
	}
	return star.NewFiles(tree(list...), star.Options{})
}

func actionCall() star.ActionCall {
	tasks := map[string]map[string]any{
		"a": {"attributes": values{"n": int64(1)}, "task": values{"payload": values{"maxRunTime": int64(10)}}},
		"b": {"attributes": values{"n": int64(5)}},
	}
	return star.ActionCall{
		Params: values{"project": "x"}, GraphConfig: values{"depth": int64(25)}, Input: values{"depth": int64(3)}, TaskID: "T", TaskGroupID: "G",
		Definition: values{"priority": "high", "payload": values{}}, Labels: []string{"a", "b"},
		Task:          func(l string) (map[string]any, bool) { m, ok := tasks[l]; return m, ok },
		LabelToTaskID: map[string]string{"a": "TA"},
	}
}

func TestActionsAreRegisteredAndRun(t *testing.T) {
	m := actionFiles()
	var list []string
	for k, v := range m {
		list = append(list, k, v)
	}
	names, err := star.ActionFiles(tree(list...), "taskcluster")
	if diff := cmp.Diff([]string{"taskcluster/actions.star", "taskcluster/actions/backfill.star"}, names); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	call := actionCall()
	got, err := filesOf(m).Actions(t.Context(), names, star.ActionConfig{Params: call.Params, GraphConfig: call.GraphConfig})
	if err != nil {
		t.Fatal(err)
	}
	want := []star.ActionDef{
		{Name: "backfill", Title: "Backfill", Symbol: "Bk", Description: "Runs it before.", Callback: "backfill", Permission: "backfill", Order: 200,
			Context: []any{values{"kind": "test"}}, Available: true, File: "taskcluster/actions/backfill.star", Line: 28,
			Schema: values{"type": "object", "properties": values{"depth": values{"type": "integer", "maximum": int64(25)}}}},
		{Name: "again", Title: "Again", Callback: "again", Permission: "generic", Order: 10000, Context: []any{values{"project": "x"}},
			File: "taskcluster/actions.star", Line: 5},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(star.ActionDef{})); diff != "" {
		t.Error(diff)
	}
	effects, err := filesOf(m).RunAction(t.Context(), names, "backfill", call)
	if err != nil {
		t.Fatal(err)
	}
	wantEffects := []star.Effect{
		{Do: star.CreateTasks, Labels: []string{"a"}, Times: 2}, {Do: star.CreateTask, Times: 1, Definition: values{"priority": "low", "payload": values{}}},
		{Do: star.RerunTask, TaskID: "TA"}, {Do: star.CancelTask, TaskID: "T"}, {Do: star.CancelGroup, TaskGroupID: "G"},
		{Do: star.Decide, Parameters: values{"target_tasks_method": "all"}},
	}
	if diff := cmp.Diff(wantEffects, effects, cmpopts.IgnoreUnexported(star.Effect{})); diff != "" {
		t.Error(diff)
	}
	a, _ := call.Task("a")
	changed, err := effects[0].Modify("a", a)
	if err != nil || !effects[0].Modifies() || changed["task"].(values)["payload"].(values)["maxRunTime"] != int64(20) {
		t.Errorf("modified: %v, %v", changed, err)
	}
	if b, _ := call.Task("b"); b != nil {
		if _, err := effects[0].Modify("b", b); err == nil || !strings.Contains(err.Error(), `task "b": key "task" not in dict`) {
			t.Errorf("modify: %v", err)
		}
	}
}

func TestFaultyActionsAreRefused(t *testing.T) {
	head := "def f(context):\n    return effect.rerun_task('x')\n"
	for src, want := range map[string]string{
		head + "action(name='a', title='A', callback=f)\naction(name='b', title='B', cb_name='a', callback=f)\n":                  `x.star:4:7: in action: the action "a" is registered twice; also in x.star:3:7`,
		head + "action(name='a', title='A', callback=f, permission='a/b')\n":                                                      `x.star:3:7: action "a": the permission "a/b" holds a slash`,
		head + "action(name='a', title='', callback=f)\n":                                                                         `name and title must not be empty`,
		head + "action(name='a', title='A', callback=f, symbol='" + strings.Repeat("s", 26) + "')\n":                              `has more than 25 characters`,
		head + "action(name='a', title='A', callback=f, context=[{'a': 1}])\n":                                                    `context[0]["a"] is not a string`,
		head + "action(name='a', title='A', callback=f, schema=[])\n":                                                             `schema is a list, not a dict or None`,
		head + "def g(): action(name='a', title='A', callback=f)\ndef h(context): g()\naction(name='b', title='B', callback=h)\n": `can be called only while the file is loaded`,
		"def f(a, b): pass\naction(name='a', title='A', callback=f)\n":                                                            `takes 2 parameters, but is called with 1`,
		"def f(context): return 3\naction(name='b', title='A', callback=f)\n":                                                     `x.star:1:1: in f: task "T": f gave a int, 3: give an effect`,
		"def f(context): return effect.create_tasks(['nope'])\naction(name='b', title='A', callback=f)\n":                         `effect.create_tasks: the graph has no task "nope"`,
		"def f(context): return effect.create_tasks(['a'], times=101)\naction(name='b', title='A', callback=f)\n":                 `times is 101, not between 1 and 100`,
		head + "action(name='a', title='A', callback=f)\n":                                                                        `no file of the tree registers the action "b"`,
	} {
		_, err := filesOf(map[string]string{"x.star": src}).RunAction(t.Context(), []string{"x.star"}, "b", actionCall())
		var e *star.Error
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &e) && !strings.HasPrefix(want, "no file") {
			t.Errorf("%s:\n%v does not say %q", src, err, want)
		}
	}
}
