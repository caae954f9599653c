package star

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// table is a read-only mapping of labels to tasks that converts only the tasks looked up.
type table struct {
	labels []string // sorted
	task   func(label string) (map[string]any, bool)
	made   map[string]starlark.Value
}

func newTable(labels []string, task func(label string) (map[string]any, bool)) *table {
	if !slices.IsSorted(labels) {
		labels = slices.Sorted(slices.Values(labels))
	}
	return &table{labels: labels, task: task, made: map[string]starlark.Value{}}
}

func (t *table) String() string        { return fmt.Sprintf("<%d tasks by label>", len(t.labels)) }
func (t *table) Type() string          { return "tasks" }
func (t *table) Freeze()               {}
func (t *table) Truth() starlark.Bool  { return len(t.labels) > 0 }
func (t *table) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: tasks") }
func (t *table) Len() int              { return len(t.labels) }

// Unbounded says why it cannot be printed or compared.
func (t *table) Unbounded() string {
	return "meets the whole table of tasks; look up single labels instead"
}

// Get looks a label up.
func (t *table) Get(k starlark.Value) (starlark.Value, bool, error) {
	label, ok := starlark.AsString(k)
	if !ok {
		return nil, false, nil
	}
	if v, ok := t.made[label]; ok {
		return v, true, nil
	}
	m, ok := t.task(label)
	if !ok {
		return nil, false, nil
	}
	v, err := bounded.Lazily(m)
	if err != nil {
		return nil, false, fmt.Errorf("task %q: %w", label, err)
	}
	v.Freeze()
	t.made[label] = v
	return v, true, nil
}

// Iterate walks the labels in sorted order.
func (t *table) Iterate() starlark.Iterator { return &labelIterator{labels: t.labels} }

type labelIterator struct{ labels []string }

func (i *labelIterator) Next(p *starlark.Value) bool {
	if len(i.labels) == 0 {
		return false
	}
	*p, i.labels = starlark.String(i.labels[0]), i.labels[1:]
	return true
}

func (i *labelIterator) Done() {}

// Items gives all pairs; the interpreter asks for it where a mapping is copied.
func (t *table) Items() []starlark.Tuple {
	out := make([]starlark.Tuple, 0, len(t.labels))
	for _, l := range t.labels {
		if v, ok, err := t.Get(starlark.String(l)); ok && err == nil {
			out = append(out, starlark.Tuple{starlark.String(l), v})
		}
	}
	return out
}

func (t *table) AttrNames() []string { return []string{"get", "items", "keys", "values"} }

// Attr gives the methods that a dict has for reading.
func (t *table) Attr(name string) (starlark.Value, error) {
	switch name {
	case "get":
		return starlark.NewBuiltin("get", t.get), nil
	case "keys", "values", "items":
		return starlark.NewBuiltin(name, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := starlark.UnpackPositionalArgs(name, args, kwargs, 0); err != nil {
				return nil, err
			}
			return t.list(name)
		}), nil
	}
	return nil, nil
}

func (t *table) get(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var key starlark.Value
	var missing starlark.Value = starlark.None
	if err := starlark.UnpackPositionalArgs("get", args, kwargs, 1, &key, &missing); err != nil {
		return nil, err
	}
	v, ok, err := t.Get(key)
	if err != nil || ok {
		return v, err
	}
	return missing, nil
}

func (t *table) list(what string) (starlark.Value, error) {
	out := make([]starlark.Value, 0, len(t.labels))
	for _, l := range t.labels {
		key := starlark.String(l)
		if what == "keys" {
			out = append(out, key)
			continue
		}
		v, _, err := t.Get(key)
		if err != nil {
			return nil, err
		}
		if what == "items" {
			v = starlark.Tuple{key, v}
		}
		out = append(out, v)
	}
	return starlark.NewList(out), nil
}
