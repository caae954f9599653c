package action

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Definition is something people may do with a task or a task group.
type Definition struct {
	Name, Title, Symbol, Description string
	// Callback is cb_name: unique in a registry, while several actions may share a Name; of
	// those the first by Order that fits a task is meant.
	Callback   string
	Permission string
	Order      int
	Context    []any          // sets of tags; none: the whole group
	Schema     map[string]any // of the input; nil: takes none
	// File and Line say where the tree asks for the action; empty for those that every tree has.
	File string
	Line int

	hidden bool // not offered for this push, but may be run
	needs  func(input map[string]any) Needs
	run    func(ctx context.Context, r *run) error
}

// OnGroup reports whether the action is one on a whole task group.
func (d Definition) OnGroup() bool { return len(d.Context) == 0 }

// Kind is how the actions of a tree are started.
type Kind string

// The kinds of actions (taskcluster-map 15.5).
const (
	Hook Kind = "hook" // by a hook, with the hook's own rights
	Task Kind = "task" // by creating a task, with rights of who asks, limited to the decision's
)

// Registry holds the actions of a tree for one push, in order.
type Registry struct {
	kind    Kind
	actions []Definition
}

// Tree is what a registry is made from.
type Tree struct {
	Config *config.GraphConfig
	Params *params.Parameters
	Files  fs.FS       // nil: without Starlark
	Star   *star.Files // of Files; nil: loaded anew, print dropped
}

// New gives the actions of a tree for one push. Faults of the tree are *graph.Error.
func New(ctx context.Context, t Tree) (*Registry, error) {
	set, err := readSettings(t.Config)
	if err != nil {
		return nil, err
	}
	r := &Registry{kind: set.kind, actions: Builtin().actions}
	r.actions = append(r.actions, set.actions(t.Config, t.Params)...)
	more, err := starlarkActions(ctx, t)
	if err != nil {
		return nil, err
	}
	for _, d := range more {
		if was, ok := r.Lookup(d.Callback); ok {
			return nil, &graph.Error{File: d.File, Line: d.Line, Message: fmt.Sprintf("there is an action %q already (%s)", d.Callback, was.Title)}
		}
		r.actions = append(r.actions, d)
	}
	slices.SortStableFunc(r.actions, func(a, b Definition) int { return a.Order - b.Order })
	return r, r.disable(t.Config)
}

// Builtin are the actions that every tree has (taskgraph-map 18.3).
func Builtin() *Registry {
	r := &Registry{kind: Hook, actions: builtin()}
	slices.SortStableFunc(r.actions, func(a, b Definition) int { return a.Order - b.Order })
	return r
}

// All gives the actions that are offered, in the order in which people see them.
func (r *Registry) All() []Definition {
	return slices.DeleteFunc(slices.Clone(r.actions), func(d Definition) bool { return d.hidden })
}

// Lookup finds the action of a callback name, also one that is not offered for this push.
func (r *Registry) Lookup(callback string) (Definition, bool) {
	i := slices.IndexFunc(r.actions, func(d Definition) bool { return d.Callback == callback })
	if i < 0 {
		return Definition{}, false
	}
	return r.actions[i], true
}

// lookup is Lookup with an error that helps.
func (r *Registry) lookup(callback string) (Definition, error) {
	d, ok := r.Lookup(callback)
	if ok {
		return d, nil
	}
	names := r.callbacks()
	if near := graph.Nearest(callback, names); near != "" {
		return d, fmt.Errorf("there is no action %q; is %q meant?", callback, near)
	}
	return d, fmt.Errorf("there is no action %q (known: %s)", callback, strings.Join(names, ", "))
}

func (r *Registry) callbacks() []string {
	names := make([]string, len(r.actions))
	for i, d := range r.actions {
		names[i] = d.Callback
	}
	return names
}

// disable takes out what taskgraph.disabled-actions of config.yml names.
func (r *Registry) disable(c *config.GraphConfig) error {
	names := c.DisabledActions()
	for _, name := range names {
		if _, err := r.lookup(name); err != nil {
			return settingError(c, []string{"taskgraph", "disabled-actions"}, "taskgraph.disabled-actions: %v", err)
		}
	}
	r.actions = slices.DeleteFunc(r.actions, func(d Definition) bool { return slices.Contains(names, d.Callback) })
	return nil
}

// Matches reports whether the action fits a task with these tags: every pair of one of the sets of
// its context is among them (taskcluster-map 15.5).
func Matches(sets []any, tags map[string]string) bool {
	return slices.ContainsFunc(sets, func(v any) bool {
		set, ok := v.(map[string]any)
		if !ok {
			return false
		}
		for name, want := range set {
			if got, has := tags[name]; !has || got != want {
				return false
			}
		}
		return true
	})
}
