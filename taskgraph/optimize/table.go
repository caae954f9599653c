package optimize

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// overlay adds the strategies of the parameter optimize_strategies: FILE.star:NAME, where NAME is a
// dict of strategy names. A value is a function, the name of another strategy, or a composition of
// those: {"any": […]}, {"all": […]}, {"not": …}, {strategy: argument}.
func (r *run) overlay(ctx context.Context) error {
	name := r.Params.String("optimize_strategies")
	if name == "" {
		return nil
	}
	file, global, ok := star.SplitName(name)
	if !ok || r.Star == nil {
		return fmt.Errorf("parameter optimize_strategies: %q is not of the form FILE.star:NAME of a file in the tree", name)
	}
	m, err := r.Star.Module(ctx, file)
	if err != nil {
		return fmt.Errorf("parameter optimize_strategies: %w", err)
	}
	table, err := m.Names(global)
	if err != nil {
		return fmt.Errorf("parameter optimize_strategies: %w", err)
	}
	all := maps.Clone(r.Strategies)
	d := definitions{names: map[string][]string{}}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		s, err := d.compose(key, table[key].Value, 0)
		if err != nil {
			return fmt.Errorf("parameter optimize_strategies: %s:%s[%q]: %w", file, global, key, err)
		}
		all[key] = s
	}
	if circle := d.circle(); circle != nil {
		return fmt.Errorf("parameter optimize_strategies: %s:%s: strategies stand for each other in a circle: %s", file, global, strings.Join(circle, " -> "))
	}
	r.Strategies = all
	return nil
}

// definitions are compositions under their names.
type definitions struct {
	names map[string][]string // name → the names that it is made of
}

// compose makes the strategy that a value of the table stands for. Where it gives a strategy no
// argument, that gets the task's own.
func (d definitions) compose(key string, v any, depth int) (Strategy, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("strategies nested more than %d deep", maxNesting)
	}
	switch v := v.(type) {
	case string:
		d.names[key] = append(d.names[key], v)
		return Alias(v), nil
	case map[string]any:
		return d.composition(key, v, depth)
	}
	return nil, fmt.Errorf("a strategy is a name, a function or a dict of one of these to its argument, not %s", value.Kind(v))
}

func (d definitions) composition(key string, m map[string]any, depth int) (Strategy, error) {
	split := false
	if v, has := m["split"]; has && len(m) == 2 {
		var ok bool
		if split, ok = v.(bool); !ok || m["any"] == nil && m["all"] == nil {
			return nil, fmt.Errorf("split is True or False, beside any or all")
		}
		m = maps.Clone(m)
		delete(m, "split")
	}
	if len(m) != 1 {
		return nil, fmt.Errorf("expected one {strategy: argument}, got %d keys", len(m))
	}
	for name, arg := range m {
		switch name {
		case "not":
			s, err := d.compose(key, arg, depth+1)
			return Not(s), err
		case "any", "all":
			subs, err := d.list(key, arg, depth+1)
			c := composite{any: name == "any", subs: subs}
			if split {
				c.split = parts
			}
			return c, err
		}
		d.names[key] = append(d.names[key], name)
		return fixed{Alias(name), arg}, nil
	}
	return nil, nil
}

func (d definitions) list(key string, v any, depth int) ([]Strategy, error) {
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return nil, fmt.Errorf("expected a list of strategies, got %s", value.Kind(v))
	}
	out := make([]Strategy, len(items))
	for i, item := range items {
		var err error
		if out[i], err = d.compose(key, item, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// parts is the argument of a composite that hands one part to each of its strategies.
func parts(arg any) []any {
	list, _ := arg.([]any)
	return list
}

// circle is a row of names of which each is made of the next, the first again at the end; nil for none.
func (d definitions) circle() []string {
	done := map[string]bool{}
	var row []string
	var walk func(name string) []string
	walk = func(name string) []string {
		if at := slices.Index(row, name); at >= 0 {
			return append(slices.Clone(row[at:]), name)
		}
		if done[name] {
			return nil
		}
		row = append(row, name)
		for _, next := range d.names[name] {
			if c := walk(next); c != nil {
				return c
			}
		}
		row = row[:len(row)-1]
		done[name] = true
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if c := walk(name); c != nil {
			return c
		}
	}
	return nil
}
