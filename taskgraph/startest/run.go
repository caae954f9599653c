package startest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/builtin"
	"github.com/treeline-ci/treeline/taskgraph/transform/intree"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// transform is test.transform(what, items, …): what becomes of items. what is a function of the
// tree, or the name of a transform as a kind lists it, or a list of such names.
func (h *harness) transform(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a around
	var what, given starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, append([]any{"what", &what, "items", &given}, a.pairs()...)...); err != nil {
		return nil, err
	}
	fail := func(err error) (starlark.Value, error) { return nil, fmt.Errorf("%s: %w", b.Name(), err) }
	if err := a.read(t, h); err != nil {
		return fail(err)
	}
	x, err := toGo(t, given)
	if err != nil {
		return fail(err)
	}
	list, ok := x.([]any)
	if !ok {
		return fail(fmt.Errorf("items: got %s, want list", given.Type()))
	}
	items := make([]map[string]any, len(list))
	for i := range list {
		if items[i], ok = list[i].(map[string]any); !ok {
			return fail(fmt.Errorf("items[%d] is not a dict", i))
		}
	}
	if fn, ok := what.(*starlark.Function); ok {
		return direct(t, fn, a.config(), items)
	}
	names, err := transformNames(what)
	if err != nil {
		return fail(err)
	}
	made, err := h.named(t, &a, names, items)
	if err != nil {
		return fail(err)
	}
	return bounded.BudgetOf(t).Given(t, made)
}

func transformNames(what starlark.Value) ([]string, error) {
	if name, ok := starlark.AsString(what); ok {
		return []string{name}, nil
	}
	list, ok := what.(*starlark.List)
	if !ok {
		return nil, fmt.Errorf("what: got %s, want a function, a name or a list of names", what.Type())
	}
	names := make([]string, list.Len())
	for i := range names {
		if names[i], ok = starlark.AsString(list.Index(i)); !ok {
			return nil, fmt.Errorf("what[%d]: got %s, want a name", i, list.Index(i).Type())
		}
	}
	return names, nil
}

// direct calls a transform in the thread of the test, so that a traceback shows both.
func direct(t *starlark.Thread, fn *starlark.Function, c star.TransformConfig, items []map[string]any) (starlark.Value, error) {
	values := make([]starlark.Value, len(items))
	for i, item := range items {
		v, err := bounded.Lazily(item)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	out := []starlark.Value{}
	take := func(res starlark.Value) error {
		switch v := res.(type) {
		case starlark.NoneType:
			return nil
		case *starlark.List:
			for i := range v.Len() {
				out = append(out, v.Index(i))
			}
			return nil
		}
		if !bounded.IsDict(res) {
			return fmt.Errorf("%s gave a %s, not a task, a list of tasks or None", fn.Name(), res.Type())
		}
		out = append(out, res)
		return nil
	}
	if !star.IsEach(fn) {
		res, err := starlark.Call(t, fn, starlark.Tuple{c.Value(), starlark.NewList(values)}, nil)
		if err != nil {
			return nil, err
		}
		if _, ok := res.(*starlark.List); !ok {
			return nil, fmt.Errorf("%s gave a %s, not a list of tasks", fn.Name(), res.Type())
		}
		return plainList(t, res)
	}
	config := c.Value()
	for _, v := range values {
		res, err := starlark.Call(t, fn, starlark.Tuple{config, v}, nil)
		if err == nil {
			err = take(res)
		}
		if err != nil {
			return nil, err
		}
	}
	return plainList(t, starlark.NewList(out))
}

// plainList is the result as the generator would take it: values that cannot be part of a task
// fail here too.
func plainList(t *starlark.Thread, v starlark.Value) (starlark.Value, error) {
	back := bounded.BudgetOf(t).FromStarlark()
	x, err := back.Value(v, nil)
	if err != nil {
		return nil, err
	}
	return bounded.BudgetOf(t).Given(t, x)
}

// named runs transforms by name, those of the tree and those built in.
func (h *harness) named(t *starlark.Thread, a *around, names []string, values []map[string]any) ([]any, error) {
	file, err := graph.AppendJSON(nil, a.graphValues)
	if err != nil {
		return nil, err
	}
	tree := overlay{h.o.Tree, map[string][]byte{path.Join(h.o.Root, "config.yml"): file}} // JSON is YAML
	c, err := config.Load(tree, h.o.Root)
	if err != nil {
		return nil, err
	}
	var told []error
	shared := &transform.Shared{
		Graph: c, Params: a.parameters, Names: value.NameMap(a.parameters.Map()), Tree: h.o.Tree, Scripts: h.o.Scripts,
		Warn: func(*graph.Error) {}, Conditions: cond.NewScope(a.parameters),
	}
	files := star.NewFiles(h.o.Tree, star.Options{Print: func(line string) { t.Print(t, line) }})
	registry := builtin.Registry()
	var transforms []transform.Transform
	place := t.CallFrame(1).Pos
	at := graph.Error{File: place.Filename(), Line: int(place.Line)}
	for _, name := range names {
		if !strings.Contains(name, ":") {
			name += ":transforms"
		}
		if tr, ok := registry[name]; ok {
			transforms = append(transforms, tr)
		} else if tr, ok := intree.Transform(files, name, at); ok {
			transforms = append(transforms, tr)
		} else {
			told = append(told, fmt.Errorf("the transform %q is not known", name))
		}
	}
	if len(told) > 0 {
		return nil, errors.Join(told...)
	}
	tasks, err := tasksOf(a.tasks)
	if err != nil {
		return nil, err
	}
	kinds := []string{}
	for _, task := range tasks {
		if !slices.Contains(kinds, task.Kind) {
			kinds = append(kinds, task.Kind)
		}
	}
	tc := &transform.Config{
		Kind: a.kind, Dir: a.path, KindConfig: orEmpty(a.kindValues), KindDependencies: kinds, Shared: shared, Drop: func(explain.Drop) {},
		Dependencies: transform.NewDependencies(kinds, func(kind string) []*graph.Task {
			return slices.DeleteFunc(slices.Clone(tasks), func(t *graph.Task) bool { return t.Kind != kind })
		}),
	}
	items := make([]*transform.Item, len(values))
	for i, v := range values {
		items[i] = transform.NewItem(v, &transform.Origin{Provenance: explain.Provenance{Kind: a.kind, File: at.File, Line: at.Line, Entry: value.String(v, "name")}})
	}
	made, err := transform.Run(h.ctx, tc, transforms, items)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(made))
	for i, it := range made {
		out[i] = it.Values()
	}
	return out, nil
}

func tasksOf(all map[string]any) ([]*graph.Task, error) {
	var tasks []*graph.Task
	for _, m := range all {
		task, err := graph.FromJSON(m.(map[string]any))
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(a, b *graph.Task) int { return strings.Compare(a.Label, b.Label) })
	return tasks, nil
}

// stages are the names that test.graph knows.
var stages = map[string]taskgraph.Stage{"full": taskgraph.Full, "target": taskgraph.Target, "optimized": taskgraph.Optimized}

// graph is test.graph(kinds, params, files, stage): the tasks of the tree by label.
func (h *harness) graph(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var kinds, given, texts starlark.Value
	stage := "full"
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "kinds?", &kinds, "params?", &given, "files?", &texts, "stage?", &stage); err != nil {
		return nil, err
	}
	fail := func(err error) (starlark.Value, error) { return nil, fmt.Errorf("%s: %w", b.Name(), err) }
	upTo, ok := stages[stage]
	if !ok {
		return fail(fmt.Errorf(`stage: %q is not one of "full", "target", "optimized"`, stage))
	}
	p, err := parametersOf(t, given)
	if err != nil {
		return fail(err)
	}
	in := taskgraph.Input{Tree: h.o.Tree, Root: h.o.Root, Parameters: p, Scripts: h.o.Scripts}
	named, err := toGo(t, kinds)
	if err != nil {
		return fail(err)
	}
	if in.TargetKinds, ok = value.Strings(named); !ok && named != nil {
		return fail(fmt.Errorf("kinds: got %s, want a list of names", kinds.Type()))
	}
	files, err := toMap(t, "files", texts)
	if err != nil {
		return fail(err)
	}
	if len(files) > 0 {
		over := overlay{h.o.Tree, map[string][]byte{}}
		for name, text := range files {
			s, ok := text.(string)
			if name = strings.TrimPrefix(name, "//"); !ok || !fs.ValidPath(name) {
				return fail(fmt.Errorf("files: %q is not the path of a text", name))
			}
			over.files[name] = []byte(s)
		}
		in.Tree = over
	}
	res, err := taskgraph.Generate(h.ctx, in, upTo)
	if err != nil {
		return fail(err)
	}
	for _, line := range res.Explain.Prints {
		t.Print(t, line)
	}
	made := map[taskgraph.Stage]*graph.Graph{taskgraph.Full: res.Full, taskgraph.Target: res.Target, taskgraph.Optimized: res.Optimized}[upTo]
	tasks := make(map[string]any, made.Len())
	for _, task := range made.All() {
		tasks[task.Label] = task.JSON()
	}
	return bounded.Lazily(tasks)
}
