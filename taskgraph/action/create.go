package action

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// MaxTasks is how many tasks one action may create.
const MaxTasks = 50_000

// order is a wish for tasks of a push.
type order struct {
	push   Push
	labels []string
	suffix string // of the set's artifacts, and part of its task ids; unique in an action
	group  string // "" means the push's decision task
	// modify gives the task that is to be created in the place of one of the graph; nil: the same.
	// It must not write to what it is given.
	modify func(*graph.Task) (*graph.Task, error)
}

// set is what an order came to.
type set struct {
	suffix string
	graph  *graph.Graph
	labels map[string]string
	toRun  []string
}

// create makes the tasks of an order, and what they depend on as far as it never ran in the push
// (taskgraph-map 18.4). It returns the ids by label, those of tasks that were reused too.
func (r *run) create(ctx context.Context, o order) (map[string]string, error) {
	toRun := slices.Compact(slices.Sorted(slices.Values(o.labels)))
	for _, label := range toRun {
		if !o.push.Full.Has(label) {
			return nil, unknownLabel(o.push, label)
		}
	}
	target, err := r.target(o, toRun)
	if err != nil {
		return nil, err
	}
	existing := make(map[string]any, len(o.push.LabelToTaskID))
	for label, id := range o.push.LabelToTaskID {
		existing[label] = id
	}
	p, err := o.push.Parameters.Merge(map[string]any{
		"existing_tasks": existing, "do_not_optimize": value.Anys(toRun), "optimize_target_tasks": true,
	})
	if err != nil {
		return nil, err
	}
	res, err := optimize.Run(ctx, optimize.Input{
		Target: target, Requested: toRun, Targets: toRun, Params: p, Star: r.Star, Index: r.Index, Now: r.Now,
		NewID:   func(label string) string { return taskgraph.TaskID(r.ActionTaskID, o.suffix+"\x00"+label) },
		RootURL: r.RootURL, DecisionTaskID: o.push.DecisionTaskID,
	})
	if err != nil {
		return nil, err
	}
	if err := r.submit(o, res.Graph); err != nil {
		return nil, err
	}
	r.sets = append(r.sets, set{suffix: o.suffix, graph: res.Graph, labels: res.LabelToTaskID, toRun: toRun})
	return res.LabelToTaskID, nil
}

// target is the graph of the labels and all they need, changed as the order wishes; each task names
// the action task as its parent and waits for it.
func (r *run) target(o order, toRun []string) (*graph.Graph, error) {
	closure := o.push.Full.Closure(toRun)
	tasks := make(map[string]*graph.Task, closure.Len())
	for label, t := range closure.All() {
		if o.modify != nil {
			var err error
			if t, err = o.modify(t); err != nil {
				return nil, err
			}
			if t.Label != label {
				return nil, fmt.Errorf("task %s must keep its label, not become %s", label, t.Label)
			}
		}
		tasks[label] = r.withParent(t)
	}
	return graph.New(tasks, closure.Edges())
}

func (r *run) withParent(t *graph.Task) *graph.Task {
	t = t.Clone()
	if t.Definition == nil {
		t.Definition = map[string]any{}
	}
	extra := maps.Clone(value.Map(t.Definition, "extra"))
	if extra == nil {
		extra = map[string]any{}
	}
	extra["parent"] = r.ActionTaskID
	t.Definition["extra"] = extra
	t.Definition["dependencies"] = value.Append(value.List(t.Definition, "dependencies"), r.ActionTaskID)
	return t
}

// submit adds the tasks of a graph to the effects.
func (r *run) submit(o order, g *graph.Graph) error {
	group := o.group
	if group == "" {
		group = o.push.DecisionTaskID
	}
	made := taskgraph.Result{Config: r.Config, Parameters: o.push.Parameters, Morphed: g}
	list, err := made.Submissions(r.Now, group)
	if err != nil {
		return err
	}
	if len(r.effects.Tasks)+len(list) > MaxTasks {
		return fmt.Errorf("asks for more than %d tasks; ask for fewer, or fewer times", MaxTasks)
	}
	for _, s := range list {
		r.effects.Tasks = append(r.effects.Tasks, NewTask(s))
	}
	return nil
}

// createTimes makes the labels several times. What they need is made once: what the first time made
// serves the others.
func (r *run) createTimes(ctx context.Context, o order, times int64) error {
	prefix, reuse := o.suffix, maps.Clone(o.push.LabelToTaskID)
	for i := range times {
		o.suffix = fmt.Sprintf("%s%d", prefix, i)
		o.push.LabelToTaskID = reuse
		made, err := r.create(ctx, o)
		if err != nil {
			return err
		}
		if i == 0 {
			reuse = maps.Clone(reuse)
			maps.Copy(reuse, made)
		}
	}
	return nil
}

func unknownLabel(p Push, label string) error {
	if near := graph.Nearest(label, p.Full.Keys()); near != "" {
		return fmt.Errorf("the graph of decision %s has no task %q; is %q meant?", p.DecisionTaskID, label, near)
	}
	return fmt.Errorf("the graph of decision %s has no task %q", p.DecisionTaskID, label)
}

// combine writes the artifacts of all sets: a single one without suffix, several each with its own
// and all together without (the chain of trust reads task-graph.json).
func (r *run) combine() error {
	whole := set{labels: map[string]string{}}
	tasks, edges := map[string]*graph.Task{}, []graph.Edge(nil)
	for _, s := range r.sets {
		if len(r.sets) > 1 {
			if err := r.write("-"+s.suffix, s); err != nil {
				return err
			}
		}
		for id, t := range s.graph.All() {
			tasks[id] = t
		}
		edges = append(edges, s.graph.Edges()...)
		maps.Copy(whole.labels, s.labels)
		whole.toRun = append(whole.toRun, s.toRun...)
	}
	if len(r.sets) == 0 {
		return nil
	}
	var err error
	if whole.graph, err = graph.New(tasks, edges); err != nil {
		return err
	}
	whole.toRun = slices.Compact(slices.Sorted(slices.Values(whole.toRun)))
	return r.write("", whole)
}

func (r *run) write(suffix string, s set) error {
	labels := make(map[string]any, len(s.labels))
	for label, id := range s.labels {
		labels[label] = id
	}
	var err error
	for name, v := range map[string]any{"label-to-taskid": labels, "to-run": value.Anys(s.toRun)} {
		if r.effects.Artifacts[name+suffix+".json"], err = graph.AppendJSON(nil, v); err != nil {
			return err
		}
	}
	r.effects.Artifacts["task-graph"+suffix+".json"], err = s.graph.MarshalIndent()
	return err
}
