package star

import (
	"context"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// TransformConfig is what a transform sees as config. Nothing in it is written to.
type TransformConfig struct {
	Kind        string
	Path        string // directory of the kind
	KindConfig  map[string]any
	Params      map[string]any
	GraphConfig map[string]any
	// Dependencies are the labels of the tasks of the kinds named in kind-dependencies; Task
	// gives one of them in its JSON form.
	Dependencies []string
	Task         func(label string) (map[string]any, bool)
}

func (c TransformConfig) value() starlark.Value {
	deps := newTable(c.Dependencies, c.Task)
	return &record{name: "config", fields: map[string]func() (starlark.Value, error){
		"kind":                    constant(starlark.String(c.Kind)),
		"path":                    constant(starlark.String(c.Path)),
		"config":                  lazy(c.KindConfig),
		"params":                  lazy(c.Params),
		"graph_config":            lazy(c.GraphConfig),
		"kind_dependencies_tasks": constant(deps),
	}}
}

// Item is one task description that a transform gave.
type Item struct {
	Values map[string]any
	From   int // index of the item it was made from; -1 when the transform does not show it
}

// Transform calls the transform fn with items and gives what it makes of them. items are not
// changed.
func (m *Module) Transform(ctx context.Context, fn string, c TransformConfig, items []map[string]any) ([]Item, error) {
	v, err := m.invoke(ctx, fn, len(items))
	if err != nil {
		return nil, err
	}
	if takesOne(v.fn, 1) {
		return v.transformEach(c.value(), items)
	}
	return v.transformAll(c.value(), items)
}

func (v *invocation) transformEach(config starlark.Value, items []map[string]any) ([]Item, error) {
	conv := &converter{lazy: true}
	back := v.budget.fromStar()
	out := make([]Item, 0, len(items))
	for i, item := range items {
		v.label = labelOf(item)
		in, err := conv.toStar(item)
		if err != nil {
			return nil, v.fail(err)
		}
		v.subject = in
		res, err := v.call(config, in)
		if err != nil {
			return nil, err
		}
		switch res := res.(type) {
		case starlark.NoneType:
		case *starlark.Dict, *lazyDict:
			if out, err = v.take(out, back, res, i, item); err != nil {
				return nil, err
			}
		case *starlark.List:
			for k := range res.Len() {
				if k > 0 {
					back.left -= countValues(item, back.left)
				}
				if out, err = v.take(out, back, res.Index(k), i, item); err != nil {
					return nil, err
				}
			}
		default:
			return nil, v.fail(v.gave(res, "the task (a dict), a list of tasks or None"))
		}
	}
	return out, nil
}

// take converts one result, made of the item was, and appends it.
func (v *invocation) take(out []Item, back *fromStar, res starlark.Value, from int, was map[string]any) ([]Item, error) {
	if !isDict(res) {
		return nil, v.fail(v.gave(res, "tasks, each of them a dict"))
	}
	back.path = back.path[:0]
	x, err := back.mapping(res, was)
	if err != nil {
		return nil, v.fail(err)
	}
	return append(out, Item{Values: x, From: from}), nil
}

func (v *invocation) transformAll(config starlark.Value, items []map[string]any) ([]Item, error) {
	conv := &converter{lazy: true}
	in := make([]starlark.Value, len(items))
	origin := make(map[starlark.Value]int, len(items))
	byName := make(map[string]int, len(items))
	for i, item := range items {
		x, err := conv.toStar(item)
		if err != nil {
			v.label = labelOf(item)
			return nil, v.fail(err)
		}
		in[i], origin[x] = x, i
		byName[labelOf(item)] = i
	}
	res, err := v.call(config, &taskList{List: starlark.NewList(in), seen: func(i int) { v.label, v.subject = labelOf(items[i]), in[i] }})
	if err != nil {
		return nil, err
	}
	v.label, v.subject = "", nil
	list, ok := res.(starlark.Indexable)
	if _, text := res.(starlark.String); !ok || text {
		return nil, v.fail(v.gave(res, "a list of tasks"))
	}
	back := v.budget.fromStar()
	out := make([]Item, 0, list.Len())
	for i := range list.Len() {
		x := list.Index(i)
		from, known := origin[x]
		var was map[string]any
		if known {
			was = items[from]
		}
		if out, err = v.take(out, back, x, from, was); err != nil {
			return nil, err
		}
		if last := &out[len(out)-1]; !known {
			last.From = -1
			if i, ok := byName[labelOf(last.Values)]; ok {
				last.From = i
			}
		}
	}
	return out, nil
}

// labelOf names a task description in messages.
func labelOf(item map[string]any) string {
	for _, key := range []string{"label", "name"} {
		if s, ok := item[key].(string); ok {
			return s
		}
	}
	return ""
}

// taskList is the list of all tasks; it notes which one a loop is at, for errors.
type taskList struct {
	*starlark.List
	seen func(i int)
}

// Iterate walks the tasks.
func (l *taskList) Iterate() starlark.Iterator {
	return &taskIterator{Iterator: l.List.Iterate(), seen: l.seen}
}

type taskIterator struct {
	starlark.Iterator
	seen func(i int)
	next int
}

// Next gives the next task.
func (i *taskIterator) Next(p *starlark.Value) bool {
	ok := i.Iterator.Next(p)
	if ok {
		i.seen(i.next)
		i.next++
	}
	return ok
}

// Type tells it from a list, which other lists can be compared with.
func (l *taskList) Type() string { return "tasks" }

// Binary adds lists to the tasks.
func (l *taskList) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	other, ok := y.(*starlark.List)
	if t, also := y.(*taskList); also {
		other, ok = t.List, true
	}
	if op != syntax.PLUS || !ok {
		return nil, nil
	}
	if side == starlark.Left {
		return starlark.Binary(op, l.List, other)
	}
	return starlark.Binary(op, other, l.List)
}
