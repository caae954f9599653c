package star

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
	"github.com/treeline-ci/treeline/taskgraph/value"
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
	// Edits asks for Item.Edits.
	Edits bool
}

func (c TransformConfig) value() starlark.Value {
	deps := newTable(c.Dependencies, c.Task)
	return &bounded.Record{Name: "config", Fields: map[string]func() (starlark.Value, error){
		"kind":                    bounded.Constant(starlark.String(c.Kind)),
		"path":                    bounded.Constant(starlark.String(c.Path)),
		"config":                  bounded.LazyField(c.KindConfig),
		"params":                  bounded.LazyField(c.Params),
		"graph_config":            bounded.LazyField(c.GraphConfig),
		"kind_dependencies_tasks": bounded.Constant(deps),
	}}
}

// Item is one task description that a transform gave.
type Item struct {
	// Values are nil when Edits tell what the transform changed.
	Values map[string]any
	// Edits turn the item From into this one; they are given only where TransformConfig.Edits asks
	// for them, and where they are known.
	Edits []Edit
	From  int // index of the item it was made from; -1 when the transform does not show it
}

// Transform calls the transform fn with items and gives what it makes of them. items are not
// changed.
func (m *Module) Transform(ctx context.Context, fn string, c TransformConfig, items []map[string]any) ([]Item, error) {
	f, err := m.function(fn)
	if err != nil {
		return nil, err
	}
	if !takesOne(f, 1) {
		v := m.invokeFunction(ctx, f, len(items))
		return v.transformAll(c, items)
	}
	return m.transformEach(ctx, f, c, items)
}

// portion is how many items one goroutine works on at a time; they share one budget, so that
// limits do not depend on the number of processors.
const portion = 256

// transformEach works on portions of the items at once. What comes out, what is printed and which
// error counts is as if it had been one after another.
func (m *Module) transformEach(ctx context.Context, f *starlark.Function, c TransformConfig, items []map[string]any) ([]Item, error) {
	type result struct {
		out     []Item
		printed []string
		err     error
	}
	c.Dependencies = slices.Sorted(slices.Values(c.Dependencies)) // once for all portions
	results := make([]result, (len(items)+portion-1)/portion)
	var failed atomic.Int64 // the first portion that failed, as far as is known
	failed.Store(int64(len(results)))
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(results)); i = next.Add(1) - 1 {
			if i > failed.Load() {
				return
			}
			r := &results[i]
			from := int(i) * portion
			v := m.invokeFunction(ctx, f, min(portion, len(items)-from))
			v.budget.Say = func(line string) { r.printed = append(r.printed, line) }
			if r.out, r.err = v.each(c, items[from:min(from+portion, len(items))], from); r.err != nil {
				for was := failed.Load(); i < was && !failed.CompareAndSwap(was, i); was = failed.Load() {
				}
			}
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(results)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	total := 0
	for i := range results {
		total += len(results[i].out)
	}
	out := make([]Item, 0, total)
	printing := newBudget(nil, m.limits, 0, m.say)
	for i := range results {
		for _, line := range results[i].printed {
			printing.Print(line)
		}
		if results[i].err != nil {
			return nil, results[i].err
		}
		out = append(out, results[i].out...)
	}
	return out, nil
}

// each works on items, the first of which is number from.
func (v *invocation) each(c TransformConfig, items []map[string]any, from int) ([]Item, error) {
	config, stop := c.value(), v.watch()
	defer stop()
	back := v.budget.FromStarlark()
	out := make([]Item, 0, len(items))
	var a bounded.Arena
	for i, item := range items {
		a.Reset()
		v.label = labelOf(item)
		in := a.Dict(item, false)
		v.subject = in
		res, err := v.called(config, in)
		if err != nil {
			return nil, err
		}
		switch res := res.(type) {
		case starlark.NoneType:
		case *starlark.Dict, *bounded.Dict:
			if out, err = v.take(out, back, res, from+i, item, c.Edits); err != nil {
				return nil, err
			}
		case *starlark.List:
			for k := range res.Len() {
				if k > 0 {
					back.Repeat(item)
				}
				if out, err = v.take(out, back, res.Index(k), from+i, item, c.Edits); err != nil {
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
func (v *invocation) take(out []Item, back *bounded.FromStarlark, res starlark.Value, from int, was map[string]any, edits bool) ([]Item, error) {
	if d, ok := res.(*bounded.Dict); ok && edits && was != nil && value.Same(d.From(), was) {
		list, known, err := back.TopEdits(d)
		if err != nil {
			return nil, v.fail(err)
		}
		if known {
			return append(out, Item{Edits: list, From: from}), nil
		}
	}
	if !bounded.IsDict(res) {
		return nil, v.fail(v.gave(res, "tasks, each of them a dict"))
	}
	x, err := back.Mapping(res, was)
	if err != nil {
		return nil, v.fail(err)
	}
	return append(out, Item{Values: x, From: from}), nil
}

func (v *invocation) transformAll(c TransformConfig, items []map[string]any) ([]Item, error) {
	in := make([]starlark.Value, len(items))
	origin := make(map[starlark.Value]int, len(items))
	byName := make(map[string]int, len(items))
	for i, item := range items {
		x := (*bounded.Arena)(nil).Dict(item, false)
		in[i], origin[x] = x, i
		byName[labelOf(item)] = i
	}
	res, err := v.call(c.value(), &taskList{List: starlark.NewList(in), seen: func(i int) { v.label, v.subject = labelOf(items[i]), in[i] }})
	if err != nil {
		return nil, err
	}
	v.label, v.subject = "", nil
	list, ok := res.(starlark.Indexable)
	if _, text := res.(starlark.String); !ok || text {
		return nil, v.fail(v.gave(res, "a list of tasks"))
	}
	back := v.budget.FromStarlark()
	out := make([]Item, 0, list.Len())
	for i := range list.Len() {
		x := list.Index(i)
		from, known := -1, false
		if d, ok := x.(*bounded.Dict); ok {
			from, known = origin[d.Origin()]
		}
		if known {
			if out, err = v.take(out, back, x, from, items[from], c.Edits); err != nil {
				return nil, err
			}
			continue
		}
		if out, err = v.take(out, back, x, -1, nil, false); err != nil {
			return nil, err
		}
		last := &out[len(out)-1]
		if i, ok := byName[labelOf(last.Values)]; ok {
			last.From = i
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

// Whole is the list itself.
func (l *taskList) Whole() *starlark.List { return l.List }

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
