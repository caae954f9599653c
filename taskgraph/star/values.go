package star

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

const plusToken = syntax.PLUS

// record is a read-only value with attributes, each made when it is first asked for.
type record struct {
	name   string
	fields map[string]func() (starlark.Value, error)
	made   map[string]starlark.Value
}

// constant is the field of a value that exists already.
func constant(v starlark.Value) func() (starlark.Value, error) {
	return func() (starlark.Value, error) { return v, nil }
}

// lazy is the field of a Go value, converted when it is asked for and frozen.
func lazy(v any) func() (starlark.Value, error) {
	return func() (starlark.Value, error) {
		x, err := (&converter{lazy: true}).toStar(v)
		if err != nil {
			return nil, err
		}
		x.Freeze()
		return x, nil
	}
}

// module is a read-only group of built-ins, each named MODULE.NAME. All its values exist from the
// start, so several goroutines may use it at once.
func module(name string, members ...*starlark.Builtin) *record {
	r := &record{name: name, made: map[string]starlark.Value{}, fields: map[string]func() (starlark.Value, error){}}
	for _, m := range members {
		key := strings.TrimPrefix(m.Name(), name+".")
		r.made[key], r.fields[key] = m, constant(m)
	}
	return r
}

func (r *record) String() string        { return "<" + r.name + ">" }
func (r *record) Type() string          { return r.name }
func (r *record) Freeze()               {} // read-only from the start
func (r *record) Truth() starlark.Bool  { return true }
func (r *record) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: %s", r.name) }
func (r *record) AttrNames() []string   { return slices.Sorted(maps.Keys(r.fields)) }

// Attr makes the attribute, once per record; a record belongs to one call, hence to one goroutine.
func (r *record) Attr(name string) (starlark.Value, error) {
	if v, ok := r.made[name]; ok {
		return v, nil
	}
	field, ok := r.fields[name]
	if !ok {
		return nil, nil
	}
	v, err := field()
	if err != nil {
		return nil, fmt.Errorf("%s.%s: %w", r.name, name, err)
	}
	if r.made == nil {
		r.made = map[string]starlark.Value{}
	}
	r.made[name] = v
	return v, nil
}

// table is a read-only mapping of labels to tasks that converts only the tasks looked up.
type table struct {
	labels []string // sorted
	task   func(label string) (map[string]any, bool)
	made   map[string]starlark.Value
}

func newTable(labels []string, task func(label string) (map[string]any, bool)) *table {
	return &table{labels: slices.Sorted(slices.Values(labels)), task: task, made: map[string]starlark.Value{}}
}

func (t *table) String() string        { return fmt.Sprintf("<%d tasks by label>", len(t.labels)) }
func (t *table) Type() string          { return "tasks" }
func (t *table) Freeze()               {}
func (t *table) Truth() starlark.Bool  { return len(t.labels) > 0 }
func (t *table) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: tasks") }
func (t *table) Len() int              { return len(t.labels) }

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
	v, err := (&converter{lazy: true}).toStar(m)
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
