package star

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// TargetConfig is what a target-tasks method sees.
type TargetConfig struct {
	Params      map[string]any
	GraphConfig map[string]any
	Labels      []string
	Task        func(label string) (map[string]any, bool) // JSON form
}

// Target calls the target-tasks method fn and gives the labels it selects, in the order of
// c.Labels or in the method's own.
func (m *Module) Target(ctx context.Context, fn string, c TargetConfig) ([]string, error) {
	v, err := m.invoke(ctx, fn, len(c.Labels))
	if err != nil {
		return nil, err
	}
	tasks := newTable(c.Labels, c.Task)
	params, err := bounded.LazyField(c.Params)()
	if err != nil {
		return nil, v.fail(err)
	}
	config, err := bounded.LazyField(c.GraphConfig)()
	if err != nil {
		return nil, v.fail(err)
	}
	if takesOne(v.fn, 0) {
		return v.targetEach(c.Labels, tasks, params, config)
	}
	res, err := v.call(tasks, params, config)
	if err != nil {
		return nil, err
	}
	return v.labels(res, tasks)
}

func (v *invocation) targetEach(labels []string, tasks *table, params, config starlark.Value) ([]string, error) {
	var out []string
	for _, label := range labels {
		v.label = label
		task, ok, err := tasks.Get(starlark.String(label))
		if err != nil || !ok {
			return nil, v.fail(fmt.Errorf("task %q cannot be read: %w", label, err))
		}
		delete(tasks.made, label)
		v.subject = task
		res, err := v.call(task, params, config)
		if err != nil {
			return nil, err
		}
		if res.Truth() {
			out = append(out, label)
		}
	}
	return out, nil
}

func (v *invocation) labels(res starlark.Value, tasks *table) ([]string, error) {
	list, ok := res.(starlark.Indexable)
	if _, text := res.(starlark.String); !ok || text {
		return nil, v.fail(v.gave(res, "a list of labels"))
	}
	out := make([]string, 0, list.Len())
	for i := range list.Len() {
		label, ok := starlark.AsString(list.Index(i))
		if !ok || !tasks.has(label) {
			return nil, v.fail(fmt.Errorf("%s gave %s, which is no label of the graph", v.fn.Name(), bounded.Brief(list.Index(i), bounded.BriefTask)))
		}
		out = append(out, label)
	}
	return out, nil
}

// has looks a label up without converting the task.
func (t *table) has(label string) bool {
	_, ok := t.task(label)
	return ok
}

// Strategy is an optimization strategy of the tree, ready to be asked about one task after
// another. It belongs to one goroutine.
type Strategy struct {
	v      *invocation
	params starlark.Value
}

// Strategy prepares the strategy fn for about tasks questions.
func (m *Module) Strategy(ctx context.Context, fn string, params map[string]any, tasks int) (*Strategy, error) {
	v, err := m.invoke(ctx, fn, tasks)
	if err != nil {
		return nil, err
	}
	p, err := bounded.LazyField(params)()
	if err != nil {
		return nil, v.fail(err)
	}
	return &Strategy{v: v, params: p}, nil
}

// Removes asks whether task, in its JSON form, can be left out, and why.
func (s *Strategy) Removes(label string, task map[string]any, arg any) (bool, string, error) {
	s.v.label = label
	t, err := bounded.LazyField(task)()
	if err != nil {
		return false, "", s.v.fail(err)
	}
	a, err := bounded.LazyField(arg)()
	if err != nil {
		return false, "", s.v.fail(err)
	}
	s.v.subject = t
	res, err := s.v.call(t, s.params, a)
	if err != nil {
		return false, "", err
	}
	switch res := res.(type) {
	case starlark.Bool:
		return bool(res), "", nil
	case starlark.String:
		return true, string(res), nil
	case starlark.NoneType:
		return false, "", nil
	}
	return false, "", s.v.fail(s.v.gave(res, "True, False or the reason for leaving the task out"))
}

// Name is an entry of a table of names: plain values, in which functions are FILE.star:NAME.
type Name struct{ Value any }

// Names reads the global dict called global, whose values are strings, functions that are globals of
// the module too, and dicts and lists of such.
func (m *Module) Names(global string) (map[string]Name, error) {
	d, ok := m.globals[global].(*starlark.Dict)
	if !ok {
		return nil, &Error{File: m.path, Message: fmt.Sprintf("there is no dict %q at top level", global)}
	}
	out := make(map[string]Name, d.Len())
	left := maxNamed
	for k, v := range d.Entries() {
		key, ok := starlark.AsString(k)
		if !ok {
			return nil, &Error{File: m.path, Message: fmt.Sprintf("%s: the key %v is not a string", global, k)}
		}
		plain, err := m.name(v, 0, &left)
		if err != nil {
			return nil, &Error{File: m.path, Message: fmt.Sprintf("%s[%q]: %v", global, key, err)}
		}
		out[key] = Name{plain}
	}
	return out, nil
}

// Limits of a table of names: how deep its values may be nested, and how many they may be, those that
// stand in several places counted each time.
const (
	maxNames = 50
	maxNamed = 100_000
)

func (m *Module) name(v starlark.Value, depth int, left *int) (any, error) {
	if depth > maxNames {
		return nil, fmt.Errorf("nested more than %d deep", maxNames)
	}
	if *left--; *left < 0 {
		return nil, fmt.Errorf("the table stands for more than %d values", maxNamed)
	}
	switch v := v.(type) {
	case *starlark.Function:
		if m.globals[v.Name()] != starlark.Value(v) {
			return nil, fmt.Errorf("%s is not a function at top level of this file", v.Name())
		}
		return m.path + ":" + v.Name(), nil
	case *starlark.Dict:
		out := make(map[string]any, v.Len())
		for k, e := range v.Entries() {
			key, err := m.name(k, depth+1, left)
			if err != nil {
				return nil, err
			}
			text, ok := key.(string)
			if !ok {
				return nil, fmt.Errorf("the key %v is not a string or a function", k)
			}
			if out[text], err = m.name(e, depth+1, left); err != nil {
				return nil, err
			}
		}
		return out, nil
	case starlark.Indexable:
		if text, ok := v.(starlark.String); ok {
			return string(text), nil
		}
		out := make([]any, v.Len())
		for i := range out {
			var err error
			if out[i], err = m.name(v.Index(i), depth+1, left); err != nil {
				return nil, err
			}
		}
		return out, nil
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Float:
		return float64(v), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
	}
	return nil, fmt.Errorf("a %s is not a name, a function, or made of these", v.Type())
}
