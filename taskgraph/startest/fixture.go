package startest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// fixtures is the module test.
func (h *harness) fixtures() starlark.Value {
	return bounded.Module("test",
		starlark.NewBuiltin("test.parameters", h.parameters), starlark.NewBuiltin("test.config", h.config),
		starlark.NewBuiltin("test.transform", h.transform), starlark.NewBuiltin("test.graph", h.graph),
		starlark.NewBuiltin("test.context", h.context), starlark.NewBuiltin("test.golden", h.golden))
}

// toGo converts what a test gives.
func toGo(t *starlark.Thread, v starlark.Value) (any, error) {
	if v == nil {
		return nil, nil
	}
	if err := bounded.Within(t, v); err != nil {
		return nil, err
	}
	back := bounded.BudgetOf(t).FromStarlark()
	back.Root = "the value"
	return back.Value(v, nil)
}

// toMap converts a dict that a test gives; nil for None.
func toMap(t *starlark.Thread, name string, v starlark.Value) (map[string]any, error) {
	x, err := toGo(t, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m, ok := x.(map[string]any)
	if !ok && x != nil {
		return nil, fmt.Errorf("%s: got %s, want dict", name, v.Type())
	}
	return m, nil
}

// parameters is test.parameters(**changed): a complete set with the defaults of local runs.
func (h *harness) parameters(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("%s: wants parameters by name", b.Name())
	}
	given := starlark.NewDict(len(kwargs))
	for _, kv := range kwargs {
		if err := given.SetKey(kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	p, err := parametersOf(t, given)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return bounded.BudgetOf(t).Given(t, p.Map())
}

// fixedFacts fill the parameters that would differ from machine to machine and day to day.
func fixedFacts() map[string]any {
	rev := strings.Repeat("0123456789", 4)
	return map[string]any{
		"build_date": int64(1700000000), "moz_build_date": "20231114221320", "pushdate": int64(1700000000), "owner": "tester@example.com",
		"head_rev": rev, "base_rev": rev, "head_ref": "main", "base_ref": "main",
		"head_repository": "https://example.com/repository", "base_repository": "https://example.com/repository",
	}
}

func parametersOf(t *starlark.Thread, given starlark.Value) (*params.Parameters, error) {
	over, err := toMap(t, "params", given)
	if err != nil {
		return nil, err
	}
	all := fixedFacts()
	maps.Copy(all, over)
	return params.FromMap(all, false)
}

// around is what the config of a test is made of.
type around struct {
	kind, path                                    string
	params, kindConfig, graphConfig, dependencies starlark.Value
	parameters                                    *params.Parameters
	kindValues, graphValues, tasks                map[string]any
}

// pairs are the keyword arguments that describe it.
func (a *around) pairs() []any {
	return []any{"kind?", &a.kind, "path?", &a.path, "params?", &a.params, "kind_config?", &a.kindConfig, "graph_config?", &a.graphConfig, "dependencies?", &a.dependencies}
}

// read converts what was given. What the tree's config.yml says is under graph_config.
func (a *around) read(t *starlark.Thread, h *harness) (err error) {
	if a.kind == "" {
		a.kind = "test"
	}
	if a.path == "" {
		a.path = h.o.Root + "/kinds/" + a.kind
	}
	if a.parameters, err = parametersOf(t, a.params); err != nil {
		return err
	}
	if a.kindValues, err = toMap(t, "kind_config", a.kindConfig); err != nil {
		return err
	}
	over, err := toMap(t, "graph_config", a.graphConfig)
	if err != nil {
		return err
	}
	a.graphValues = map[string]any{}
	if c, err := config.Load(h.o.Tree, h.o.Root); err == nil {
		maps.Copy(a.graphValues, c.Values)
	}
	maps.Copy(a.graphValues, over)
	if a.tasks, err = toMap(t, "dependencies", a.dependencies); err != nil {
		return err
	}
	for _, label := range slices.Sorted(maps.Keys(a.tasks)) {
		task, ok := a.tasks[label].(map[string]any)
		if !ok {
			return fmt.Errorf("dependencies: task %q is not a dict", label)
		}
		a.tasks[label] = completed(task, label)
	}
	return nil
}

// completed is a task of a test with the keys that finished tasks have.
func completed(task map[string]any, label string) map[string]any {
	out := map[string]any{
		"kind": strings.SplitN(label, "-", 2)[0], "label": label, "description": label, "attributes": map[string]any{}, "task": map[string]any{},
		"dependencies": map[string]any{}, "soft_dependencies": []any{}, "if_dependencies": []any{}, "optimization": nil,
	}
	maps.Copy(out, task)
	return out
}

// config is what a function of the tree sees.
func (a *around) config() star.TransformConfig {
	return star.TransformConfig{
		Kind: a.kind, Path: a.path, KindConfig: orEmpty(a.kindValues), Params: a.parameters.Map(), GraphConfig: a.graphValues,
		Dependencies: slices.Sorted(maps.Keys(a.tasks)), Task: taskOf(a.tasks),
	}
}

func taskOf(tasks map[string]any) func(label string) (map[string]any, bool) {
	return func(label string) (map[string]any, bool) {
		m, ok := tasks[label].(map[string]any)
		return m, ok
	}
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// config is test.config(…): what transforms and loaders see.
func (h *harness) config(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a around
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, a.pairs()...); err != nil {
		return nil, err
	}
	if err := a.read(t, h); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return a.config().Value(), nil
}

// context is test.context(…): what the callback of an action sees.
func (h *harness) context(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a around
	var input, task, tasks, ids starlark.Value
	var taskID, group string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "params?", &a.params, "graph_config?", &a.graphConfig, "input?", &input, "task_id?", &taskID,
		"task_group_id?", &group, "task?", &task, "tasks?", &tasks, "label_to_task_id?", &ids); err != nil {
		return nil, err
	}
	a.dependencies = tasks
	if err := a.read(t, h); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	call := star.ActionCall{
		Params: a.parameters.Map(), GraphConfig: a.graphValues, TaskID: taskID, TaskGroupID: group,
		Labels: slices.Sorted(maps.Keys(a.tasks)), Task: taskOf(a.tasks), LabelToTaskID: map[string]string{},
	}
	var err error
	if call.Input, err = toGo(t, input); err != nil {
		return nil, fmt.Errorf("%s: input: %w", b.Name(), err)
	}
	if call.Definition, err = toMap(t, "task", task); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	known, err := toMap(t, "label_to_task_id", ids)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	for label, id := range known {
		if call.LabelToTaskID[label], _ = id.(string); call.LabelToTaskID[label] == "" {
			return nil, fmt.Errorf("%s: label_to_task_id: %q is not the id of a task", b.Name(), label)
		}
	}
	return call.Value(), nil
}
