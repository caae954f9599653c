package taskgraph

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Hooks are what config.yml lets the tree say before there is a graph (taskgraph-map 2.2):
// taskgraph.register, which declares parameters of the tree's own, and
// taskgraph.decision-parameters, which changes the parameters of a decision. Both name a Starlark
// function of the tree.
type Hooks struct {
	config *config.GraphConfig
	star   *star.Files
	own    params.Own
}

// ReadHooks reads the configuration of tree and calls its register function, if it has one. root
// is the directory of config.yml, "" to look for it. say gets what the functions print; nil
// drops it.
func ReadHooks(ctx context.Context, tree fs.FS, root string, say func(line string)) (*Hooks, error) {
	var err error
	if root == "" {
		if root, err = config.FindRoot(tree); err != nil {
			return nil, err
		}
	}
	c, err := config.Load(tree, root)
	if err != nil {
		return nil, err
	}
	h := &Hooks{config: c, star: star.NewFiles(tree, star.Options{Print: say})}
	m, fn, err := h.module(ctx, "register")
	if m == nil || err != nil {
		return h, err
	}
	said, err := m.Register(ctx, fn, c.Values)
	if err != nil {
		return nil, located("taskgraph.register", err)
	}
	for key := range said {
		if key != "parameters" {
			return nil, hookFault(h.config, "register", "%s gives %q, which is not known; known is parameters", fn, key)
		}
	}
	declared, ok := said["parameters"].(map[string]any)
	if said["parameters"] != nil && !ok {
		return nil, hookFault(h.config, "register", "%s gives parameters that are no dict of name to {type, default, optional}", fn)
	}
	if h.own, err = params.ReadOwn(declared); err != nil {
		return nil, hookFault(h.config, "register", "%v", err)
	}
	return h, nil
}

// Config is the configuration that was read.
func (h *Hooks) Config() *config.GraphConfig { return h.config }

// Own are the parameters that the tree declares.
func (h *Hooks) Own() params.Own { return h.own }

// Decide makes the strict parameters of a decision: those of the event, as the hook of the tree
// changes them, then over, which wins over everything (taskgraph-map 12.4).
func (h *Hooks) Decide(ctx context.Context, d params.Decision, over map[string]any) (*params.Parameters, error) {
	d.Own = h.own
	values := d.Values()
	m, fn, err := h.module(ctx, "decision-parameters")
	if err != nil {
		return nil, err
	}
	if m != nil {
		if values, err = m.Parameters(ctx, fn, h.config.Values, values); err != nil {
			return nil, located("taskgraph.decision-parameters", err)
		}
	}
	for key, v := range over {
		values[key] = v
	}
	p, err := params.New(values, params.Options{Strict: true, Own: h.own})
	if err != nil && m != nil && over == nil {
		return nil, hookFault(h.config, "decision-parameters", "after %s: %v", fn, err)
	}
	return p, err
}

// module finds the file of the hook at taskgraph.key; nil without that hook, and for a function
// in Python, of which Generate warns.
func (h *Hooks) module(ctx context.Context, key string) (*star.Module, string, error) {
	name, _ := h.config.Get("taskgraph." + key).(string)
	file, fn, ok := star.SplitName(name)
	if !ok {
		return nil, "", nil
	}
	m, err := h.star.Module(ctx, file)
	if err != nil {
		return nil, "", located("taskgraph."+key, err)
	}
	return m, fn, nil
}

// hookWarnings tells of hooks that are not Starlark: they are not run.
func hookWarnings(c *config.GraphConfig) []*graph.Error {
	var out []*graph.Error
	for _, key := range []string{"register", "decision-parameters"} {
		name, _ := c.Get("taskgraph." + key).(string)
		if name == "mozilla_taskgraph:register" {
			continue // what it registers is built in
		}
		if _, _, ok := star.SplitName(name); name != "" && !ok {
			out = append(out, hookFault(c, key, "%q is not run: hooks are Starlark functions of the tree, named as path/file.star:function", name))
		}
	}
	return out
}

func hookFault(c *config.GraphConfig, key, format string, args ...any) *graph.Error {
	line := c.File.Root().Child("taskgraph").Key(key).Line()
	return &graph.Error{File: c.File.Path, Line: line, Message: "taskgraph." + key + ": " + fmt.Sprintf(format, args...)}
}

// located makes the generator's common error of one of Starlark.
func located(what string, err error) error {
	if e, ok := errors.AsType[*star.Error](err); ok {
		return &graph.Error{File: e.File, Line: e.Line, Message: what, Err: err}
	}
	return fmt.Errorf("%s: %w", what, err)
}
