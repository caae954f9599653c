package transform

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/schema"
)

// Each is a step on one item: it hands what becomes of it to emit, nothing to drop it.
type Each func(c *Config, it *Item, emit func(*Item)) error

// All is a step on all items of the kind.
type All func(ctx context.Context, c *Config, items []*Item) ([]*Item, error)

// Step is an Each or an All; exactly one is set.
type Step struct {
	Each Each
	All  All
}

// Transform is what a name in a kind's list of transforms stands for.
type Transform struct {
	Name  string
	Steps []Step
}

// New makes a transform of Each steps.
func New(name string, steps ...Each) Transform {
	t := Transform{Name: name}
	for _, s := range steps {
		t.Steps = append(t.Steps, Step{Each: s})
	}
	return t
}

// Registry finds transforms by their full name, such as "taskgraph.transforms.task:transforms".
type Registry map[string]Transform

// Check makes a step that checks items against a type and tells all problems.
func Check(t schema.Type) Each {
	return func(c *Config, it *Item, emit func(*Item)) error {
		if err := it.Check(t, it.values); err != nil {
			return err
		}
		emit(it)
		return nil
	}
}

// Check checks v, which stands at path in the item, and tells all problems.
func (it *Item) Check(t schema.Type, v any, path ...string) error {
	problems := schema.Check(t, v)
	if len(problems) == 0 {
		return nil
	}
	for i := range problems {
		problems[i].Path = append(append([]string{}, path...), problems[i].Path...)
	}
	return join(schema.Errors(problems, it.Label(), it.Place))
}

func join(list []*graph.Error) error {
	all := make([]error, len(list))
	for i, e := range list {
		all[i] = e
	}
	return errors.Join(all...)
}

// maxErrors of one kind are told before the rest is left untold.
const maxErrors = 50

// Run sends items through transforms. Items that fail are told all together.
func Run(ctx context.Context, c *Config, transforms []Transform, items []*Item) ([]*Item, error) {
	r := runner{config: c}
	c.trace(items)
	var row []stage // Each steps that are waiting to run together
	for _, t := range transforms {
		for i, s := range t.Steps {
			last := i == len(t.Steps)-1
			if s.Each != nil {
				row = append(row, stage{each: s.Each, transform: t.Name, last: last})
				continue
			}
			items = r.each(ctx, row, items)
			row = nil
			if len(r.errs) > 0 {
				return nil, errors.Join(r.errs...)
			}
			next, err := s.All(ctx, c, items)
			if err != nil {
				return nil, err
			}
			c.dropAll(t.Name, items, next)
			c.trace(next)
			if items = r.after(t.Name, last, next); len(r.errs) > 0 {
				return nil, errors.Join(r.errs...)
			}
		}
	}
	items = r.each(ctx, row, items)
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return items, ctx.Err()
}

type stage struct {
	each      Each
	transform string
	last      bool // of its transform
}

type runner struct {
	config *Config
	errs   []error
}

func (r *runner) after(transform string, last bool, items []*Item) []*Item {
	var keys keyCache
	for _, it := range items {
		if it.err != nil {
			r.errs = append(r.errs, it.err)
		}
		if last {
			it.finish(transform, &keys)
		}
	}
	return items
}

// chunk is how many items one goroutine takes at a time.
const chunk = 8

// each sends items through a row of steps, several at once, and keeps their order.
func (r *runner) each(ctx context.Context, row []stage, items []*Item) []*Item {
	if len(row) == 0 || len(items) == 0 {
		return items
	}
	n := (len(items) + chunk - 1) / chunk
	results := make([]batch, n)
	workers := min(runtime.GOMAXPROCS(0), n)
	var wg sync.WaitGroup
	next := make(chan int)
	for range workers {
		wg.Go(func() {
			for i := range next {
				results[i].run(r.config, row, items[i*chunk:min((i+1)*chunk, len(items))])
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	total := 0
	for i := range results {
		total += len(results[i].out)
	}
	out := make([]*Item, 0, total)
	for i := range results {
		out = append(out, results[i].out...)
		if len(r.errs) < maxErrors {
			r.errs = append(r.errs, results[i].errs...)
		}
	}
	if err := ctx.Err(); err != nil {
		r.errs = append(r.errs, err)
	}
	return out
}

// batch is a few items on their way through a row.
type batch struct {
	out  []*Item
	errs []error
	keys []keyCache // by stage
}

func (b *batch) run(c *Config, row []stage, items []*Item) {
	b.keys = make([]keyCache, len(row))
	for _, it := range items {
		b.one(c, row, it)
	}
	b.keys = nil
}

// one sends one item on its way. A fault of Treeline itself must not end the server that decides
// for everybody: it becomes an error of the item.
func (b *batch) one(c *Config, row []stage, it *Item) {
	defer func() {
		if r := recover(); r != nil {
			b.errs = append(b.errs, it.Errorf("", "a fault in Treeline, please report it: %v\n%s", r, debug.Stack()))
		}
	}()
	b.send(c, row, 0, it)
}

func (b *batch) send(c *Config, row []stage, at int, it *Item) {
	if at == len(row) {
		b.out = append(b.out, it)
		return
	}
	s := row[at]
	emitted := false
	err := s.each(c, it, func(it *Item) {
		emitted = true
		if it.err != nil {
			b.errs = append(b.errs, it.err)
			return
		}
		if s.last {
			it.finish(s.transform, &b.keys[at])
		}
		b.send(c, row, at+1, it)
	})
	switch {
	case err != nil:
		b.errs = append(b.errs, err)
	case !emitted:
		c.Dropped(it, it.Label(), s.transform, it.note)
	}
}
