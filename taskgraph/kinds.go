package taskgraph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/transform"
	"github.com/treeline-ci/treeline/taskgraph/transform/builtin"
	"github.com/treeline-ci/treeline/taskgraph/transform/intree"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxTasks is how many tasks a graph may have.
const MaxTasks = 1_000_000

// kindRun is the work on one kind.
type kindRun struct {
	kind   *loader.Kind
	done   chan struct{}
	tasks  []*graph.Task // in the order of the kind's file, or sorted by label: Transform.Unordered
	prints []string
	drops  []explain.Drop
	mu     sync.Mutex // guards drops
	err    error
}

// errUpstream is the error of a kind that was not worked on because one it needs failed.
var errUpstream = errors.New("a kind that it depends on failed")

// loadKinds makes the tasks of all kinds. Kinds that do not depend on each other are worked on
// at the same time; what comes out depends on none of that.
func (g *generation) loadKinds(ctx context.Context) ([]*graph.Task, error) {
	shared := g.shared()
	registry := builtin.Registry()
	runs := make(map[string]*kindRun, len(g.kinds))
	for _, k := range g.kinds {
		runs[k.Name] = &kindRun{kind: k, done: make(chan struct{})}
		for _, w := range k.Warnings {
			g.warn.add(w)
		}
	}
	if g.in.Strict {
		if err := g.warn.asError(); err != nil {
			return nil, err
		}
	}
	var wg sync.WaitGroup
	for _, r := range runs {
		wg.Go(func() {
			defer close(r.done)
			for _, d := range r.kind.Dependencies {
				<-runs[d].done
				if runs[d].err != nil {
					r.err = errUpstream
					return
				}
			}
			r.err = r.load(ctx, shared, registry, runs)
		})
	}
	wg.Wait()
	return g.collect(runs)
}

// collect puts the tasks of all kinds together, or their errors.
func (g *generation) collect(runs map[string]*kindRun) ([]*graph.Task, error) {
	var errs []error
	var tasks []*graph.Task
	for _, name := range g.res.Kinds {
		r := runs[name]
		if r.err != nil && !errors.Is(r.err, errUpstream) {
			errs = append(errs, r.err)
		}
		tasks = append(tasks, r.tasks...)
		for _, line := range r.prints {
			g.print(line)
		}
		g.res.Explain.Dropped(r.drops)
	}
	if len(tasks) > MaxTasks {
		errs = append(errs, fmt.Errorf("taskgraph: the graph has %d tasks; the limit is %d", len(tasks), MaxTasks))
	}
	return tasks, errors.Join(errs...)
}

// shared makes what the transforms of all kinds share.
func (g *generation) shared() *transform.Shared {
	return &transform.Shared{
		Graph: g.res.Config, Params: g.in.Parameters, Names: value.NameMap(g.in.Parameters.Map()), Tree: g.tree, Scripts: g.in.Scripts,
		DecisionTaskID: g.in.DecisionTaskID, RootURL: g.in.RootURL, Strict: g.in.Strict, Fast: g.in.Fast, Trace: g.in.Trace, Warn: g.warn.add, Publish: g.in.Publish, Work: g.in.Work,
		Conditions: cond.NewScope(g.in.Parameters),
	}
}

// load makes the kind's tasks: loader, conditions, transforms.
func (r *kindRun) load(ctx context.Context, shared *transform.Shared, registry transform.Registry, runs map[string]*kindRun) error {
	k := r.kind
	// Each kind has modules of its own, so that what they print comes in one order.
	files := star.NewFiles(shared.Tree, star.Options{Print: func(line string) { r.prints = append(r.prints, line) }})
	transforms, err := resolve(k, registry, files)
	if err != nil {
		return err
	}
	c := &transform.Config{
		Kind: k.Name, Dir: k.Dir, KindConfig: k.Values, KindDependencies: k.Dependencies, Shared: shared, Drop: r.drop,
		Dependencies: transform.NewDependencies(k.Dependencies, func(kind string) []*graph.Task { return runs[kind].tasks }),
	}
	items, err := intree.Items(ctx, files, k, c)
	if err != nil {
		return err
	}
	r.tasks, err = transform.Tasks(ctx, c, append([]transform.Transform{transform.Condition()}, transforms...), items)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(transforms, func(t transform.Transform) bool { return t.Unordered }) {
		slices.SortStableFunc(r.tasks, func(a, b *graph.Task) int { return strings.Compare(a.Label, b.Label) })
	}
	return nil
}

// drop notes what became of no task.
func (r *kindRun) drop(d explain.Drop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops = append(r.drops, d)
}

// resolve finds the transforms that the kind lists.
func resolve(k *loader.Kind, registry transform.Registry, files *star.Files) ([]transform.Transform, error) {
	refs, err := k.Transforms()
	if err != nil {
		return nil, err
	}
	var errs []error
	out := make([]transform.Transform, 0, len(refs))
	for _, ref := range refs {
		if t, ok := registry[ref.Name]; ok {
			out = append(out, t)
			continue
		}
		if t, ok := intree.Transform(files, ref.Name, graph.Error{File: ref.File, Line: ref.Line}); ok {
			out = append(out, t)
			continue
		}
		errs = append(errs, &graph.Error{File: ref.File, Line: ref.Line, Message: unknownTransform(ref.Name, registry)})
	}
	return out, errors.Join(errs...)
}

func unknownTransform(name string, registry transform.Registry) string {
	msg := fmt.Sprintf("the transform %q is not known", name)
	if near := graph.Nearest(name, slices.Sorted(maps.Keys(registry))); near != "" {
		return msg + fmt.Sprintf("; is %q meant?", near)
	}
	return msg + "; transforms of the tree are Starlark functions, named as path/file.star:function"
}
