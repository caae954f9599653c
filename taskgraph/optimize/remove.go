package optimize

import (
	"context"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// state is what phase A knows of a task.
type state int

const (
	gone state = iota
	open       // goes unless something keeps it
	kept
)

// fate is a task's state with what decided it.
type fate struct {
	state    state
	strategy string
	arg      any
	reason   string
}

// remove is phase A.
func (r *run) remove(ctx context.Context) error {
	order, err := r.Target.Preorder()
	if err != nil {
		return err
	}
	fates := make(map[string]*fate, len(order))
	for _, label := range order {
		f, err := r.judge(ctx, label, fates)
		if err != nil {
			return err
		}
		fates[label] = f
	}
	r.settleOpen(order, fates)
	for _, label := range r.Target.Keys() {
		f := fates[label]
		o := explain.Optimization{Label: label, Phase: "remove", Outcome: explain.Kept, Strategy: f.strategy, Arg: f.arg, Reason: f.reason}
		if f.state != kept {
			r.removed[label] = true
			o.Outcome = explain.Removed
		}
		r.Log.Optimize(o)
	}
	return nil
}

// judge decides about one task, seen from its dependents, which were judged before.
func (r *run) judge(ctx context.Context, label string, fates map[string]*fate) (*fate, error) {
	t := r.Target.Task(label)
	name, arg := t.Strategy()
	f := &fate{strategy: name, arg: arg}
	if why, fixed := r.dno[label]; fixed {
		f.state, f.reason = kept, why
		return f, nil
	}
	waiting := "" // an open dependent, which does not keep its dependency by itself
	for _, user := range r.Target.Users(label) {
		switch uf := fates[user]; {
		case uf.state == gone:
		case uf.state == open && leans(r.Target.Task(user), label):
			waiting = user
		default:
			f.state, f.reason = kept, "needed by "+user
			return f, nil
		}
	}
	if !r.asked[label] {
		f.state, f.reason = gone, "only there for tasks that were removed"
	} else {
		s, _, _, err := r.strategy(t)
		if err != nil {
			return nil, err
		}
		v, err := s.Remove(ctx, r.env, t, arg)
		if err != nil {
			return nil, fault(t, err)
		}
		f.reason = v.Reason
		if !v.Yes {
			f.state = kept
			if len(t.IfDependencies) > 0 {
				f.state, f.reason = open, "none of its if-dependencies stays"
			}
		}
	}
	if f.state == gone && waiting != "" {
		f.state = open
	}
	return f, nil
}

// leans reports whether the open task user would go together with label: label is one of its
// if-dependencies, or user was to be removed anyway and waits for its own dependents.
func leans(user *graph.Task, label string) bool {
	return len(user.IfDependencies) == 0 || slices.Contains(user.IfDependencies, label)
}

// settleOpen spreads "kept" over open tasks until nothing changes.
func (r *run) settleOpen(order []string, fates map[string]*fate) {
	var todo []string
	conditional := map[string][]string{} // if-dependency → open tasks that name it
	for _, label := range order {
		switch fates[label].state {
		case kept:
			todo = append(todo, label)
		case open:
			for _, dep := range r.Target.Task(label).IfDependencies {
				conditional[dep] = append(conditional[dep], label)
			}
		}
	}
	keep := func(label, reason string) {
		if f := fates[label]; f != nil && f.state != kept {
			f.state, f.reason = kept, reason
			todo = append(todo, label)
		}
	}
	for len(todo) > 0 {
		label := todo[0]
		todo = todo[1:]
		for _, user := range conditional[label] {
			keep(user, "its if-dependency "+label+" stays")
		}
		for _, dep := range r.Target.Needs(label) {
			keep(dep, "needed by "+label)
		}
	}
}
