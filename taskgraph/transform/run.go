package transform

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

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
	// Only names a top-level key, for an All that does nothing to a kind of whose items none has it,
	// besides Unique. Where that is plain from the start, items need not wait for each other.
	Only string
}

// Transform is what a name in a kind's list of transforms stands for.
type Transform struct {
	Name  string
	Steps []Step
	// Narrow says that it gives items no key that a step's Only names.
	Narrow bool
	// Unordered says that it orders items by what they depend on, not as they were written: the tasks
	// of its kind are sorted by label, so that later kinds find them in one order.
	Unordered bool
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

// MaxErrors of one kind are told before the rest is left untold.
const MaxErrors = 50

// Run sends items through transforms. Items that fail are told all together.
func Run(ctx context.Context, c *Config, transforms []Transform, items []*Item) ([]*Item, error) {
	r := runner{config: c}
	row, items, err := r.rows(ctx, transforms, items)
	if err != nil {
		return nil, err
	}
	if len(row) > 0 {
		items = collect(r.each(ctx, row, items, nil), func(b *batch) []*Item { return b.out })
	}
	if items = r.uniqueItems(items); len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return items, ctx.Err()
}

// Tasks sends items through transforms and makes the tasks of what comes out, in its order. Each item
// is let go once its task is made: the caller's slice holds none afterwards.
func Tasks(ctx context.Context, c *Config, transforms []Transform, items []*Item) ([]*graph.Task, error) {
	r := runner{config: c}
	row, items, err := r.rows(ctx, transforms, items)
	if err != nil {
		return nil, err
	}
	batches := r.each(ctx, row, items, (*Item).Task)
	tasks := collect(batches, func(b *batch) []*graph.Task { return b.tasks })
	if r.unique != "" {
		tasks = r.uniqueTasks(tasks, collect(batches, func(b *batch) []*Origin { return b.origins }))
	}
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	return tasks, ctx.Err()
}

// rows sends items through all rows of steps but the last, which it returns with the items for it.
func (r *runner) rows(ctx context.Context, transforms []Transform, items []*Item) ([]stage, []*Item, error) {
	c := r.config
	c.trace(items)
	entries, narrow := items, true
	var row []stage // Each steps that are waiting to run together
	for _, t := range transforms {
		narrow = narrow && t.Narrow
		for i, s := range t.Steps {
			last := i == len(t.Steps)-1
			if narrow && s.Only != "" && !anyHas(entries, s.Only) {
				r.unique = t.Name
				continue
			}
			if s.Each != nil {
				row = append(row, stage{each: s.Each, transform: t.Name, last: last})
				continue
			}
			if len(row) > 0 {
				items = collect(r.each(ctx, row, items, nil), func(b *batch) []*Item { return b.out })
				row = nil
			}
			items = r.uniqueItems(items)
			if len(r.errs) > 0 {
				return nil, nil, errors.Join(r.errs...)
			}
			next, err := s.All(ctx, c, items)
			if err != nil {
				return nil, nil, err
			}
			c.dropAll(t.Name, items, next)
			c.trace(next)
			if items = r.after(t.Name, last, next); len(r.errs) > 0 {
				return nil, nil, errors.Join(r.errs...)
			}
		}
	}
	return row, items, nil
}

type stage struct {
	each      Each
	transform string
	last      bool // of its transform
}

type runner struct {
	config *Config
	errs   []error
	unique string // name of a transform that wants Unique and was not made to wait for it
}

func (r *runner) after(transform string, last bool, items []*Item) []*Item {
	var steps stepCache
	for _, it := range items {
		if it.err != nil {
			r.errs = append(r.errs, it.err)
		}
		if last {
			it.finish(transform, &steps)
		}
	}
	return items
}

// chunk is how many items one goroutine takes at a time.
const chunk = 8

// each sends items through a row of steps, several at once. With finish, what comes out is made into
// tasks and the items are let go. The batches are in the order of the items.
func (r *runner) each(ctx context.Context, row []stage, items []*Item, finish func(*Item) (*graph.Task, error)) []batch {
	n := (len(items) + chunk - 1) / chunk
	results := make([]batch, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	work := r.config.Work
	if work == nil {
		work = func(piece func()) { piece() }
	}
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				results[i].finish, results[i].ctx = finish, ctx
				work(func() { results[i].run(r.config, row, items[i*chunk:min((i+1)*chunk, len(items))]) })
			}
		})
	}
	wg.Wait()
	for i := range results {
		if len(r.errs) < MaxErrors {
			r.errs = append(r.errs, results[i].errs...)
		}
	}
	if err := ctx.Err(); err != nil {
		r.errs = append(r.errs, err)
	}
	return results
}

// collect puts together what batches made.
func collect[T any](results []batch, of func(*batch) []T) []T {
	total := 0
	for i := range results {
		total += len(of(&results[i]))
	}
	out := make([]T, 0, total)
	for i := range results {
		out = append(out, of(&results[i])...)
	}
	return out
}

// batch is a few items on their way through a row.
type batch struct {
	ctx     context.Context
	out     []*Item
	finish  func(*Item) (*graph.Task, error) // nil: out is wanted, not tasks
	tasks   []*graph.Task
	origins []*Origin // of the tasks
	errs    []error
	// By stage: its steps, whether its item gave any, and what takes them.
	steps   []stepCache
	emitted []bool
	emits   []func(*Item)
	spares  spares
}

func (b *batch) run(c *Config, row []stage, items []*Item) {
	b.steps, b.emitted, b.emits = make([]stepCache, len(row)), make([]bool, len(row)), make([]func(*Item), len(row))
	for at := range row {
		b.emits[at] = func(it *Item) { b.emit(c, row, at, it) }
	}
	for i, it := range items {
		it.spares = &b.spares
		b.one(c, row, it)
		if b.finish != nil {
			items[i] = nil
		}
	}
	b.steps, b.emitted, b.emits = nil, nil, nil
}

// end takes an item that has passed the row.
func (b *batch) end(it *Item) {
	if b.finish == nil {
		b.out = append(b.out, it)
		return
	}
	t, err := b.finish(it)
	if err != nil {
		b.errs = append(b.errs, err)
		return
	}
	b.tasks, b.origins = append(b.tasks, t), append(b.origins, it.origin)
	b.spares.put(it)
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

// send gives an item to the stage at; a stage has one item at a time.
// send sends an item through the rest of a row. Once a batch has more faults than will be told, or
// nobody waits for it any more, what entries are still split into goes nowhere.
func (b *batch) send(c *Config, row []stage, at int, it *Item) {
	if len(b.errs) >= MaxErrors || b.ctx.Err() != nil {
		return
	}
	if at == len(row) {
		b.end(it)
		return
	}
	b.emitted[at] = false
	err := row[at].each(c, it, b.emits[at])
	switch {
	case err != nil:
		b.errs = append(b.errs, err)
	case !b.emitted[at]:
		c.Dropped(it, it.Label(), row[at].transform, it.note)
	}
}

// emit takes what a stage makes of its item.
func (b *batch) emit(c *Config, row []stage, at int, it *Item) {
	b.emitted[at] = true
	if it.err != nil {
		b.errs = append(b.errs, it.err)
		return
	}
	if row[at].last {
		it.finish(row[at].transform, &b.steps[at])
	}
	b.send(c, row, at+1, it)
}
