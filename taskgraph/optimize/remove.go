package optimize

import (
	"container/heap"
	"context"
	"slices"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// state is what phase A knows of a task.
type state uint8

const (
	unseen   state = iota
	deferred       // looked at, and about to go or to be open unless that changes before it must be settled
	gone
	open // goes unless something keeps it
	kept
)

// fate is a task's state with what decided it.
type fate struct {
	state    state
	judged   bool // the strategy was asked
	removes  bool // and said yes
	strategy string
	arg      any
	reason   string
}

// removal is phase A under way (taskgraph-map 14.2). Tasks are settled once all their dependents are.
// Of those that can be settled next, whatever stays is settled before anything that may go, so that an
// if-dependency that stays is known when its dependents' other dependencies are looked at.
type removal struct {
	*run
	g       *graph.Graph
	fates   []fate  // by position
	waiting []int32 // dependents not settled yet
	ready   []int32 // to be looked at
	later   positions
}

// remove is phase A.
func (r *run) remove(ctx context.Context) error {
	a := &removal{run: r, g: r.Target, fates: make([]fate, r.Target.Len()), waiting: make([]int32, r.Target.Len())}
	if _, err := a.g.Preorder(); err != nil { // a cycle
		return err
	}
	for i := range a.waiting {
		if a.waiting[i] = int32(len(a.g.UsersAt(i))); a.waiting[i] == 0 {
			a.ready = append(a.ready, int32(i))
		}
	}
	for len(a.ready) > 0 || len(a.later) > 0 {
		if err := a.step(ctx); err != nil {
			return err
		}
	}
	a.drag()
	for i, label := range a.g.Keys() {
		f := &a.fates[i]
		o := explain.Optimization{Label: label, Phase: "remove", Outcome: explain.Kept, Strategy: f.strategy, Arg: f.arg, Reason: f.reason}
		if f.state != kept {
			r.removed[label] = true
			o.Outcome = explain.Removed
		}
		r.Log.Optimize(o)
	}
	return nil
}

// step looks at one task, and settles it if it stays; without one to look at it settles one that goes.
func (a *removal) step(ctx context.Context) error {
	if len(a.ready) == 0 {
		i := heap.Pop(&a.later).(int32)
		if a.fates[i].state == deferred {
			a.settle(i, a.leave(i))
		}
		return nil
	}
	i := a.ready[0]
	a.ready = a.ready[1:]
	if s := a.fates[i].state; s != unseen && s != deferred {
		return nil
	}
	stays, err := a.judge(ctx, i)
	if err != nil {
		return err
	}
	if stays {
		a.settle(i, kept)
		return nil
	}
	if a.fates[i].state == unseen {
		a.fates[i].state = deferred
		heap.Push(&a.later, i)
	}
	return nil
}

// judge reports whether a task stays, seen from its dependents, and writes down why.
func (a *removal) judge(ctx context.Context, i int32) (stays bool, err error) {
	f, t := &a.fates[i], a.g.At(int(i))
	f.strategy, f.arg = t.Strategy()
	if why, fixed := a.dno[t.Label]; fixed {
		f.reason = why
		return true, nil
	}
	for _, user := range a.g.UsersAt(int(i)) {
		if s := a.fates[user].state; s == kept || s == open && !a.leans(user, t.Label) {
			f.reason = "needed by " + a.g.At(int(user)).Label
			return true, nil
		}
	}
	if !a.asked[t.Label] {
		f.removes, f.reason = true, "only there for tasks that were removed"
		return false, nil
	}
	if f.judged {
		return false, nil // it was deferred for what the strategy said
	}
	s, _, _, err := a.strategy(t)
	if err != nil {
		return false, err
	}
	v, err := s.Remove(ctx, a.env, t, f.arg)
	if err != nil {
		return false, fault(t, err)
	}
	f.judged, f.removes, f.reason = true, v.Yes, v.Reason
	if !v.Yes && len(t.IfDependencies) > 0 {
		f.reason = "none of its if-dependencies stays"
		return false, nil
	}
	return !v.Yes, nil
}

// leans reports whether the open task user would go together with label: label is one of its
// if-dependencies, or user was to be removed anyway and waits for its own dependents.
func (a *removal) leans(user int32, label string) bool {
	ifs := a.g.At(int(user)).IfDependencies
	return len(ifs) == 0 || slices.Contains(ifs, label)
}

// leave is the state of a task that does not stay: open if it may be kept yet, by its if-dependencies
// or by an open dependent.
func (a *removal) leave(i int32) state {
	if !a.fates[i].removes {
		return open
	}
	for _, user := range a.g.UsersAt(int(i)) {
		if a.fates[user].state == open {
			return open
		}
	}
	return gone
}

// settle gives a task its state, and makes its dependencies ready that wait for no other.
func (a *removal) settle(i int32, s state) {
	a.fates[i].state = s
	if s == kept {
		label := a.g.At(int(i)).Label
		for _, user := range a.g.UsersAt(int(i)) {
			if a.fates[user].state == open && slices.Contains(a.g.At(int(user)).IfDependencies, label) {
				a.release(user, "its if-dependency "+label+" stays")
			}
		}
	}
	for _, dep := range a.g.NeedsAt(int(i)) {
		if a.waiting[dep]--; a.waiting[dep] == 0 {
			a.ready = append(a.ready, dep)
		}
	}
}

// release keeps an open task for its if-dependency, and with it the open tasks with if-dependencies
// that depend on it.
func (a *removal) release(i int32, reason string) {
	a.fates[i].state, a.fates[i].reason = kept, reason
	for todo := []int32{i}; len(todo) > 0; {
		at := todo[0]
		todo = todo[1:]
		for _, dep := range a.g.NeedsAt(int(at)) {
			if a.fates[dep].state == deferred {
				a.ready = append(a.ready, dep) // it stays now
			}
		}
		for _, user := range a.g.UsersAt(int(at)) {
			if f := &a.fates[user]; f.state == open && len(a.g.At(int(user)).IfDependencies) > 0 {
				f.state, f.reason = kept, "depends on "+a.g.At(int(at)).Label+", which stays"
				todo = append(todo, user)
			}
		}
	}
}

// drag keeps the open tasks that kept ones depend on.
func (a *removal) drag() {
	var todo []int32
	for i := range a.fates {
		if a.fates[i].state == kept {
			todo = append(todo, int32(i))
		}
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, dep := range a.g.NeedsAt(int(at)) {
			if f := &a.fates[dep]; f.state == open {
				f.state, f.reason = kept, "needed by "+a.g.At(int(at)).Label
				todo = append(todo, dep)
			}
		}
	}
}

// positions is a heap of positions, the least on top.
type positions []int32

func (p positions) Len() int           { return len(p) }
func (p positions) Less(i, k int) bool { return p[i] < p[k] }
func (p positions) Swap(i, k int)      { p[i], p[k] = p[k], p[i] }
func (p *positions) Push(x any)        { *p = append(*p, x.(int32)) }
func (p *positions) Pop() any {
	old := *p
	x := old[len(old)-1]
	*p = old[:len(old)-1]
	return x
}
