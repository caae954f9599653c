package star

import (
	"context"
	"maps"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Register calls fn(graph_config), the function that taskgraph.register of config.yml names, and
// gives the dict it returns; nil for None.
func (m *Module) Register(ctx context.Context, fn string, graphConfig map[string]any) (map[string]any, error) {
	v, err := m.invoke(ctx, fn, 1)
	if err != nil {
		return nil, err
	}
	config, err := bounded.LazyField(graphConfig)()
	if err != nil {
		return nil, v.fail(err)
	}
	res, err := v.call(config)
	if err != nil {
		return nil, err
	}
	return v.dict(res, nil)
}

// Parameters calls fn(graph_config, parameters), the function that taskgraph.decision-parameters
// of config.yml names. It may change parameters in place and return None, or return a dict of
// what it changes. The parameters as they then are come back; those given are not changed.
func (m *Module) Parameters(ctx context.Context, fn string, graphConfig, parameters map[string]any) (map[string]any, error) {
	v, err := m.invoke(ctx, fn, len(parameters))
	if err != nil {
		return nil, err
	}
	config, err := bounded.LazyField(graphConfig)()
	if err != nil {
		return nil, v.fail(err)
	}
	given, err := bounded.ToStarlark(parameters)
	if err != nil {
		return nil, v.fail(err)
	}
	res, err := v.call(config, given)
	if err != nil {
		return nil, err
	}
	out, err := v.dict(given, parameters)
	if err != nil {
		return nil, err
	}
	more, err := v.dict(res, nil)
	if len(more) > 0 {
		out = maps.Clone(out) // may be parameters itself
	}
	for key, x := range more {
		out[key] = x
	}
	return out, err
}

// dict gives the plain values of a dict, nil for None.
func (v *invocation) dict(x starlark.Value, was map[string]any) (map[string]any, error) {
	if x == starlark.None {
		return nil, nil
	}
	if !bounded.IsDict(x) {
		return nil, v.fail(v.gave(x, "a dict or None"))
	}
	out, err := v.budget.FromStarlark().Mapping(x, was)
	if err != nil {
		return nil, v.fail(err)
	}
	return out, nil
}
