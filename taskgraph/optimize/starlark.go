package optimize

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// starStrategy is a function of the tree.
type starStrategy struct {
	stays
	name, file, fn string
}

func (s starStrategy) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	f, err := env.starFunction(ctx, s)
	if err != nil {
		return Verdict{}, err
	}
	yes, why, err := f.Removes(t.Label, t.JSON(), arg)
	if err != nil {
		return Verdict{}, err
	}
	if why == "" {
		why = fmt.Sprintf("%s says so", s.name)
	}
	return Verdict{Yes: yes, Reason: why}, nil
}

func (e *Env) starFunction(ctx context.Context, s starStrategy) (*star.Strategy, error) {
	if f, ok := e.star[s.name]; ok {
		return f, nil
	}
	m, err := e.run.Star.Module(ctx, s.file)
	if err != nil {
		return nil, err
	}
	f, err := m.Strategy(ctx, s.fn, e.Params.Map(), e.run.Target.Len())
	if err != nil {
		return nil, err
	}
	e.star[s.name] = f
	return f, nil
}
