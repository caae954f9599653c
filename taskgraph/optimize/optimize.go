package optimize

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/reldate"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Found is a task that the index knows.
type Found struct {
	TaskID  string    `json:"taskId"`
	State   string    `json:"state"` // "completed", "running", … as the queue says
	Expires time.Time `json:"expires"`
}

// IndexFinder gives the tasks found at index paths; paths without a task are absent. It is asked
// at most once per Run, with all paths.
type IndexFinder func(ctx context.Context, paths []string) (map[string]Found, error)

// Input is what optimization looks at.
type Input struct {
	Target    *graph.Graph // by label
	Requested []string     // labels wanted for themselves, not only as dependencies
	Targets   []string     // the target set; with optimize_target_tasks false these stay
	Params    *params.Parameters

	Strategies map[string]Strategy // nil: Builtin()
	Star       *star.Files         // for strategies of the tree; nil: there are none
	Index      IndexFinder         // nil: the index knows nothing
	History    history.Source      // asked at most once, if a strategy needs it; nil: nothing is known
	Now        time.Time           // against which deadlines count; zero: the build date

	NewID          func(label string) string // id of a task to be created; asked in sorted order
	RootURL        string                    // for artifact references
	ProxyURL       string                    // for artifacts that are not public; "" means RootURL
	DecisionTaskID string                    // for <decision>; "" means "DECISION-TASK"

	Log *explain.Log // nil: nothing is recorded
}

// Result is the optimized graph.
type Result struct {
	Graph         *graph.Graph      // by task id
	LabelToTaskID map[string]string // created and replaced tasks
	Removed       int
	Replaced      int
	History       *history.Table // what Input.History gave; nil when it was not asked
}

// run is one optimization under way.
type run struct {
	Input
	env   *Env
	dno   map[string]string // label → why it may not be optimized
	asked map[string]bool   // requested labels

	removed  map[string]bool
	replaced map[string]string // label → task id
}

// Run optimizes in.Target. A fault of one task is a *graph.Error.
func Run(ctx context.Context, in Input) (*Result, error) {
	r := &run{Input: in, dno: map[string]string{}, asked: map[string]bool{}, removed: map[string]bool{}, replaced: map[string]string{}}
	if r.Strategies == nil {
		r.Strategies = Builtin()
	}
	if err := r.overlay(ctx); err != nil {
		return nil, err
	}
	if r.Now.IsZero() {
		r.Now = time.Unix(in.Params.Int("build_date"), 0)
	}
	r.env = &Env{Params: in.Params, run: r, files: in.Params.Strings("files_changed"), matched: map[string]string{}, star: map[string]*star.Strategy{}, covers: map[coverKey]*history.Coverage{}}
	for _, label := range in.Params.Strings("do_not_optimize") {
		r.dno[label] = "listed in do_not_optimize"
	}
	if !in.Params.Bool("optimize_target_tasks") {
		for _, label := range in.Targets {
			r.dno[label] = "a target, and optimize_target_tasks is false"
		}
	}
	for _, label := range in.Requested {
		r.asked[label] = true
	}
	if err := r.remove(ctx); err != nil {
		return nil, err
	}
	if err := r.replace(ctx); err != nil {
		return nil, err
	}
	return r.subgraph()
}

// strategy gives the task's strategy under the name that the task uses.
func (r *run) strategy(t *graph.Task) (Strategy, string, any, error) {
	name, arg := t.Strategy()
	if name == "" {
		return never{}, "", nil, nil
	}
	s, err := r.env.Strategy(name)
	if err != nil {
		return nil, name, arg, fault(t, err)
	}
	return s, name, arg, nil
}

// fault puts the task's place before err.
func fault(t *graph.Task, err error) error {
	return &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Message: "optimization", Err: err}
}

// replace is phase B, dependencies first.
func (r *run) replace(ctx context.Context) error {
	if err := r.lookUp(ctx); err != nil {
		return err
	}
	order, err := r.Target.Postorder()
	if err != nil {
		return err
	}
	existing := r.Params.ExistingTasks()
	for _, label := range order {
		t := r.Target.Task(label)
		if _, fixed := r.dno[label]; fixed || r.needsKept(label) != "" {
			r.keptInPlace(t)
			continue
		}
		if id, ok := existing[label]; ok {
			r.replaced[label] = id
			r.Log.Optimize(explain.Optimization{Label: label, Phase: "replace", Outcome: explain.Replaced, TaskID: id, Reason: "listed in existing_tasks"})
			continue
		}
		if err := r.replaceOne(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// needsKept is a dependency of label that is neither removed nor replaced; "" without one.
func (r *run) needsKept(label string) string {
	for dep := range r.Target.TasksNeeded(label) {
		if _, ok := r.replaced[dep.Label]; !ok && !r.removed[dep.Label] {
			return dep.Label
		}
	}
	return ""
}

// keptInPlace records why a task that asked for replacement is not even looked at.
func (r *run) keptInPlace(t *graph.Task) {
	name, arg := t.Strategy()
	if name == "" || r.removed[t.Label] {
		return
	}
	if s, err := r.env.Strategy(name); err != nil || !searches(s) {
		return
	}
	why := r.dno[t.Label]
	if why == "" {
		why = "depends on " + r.needsKept(t.Label) + ", which runs"
	}
	r.Log.Optimize(explain.Optimization{Label: t.Label, Phase: "replace", Outcome: explain.Kept, Strategy: name, Arg: arg, Reason: why})
}

// searches reports whether s may replace tasks.
func searches(s Strategy) bool { _, ok := s.(Searcher); return ok }

func (r *run) replaceOne(ctx context.Context, t *graph.Task) error {
	s, name, arg, err := r.strategy(t)
	if err != nil || name == "" {
		return err
	}
	deadline, err := r.deadline(t)
	if err != nil {
		return err
	}
	v, err := s.Replace(ctx, r.env, t, arg, deadline)
	if err != nil {
		return fault(t, err)
	}
	o := explain.Optimization{Label: t.Label, Phase: "replace", Outcome: explain.Kept, Strategy: name, Arg: arg, Reason: v.Reason, TaskID: v.TaskID}
	if v.TaskID != "" {
		o.Outcome = explain.Replaced
		r.replaced[t.Label] = v.TaskID
	}
	if v.Reason != "" {
		r.Log.Optimize(o)
	}
	return nil
}

// deadline is the latest deadline among the direct dependents of t, removed ones too; zero
// without one (taskgraph-map 14.3).
func (r *run) deadline(t *graph.Task) (time.Time, error) {
	var latest time.Time
	for u := range r.Target.TasksUsing(t.Label) {
		at, has := u.Definition["deadline"]
		if !has {
			continue
		}
		d, err := reldate.Resolve(at, r.Now)
		if err != nil {
			return time.Time{}, fault(u, fmt.Errorf("deadline: %w", err))
		}
		if d.After(latest) {
			latest = d
		}
	}
	return latest, nil
}

// lookUp asks the index once for all paths that strategies may want.
func (r *run) lookUp(ctx context.Context) error {
	var paths []string
	for label, t := range r.Target.All() {
		if _, fixed := r.dno[label]; fixed || t.Optimization == nil {
			continue
		}
		s, _, arg, err := r.strategy(t)
		if err != nil {
			return err
		}
		if w, ok := s.(Searcher); ok {
			list, err := w.IndexPaths(r.env, arg)
			if err != nil {
				return fault(t, err)
			}
			paths = append(paths, list...)
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	r.env.found = map[string]Found{}
	if len(paths) == 0 || r.Index == nil {
		return nil
	}
	found, err := r.Index(ctx, paths)
	if err != nil {
		return fmt.Errorf("optimization: look up %d index paths: %w", len(paths), err)
	}
	r.env.found = found
	return nil
}

// subgraph is phase C.
func (r *run) subgraph() (*Result, error) {
	res := &Result{LabelToTaskID: make(map[string]string, r.Target.Len()), Removed: len(r.removed), Replaced: len(r.replaced), History: r.env.past}
	maps.Copy(res.LabelToTaskID, r.replaced)
	var list []*graph.Task
	for label, t := range r.Target.All() {
		if _, gone := r.replaced[label]; gone || r.removed[label] {
			continue
		}
		list = append(list, t)
		res.LabelToTaskID[label] = r.NewID(label)
	}
	list, err := r.settleAll(list, res.LabelToTaskID)
	if err != nil {
		return nil, err
	}
	tasks := make(map[string]*graph.Task, len(list))
	for _, t := range list {
		if other := tasks[t.TaskID]; other != nil {
			return nil, fmt.Errorf("optimization: tasks %s and %s got one id %s", other.Label, t.Label, t.TaskID)
		}
		tasks[t.TaskID] = t
	}
	edges := make([]graph.Edge, 0, len(r.Target.Edges()))
	for _, e := range r.Target.Edges() {
		from, to := res.LabelToTaskID[e.From], res.LabelToTaskID[e.To]
		if tasks[from] != nil && tasks[to] != nil {
			edges = append(edges, graph.Edge{From: from, To: to, Name: e.Name})
		}
	}
	res.Graph, err = graph.New(tasks, edges)
	return res, err
}

// settleAll settles tasks, several at once; the error is that of the first that has one.
func (r *run) settleAll(list []*graph.Task, ids map[string]string) ([]*graph.Task, error) {
	const some = 64
	out, errs := make([]*graph.Task, len(list)), make([]error, len(list)/some+1)
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(errs)) {
		wg.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(errs); n = int(next.Add(1)) - 1 {
				for i := n * some; i < min((n+1)*some, len(list)) && errs[n] == nil; i++ {
					out[i], errs[n] = r.settle(list[i], ids)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// settle gives a kept task its id, its dependencies by id, and resolves its references.
func (r *run) settle(t *graph.Task, ids map[string]string) (*graph.Task, error) {
	named := make(map[string]string, len(t.Dependencies))
	for name, label := range t.Dependencies {
		if _, replaced := r.replaced[label]; r.removed[label] && !replaced {
			return nil, fault(t, fmt.Errorf("it depends on %s, which was removed", label))
		}
		named[name] = ids[label]
	}
	for _, label := range t.SoftDependencies {
		if _, replaced := r.replaced[label]; !replaced && !r.removed[label] && ids[label] != "" {
			named[label] = ids[label]
		}
	}
	out := *t
	out.TaskID = ids[t.Label]
	out.Dependencies = named
	refs := references{label: t.Label, self: out.TaskID, decision: r.DecisionTaskID, dependencies: named, root: r.RootURL, proxy: r.ProxyURL}
	def, err := refs.resolve(t.Definition)
	if err != nil {
		return nil, &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: t.Label, Err: err}
	}
	d, _ := def.(map[string]any)
	out.Definition = make(map[string]any, len(d)+1)
	maps.Copy(out.Definition, d)
	before, _ := d["dependencies"].([]any)
	list := append(make([]any, 0, len(before)+len(named)), before...)
	for _, id := range slices.Sorted(maps.Values(named)) {
		list = append(list, id)
	}
	out.Definition["dependencies"] = list
	return &out, nil
}
