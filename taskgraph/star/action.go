package star

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// ActionDef is an action that a file of the tree registered by calling action(…), as it stands
// for one push (taskgraph-map 18.1).
type ActionDef struct {
	Name, Title, Symbol, Description string
	Callback                         string // cb_name: unique among the actions of a tree
	Permission                       string
	Order                            int
	Context                          []any          // sets of tags; none: the whole group
	Schema                           map[string]any // of the input; nil: takes none
	Available                        bool           // whether people see it for this push
	File                             string         // where action(…) is called
	Line                             int

	module   *Module
	callback *starlark.Function
}

// ActionConfig is what the functions of a registration see: available and context get Params,
// schema gets GraphConfig.
type ActionConfig struct{ Params, GraphConfig map[string]any }

// ActionFiles are the files of a tree that may register actions: actions.star and actions/*.star
// of root, the directory of config.yml; files of tests are left out. They come sorted.
func ActionFiles(tree fs.FS, root string) ([]string, error) {
	var out []string
	for _, pattern := range []string{"actions.star", "actions/*.star"} {
		found, err := fs.Glob(tree, path.Join(root, pattern))
		if err != nil {
			return nil, fmt.Errorf("star: actions of %s: %w", root, err)
		}
		for _, name := range found {
			if !strings.HasSuffix(name, TestSuffix) {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// Actions loads files and gives the actions that they register, by order, then as registered.
// Two actions with one callback name are an error. Errors are *Error.
func (f *Files) Actions(ctx context.Context, files []string, c ActionConfig) ([]ActionDef, error) {
	var out []ActionDef
	seen := map[string]*registration{}
	for _, name := range files {
		m, err := f.Module(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, r := range m.actions {
			if was := seen[r.callbackName]; was != nil {
				if was.pos == r.pos { // of a file that several load
					continue
				}
				return nil, r.errorf("the action %q is registered twice; also in %s", r.callbackName, was.pos)
			}
			seen[r.callbackName] = r
			d, err := m.define(ctx, r, c)
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b ActionDef) int { return a.Order - b.Order })
	return out, nil
}

// RunAction runs the callback of the action that has this callback name and gives the effects it
// asks for; nothing has happened yet. Errors are *Error.
func (f *Files) RunAction(ctx context.Context, files []string, callback string, call ActionCall) ([]Effect, error) {
	all, err := f.Actions(ctx, files, ActionConfig{Params: call.Params, GraphConfig: call.GraphConfig})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(d ActionDef) bool { return d.Callback == callback })
	if i < 0 {
		return nil, fmt.Errorf("star: no file of the tree registers the action %q (looked in %s)", callback, strings.Join(files, ", "))
	}
	return all[i].Run(ctx, call)
}

// registration is one call of action(…).
type registration struct {
	ActionDef
	pos                        syntax.Position
	callbackName               string
	available, context, schema *starlark.Function // nil: the value stands in ActionDef
}

func (r *registration) errorf(format string, args ...any) error {
	e := &Error{Function: "action", Message: fmt.Sprintf(format, args...)}
	e.at(r.pos)
	return e
}

// maxSymbol bounds the symbols of actions (taskgraph-map 18.1).
const maxSymbol = 25

// maxActions is how many actions one file, with those it loads, may register.
const maxActions = 1000

// register is action(…).
func register(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	budget := bounded.BudgetOf(t)
	if around(budget).actions == nil {
		return nil, errors.New("action: can be called only while the file is loaded, not by a function that is used later")
	}
	r := &registration{pos: t.CallFrame(1).Pos, ActionDef: ActionDef{Order: 10000, Permission: "generic", Available: true, Context: []any{}}}
	var contexts, schema, available starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &r.Name, "title", &r.Title, "callback", &r.callback, "symbol?", &r.Symbol,
		"description?", &r.Description, "context?", &contexts, "schema?", &schema, "permission?", &r.Permission, "order?", &r.Order,
		"available?", &available, "cb_name?", &r.Callback); err != nil {
		return nil, err
	}
	if r.Callback == "" {
		r.Callback = r.Name
	}
	r.callbackName, r.File, r.Line = r.Callback, r.pos.Filename(), int(r.pos.Line)
	switch {
	case r.Name == "" || r.Title == "":
		return nil, errors.New("action: name and title must not be empty")
	case strings.Contains(r.Permission, "/"):
		return nil, fmt.Errorf("action %q: the permission %q holds a slash", r.Name, r.Permission)
	case len(r.Symbol) > maxSymbol && !strings.Contains(r.Symbol, "$"):
		return nil, fmt.Errorf("action %q: the symbol %q has more than %d characters", r.Name, cut(r.Symbol), maxSymbol)
	case r.callback.NumParams() != 1:
		return nil, fmt.Errorf("action %q: the callback %s takes %d parameters, but is called with 1, the context", r.Name, r.callback.Name(), r.callback.NumParams())
	}
	if err := r.options(budget, contexts, schema, available); err != nil {
		return nil, fmt.Errorf("action %q: %w", r.Name, err)
	}
	if len(*around(budget).actions) >= maxActions {
		return nil, bounded.Limitf("registers more than %d actions", maxActions)
	}
	*around(budget).actions = append(*around(budget).actions, r)
	return starlark.None, nil
}

// options takes what may be a value or a function that gives it.
func (r *registration) options(b *bounded.Budget, contexts, schema, available starlark.Value) (err error) {
	switch v := available.(type) {
	case nil, starlark.NoneType:
	case starlark.Bool:
		r.Available = bool(v)
	case *starlark.Function:
		r.available = v
	default:
		return fmt.Errorf("available is a %s, not a function or a bool", v.Type())
	}
	switch v := contexts.(type) {
	case nil:
	case *starlark.Function:
		r.context = v
	default:
		if r.Context, err = tagSets(b, v); err != nil {
			return err
		}
	}
	switch v := schema.(type) {
	case nil:
	case *starlark.Function:
		r.schema = v
	default:
		r.Schema, err = schemaOf(b, v)
	}
	return err
}

// tagSets checks a context: a list of dicts of texts.
func tagSets(b *bounded.Budget, v starlark.Value) ([]any, error) {
	x, err := b.FromStarlark().Value(v, nil)
	if err != nil {
		return nil, fmt.Errorf("context: %w", err)
	}
	list, ok := x.([]any)
	if !ok {
		return nil, fmt.Errorf("context is a %s, not a list of dicts of tags", v.Type())
	}
	for i, e := range list {
		tags, ok := e.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("context[%d] is not a dict of tags", i)
		}
		for _, key := range slices.Sorted(maps.Keys(tags)) {
			if _, ok := tags[key].(string); !ok {
				return nil, fmt.Errorf("context[%d][%q] is not a string, as tags are", i, key)
			}
		}
	}
	return list, nil
}

func schemaOf(b *bounded.Budget, v starlark.Value) (map[string]any, error) {
	x, err := b.FromStarlark().Value(v, nil)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	m, ok := x.(map[string]any)
	if x != nil && !ok {
		return nil, fmt.Errorf("schema is a %s, not a dict or None", v.Type())
	}
	return m, nil
}

// define asks the functions of a registration for one push.
func (m *Module) define(ctx context.Context, r *registration, c ActionConfig) (ActionDef, error) {
	d := r.ActionDef
	d.module, d.callback = m, r.callback
	for _, ask := range []struct {
		fn   *starlark.Function
		with map[string]any
		take func(*bounded.Budget, starlark.Value) error
	}{
		{r.available, c.Params, func(_ *bounded.Budget, v starlark.Value) error { d.Available = bool(v.Truth()); return nil }},
		{r.context, c.Params, func(b *bounded.Budget, v starlark.Value) (err error) { d.Context, err = tagSets(b, v); return err }},
		{r.schema, c.GraphConfig, func(b *bounded.Budget, v starlark.Value) (err error) { d.Schema, err = schemaOf(b, v); return err }},
	} {
		if ask.fn == nil {
			continue
		}
		v := m.invokeFunction(ctx, ask.fn, 0)
		arg, err := bounded.LazyField(ask.with)()
		if err != nil {
			return d, v.fail(err)
		}
		out, err := v.call(arg)
		if err != nil {
			return d, err
		}
		if err := ask.take(v.budget, out); err != nil {
			return d, v.fail(fmt.Errorf("action %q: %w", d.Name, err))
		}
	}
	return d, nil
}
