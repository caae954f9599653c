package optimize

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Any is the strategy that removes, or replaces, when one of subs does; the first that does
// decides. split gives each sub its argument; nil gives all of them the whole.
func Any(split func(arg any) []any, subs ...Strategy) Strategy {
	return composite{any: true, split: split, subs: subs}
}

// All is the strategy that removes, or replaces, when each of subs does; the first replacement
// counts.
func All(split func(arg any) []any, subs ...Strategy) Strategy {
	return composite{split: split, subs: subs}
}

// Not is the strategy that removes what sub keeps; it replaces nothing.
func Not(sub Strategy) Strategy { return inverse{sub: sub} }

// Alias is the strategy registered under another name; the name is looked up at each use.
func Alias(name string) Strategy { return alias(name) }

type composite struct {
	any   bool
	split func(arg any) []any
	subs  []Strategy
}

func (c composite) arg(arg any, i int) (any, error) {
	if c.split == nil {
		return arg, nil
	}
	args := c.split(arg)
	if len(args) != len(c.subs) {
		return nil, fmt.Errorf("a composite of %d strategies got %d arguments", len(c.subs), len(args))
	}
	return args[i], nil
}

func (c composite) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	var why []string
	for i, s := range c.subs {
		a, err := c.arg(arg, i)
		if err != nil {
			return Verdict{}, err
		}
		v, err := s.Remove(ctx, env, t, a)
		if err != nil || v.Yes == c.any {
			return v, err
		}
		why = append(why, v.Reason)
	}
	return Verdict{Yes: !c.any && len(c.subs) > 0, Reason: strings.Join(why, "; ")}, nil
}

func (c composite) Replace(ctx context.Context, env *Env, t *graph.Task, arg any, deadline time.Time) (Replacement, error) {
	var first Replacement
	var why []string
	for i, s := range c.subs {
		a, err := c.arg(arg, i)
		if err != nil {
			return Replacement{}, err
		}
		v, err := s.Replace(ctx, env, t, a, deadline)
		if err != nil {
			return Replacement{}, err
		}
		switch found := v.TaskID != ""; {
		case found == c.any:
			return v, nil
		case found && first.TaskID == "":
			first = v
		case v.Reason != "":
			why = append(why, v.Reason)
		}
	}
	if first.TaskID != "" {
		return first, nil
	}
	return Replacement{Reason: strings.Join(why, "; ")}, nil
}

// IndexPaths implements Searcher for the subs that search.
func (c composite) IndexPaths(env *Env, arg any) ([]string, error) {
	var out []string
	for i, s := range c.subs {
		a, err := c.arg(arg, i)
		if err != nil {
			return nil, err
		}
		w, ok := s.(Searcher)
		if !ok {
			continue
		}
		list, err := w.IndexPaths(env, a)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

type inverse struct {
	stays
	sub Strategy
}

func (n inverse) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	v, err := n.sub.Remove(ctx, env, t, arg)
	return Verdict{Yes: !v.Yes, Reason: "not: " + v.Reason}, err
}

type alias string

func (a alias) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	s, err := env.Strategy(string(a))
	if err != nil {
		return Verdict{}, err
	}
	return s.Remove(ctx, env, t, arg)
}

func (a alias) Replace(ctx context.Context, env *Env, t *graph.Task, arg any, deadline time.Time) (Replacement, error) {
	s, err := env.Strategy(string(a))
	if err != nil {
		return Replacement{}, err
	}
	return s.Replace(ctx, env, t, arg, deadline)
}

// IndexPaths implements Searcher.
func (a alias) IndexPaths(env *Env, arg any) ([]string, error) {
	s, err := env.Strategy(string(a))
	if err != nil {
		return nil, err
	}
	if w, ok := s.(Searcher); ok {
		return w.IndexPaths(env, arg)
	}
	return nil, nil
}

// maxNesting bounds strategies within strategies.
const maxNesting = 20

// named reads {strategy: arg}.
func named(env *Env, v any, depth int) (Strategy, any, error) {
	m, ok := v.(map[string]any)
	if !ok || len(m) != 1 {
		return nil, nil, fmt.Errorf("expected one {strategy: argument}, got %s", value.Kind(v))
	}
	if depth > maxNesting {
		return nil, nil, fmt.Errorf("strategies nested more than %d deep", maxNesting)
	}
	for name, arg := range m {
		switch name {
		case "any", "all":
			c, err := list(env, name == "any", arg, depth+1)
			return c, nil, err
		case "not":
			s, a, err := named(env, arg, depth+1)
			return Not(fixed{s, a}), nil, err
		}
		s, err := env.Strategy(name)
		return s, arg, err
	}
	return nil, nil, nil
}

// list reads [{strategy: arg}, …] as a composite whose arguments are fixed.
func list(env *Env, any bool, arg any, depth int) (Strategy, error) {
	items, ok := arg.([]interface{})
	if !ok || len(items) == 0 {
		return nil, fmt.Errorf("expected a list of {strategy: argument}, got %s", value.Kind(arg))
	}
	c := composite{any: any}
	for _, item := range items {
		s, a, err := named(env, item, depth)
		if err != nil {
			return nil, err
		}
		c.subs = append(c.subs, fixed{s, a})
	}
	return c, nil
}

// fixed is a strategy with its argument.
type fixed struct {
	s   Strategy
	arg any
}

func (f fixed) Remove(ctx context.Context, env *Env, t *graph.Task, _ any) (Verdict, error) {
	return f.s.Remove(ctx, env, t, f.arg)
}

func (f fixed) Replace(ctx context.Context, env *Env, t *graph.Task, _ any, deadline time.Time) (Replacement, error) {
	return f.s.Replace(ctx, env, t, f.arg, deadline)
}

// IndexPaths implements Searcher.
func (f fixed) IndexPaths(env *Env, _ any) ([]string, error) {
	if w, ok := f.s.(Searcher); ok {
		return w.IndexPaths(env, f.arg)
	}
	return nil, nil
}

// listed is the strategy any or all as kinds write it: the argument is a list of
// {strategy: argument}.
type listed struct{ any bool }

func (l listed) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	c, err := list(env, l.any, arg, 0)
	if err != nil {
		return Verdict{}, err
	}
	return c.Remove(ctx, env, t, nil)
}

func (l listed) Replace(ctx context.Context, env *Env, t *graph.Task, arg any, deadline time.Time) (Replacement, error) {
	c, err := list(env, l.any, arg, 0)
	if err != nil {
		return Replacement{}, err
	}
	return c.Replace(ctx, env, t, nil, deadline)
}

// IndexPaths implements Searcher.
func (l listed) IndexPaths(env *Env, arg any) ([]string, error) {
	c, err := list(env, l.any, arg, 0)
	if err != nil {
		return nil, err
	}
	return c.(composite).IndexPaths(env, nil)
}

// negated is the strategy not as kinds write it: the argument is {strategy: argument}.
type negated struct{ stays }

func (negated) Remove(ctx context.Context, env *Env, t *graph.Task, arg any) (Verdict, error) {
	s, a, err := named(env, arg, 0)
	if err != nil {
		return Verdict{}, err
	}
	return Not(s).Remove(ctx, env, t, a)
}
