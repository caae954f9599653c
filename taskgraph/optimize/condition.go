package optimize

import (
	"context"
	"fmt"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph/cond"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// when keeps a task for which a condition (package cond) holds, and removes others.
type when struct {
	stays
	scope *whenScope
}

// whenScope is what the conditions of one run share, made when the first is met.
type whenScope struct {
	once     sync.Once
	scope    *cond.Scope
	compiled sync.Map // text → *cond.Condition
}

func newWhen() when { return when{scope: &whenScope{}} }

// Remove implements Strategy.
func (w when) Remove(_ context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	text, ok := arg.(string)
	if !ok {
		return Verdict{}, fmt.Errorf("when: must be a condition, not %s", value.Kind(arg))
	}
	w.scope.once.Do(func() { w.scope.scope = cond.NewScope(env.Params) })
	v, ok := w.scope.compiled.Load(text)
	if !ok {
		c, err := cond.Compile(text)
		if err != nil {
			return Verdict{}, fmt.Errorf("when: %w", err)
		}
		v, _ = w.scope.compiled.LoadOrStore(text, c)
	}
	holds, err := v.(*cond.Condition).Eval(w.scope.scope, t.Kind, t.Label, t.JSON())
	if err != nil {
		return Verdict{}, fmt.Errorf("when: %w", err)
	}
	if holds {
		return Verdict{Reason: "when: holds: " + text}, nil
	}
	return Verdict{Yes: true, Reason: "when: does not hold: " + text}, nil
}
