package star

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/keyedby"
	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// perChoice is how many steps each value of a choice costs.
const perChoice = 200

// choice is a resolution of by-… choices in Starlark values (taskgraph-map 6).
type choice struct {
	b          *bounded.Budget
	thread     *starlark.Thread
	what       string // the place in errors
	attributes []starlark.Tuple
	item       starlark.HasSetKey // further attributes; nil: none
	options    keyedby.Options
}

// Lookup finds an attribute: those given by name come before the keys of the item.
func (c *choice) Lookup(name string) (any, bool) {
	var v starlark.Value
	for _, kv := range c.attributes {
		if s, _ := starlark.AsString(kv[0]); s == name {
			v = kv[1]
		}
	}
	if v == nil && c.item != nil {
		v, _, _ = c.item.Get(starlark.String(name))
	}
	if v == nil {
		return nil, false
	}
	x, err := c.b.FromStarlark().Value(v, nil)
	return x, err == nil
}

// resolve gives what v comes to; changed is false when it is no choice.
func (c *choice) resolve(v starlark.Value) (out starlark.Value, changed bool, err error) {
	if starlark.Len(v) != 1 {
		return v, false, nil
	}
	if d, ok := bounded.AsDict(v); !ok || !bounded.IsKeyedBy(d) {
		return v, false, nil
	}
	w, err := c.b.Measure(c.thread, v)
	if err != nil {
		return nil, false, err
	}
	c.thread.Steps += uint64(perChoice * w.Values()) // its keys may be regular expressions
	x, err := c.b.FromStarlark().Value(v, nil)
	if err != nil {
		return nil, false, err
	}
	if x, err = around(c.b).resolver.Evaluate(x, c.what, c, c.options); err != nil {
		return nil, false, err
	}
	out, err = c.b.Given(c.thread, x)
	return out, true, err
}

// split takes what is not an attribute out of kwargs.
func (c *choice) split(kwargs []starlark.Tuple) error {
	for _, kv := range kwargs {
		switch name, _ := starlark.AsString(kv[0]); name {
		case "defer":
			list, ok := kv[1].(*starlark.List)
			if !ok {
				return fmt.Errorf("defer is a %s, not a list of names", kv[1].Type())
			}
			for i := range list.Len() {
				s, ok := starlark.AsString(list.Index(i))
				if !ok {
					return fmt.Errorf("defer[%d] is a %s, not a string", i, list.Index(i).Type())
				}
				c.options.Defer = append(c.options.Defer, s)
			}
		case "enforce_single_match":
			c.options.AllowSeveral = !bool(kv[1].Truth())
		default:
			c.attributes = append(c.attributes, kv)
		}
	}
	return nil
}

// keyedBy is keyed_by(value, what, **attributes).
func keyedBy(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("%s: wants the value and what it is, then attributes by name", b.Name())
	}
	what, ok := starlark.AsString(args[1])
	if !ok {
		return nil, fmt.Errorf("%s: what the value is must be a string, got %s", b.Name(), args[1].Type())
	}
	c := choice{b: bounded.BudgetOf(t), thread: t, what: "`" + what + "`"}
	if err := c.split(kwargs); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	v, _, err := c.resolve(args[0])
	return v, err
}

// resolveKeyedBy is resolve_keyed_by(item, field, item_name, **attributes): it changes item in
// place at exactly the dotted field, "[]" meaning each element of a list.
func resolveKeyedBy(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) != 3 {
		return nil, fmt.Errorf("%s: wants the item, the field and the item's name, then attributes by name", b.Name())
	}
	item, ok := args[0].(starlark.HasSetKey)
	field, ok2 := starlark.AsString(args[1])
	name, ok3 := starlark.AsString(args[2])
	if !ok || !bounded.IsDict(args[0]) || !ok2 || !ok3 || field == "" {
		return nil, fmt.Errorf("%s: wants a dict, a field and a name, got %s, %s, %s", b.Name(), args[0].Type(), args[1].Type(), args[2].Type())
	}
	c := choice{b: bounded.BudgetOf(t), thread: t, what: "`" + field + "` in `" + name + "`", item: item}
	if err := c.split(kwargs); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return args[0], c.at(item, strings.Split(field, "."))
}

// at resolves what stands at path in d; a path that is not there is left alone.
func (c *choice) at(d starlark.HasSetKey, path []string) error {
	key, each := strings.CutSuffix(path[0], "[]")
	v, there, err := d.Get(starlark.String(key))
	if err != nil || !there {
		return err
	}
	if !each && len(path) == 1 {
		x, changed, err := c.resolve(v)
		if err != nil || !changed {
			return err
		}
		return d.SetKey(starlark.String(key), x)
	}
	if !each {
		if inner, ok := v.(starlark.HasSetKey); ok && bounded.IsDict(v) {
			return c.at(inner, path[1:])
		}
		return nil
	}
	list, ok := v.(*starlark.List)
	if !ok {
		return nil
	}
	if len(path) == 1 {
		return c.elements(list)
	}
	for i := range list.Len() {
		inner, ok := list.Index(i).(starlark.HasSetKey)
		if !ok || !bounded.IsDict(inner) {
			return fmt.Errorf("%s: %s[%d] is a %s, not a dict", c.what, key, i, list.Index(i).Type())
		}
		if err := c.at(inner, path[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (c *choice) elements(list *starlark.List) error {
	for i := range list.Len() {
		x, changed, err := c.resolve(list.Index(i))
		if err != nil {
			return err
		}
		if !changed {
			continue
		}
		if err := list.SetIndex(i, x); err != nil {
			return err
		}
	}
	return nil
}

// deepGet is deep_get(item, path, default=None): what stands at a dotted path.
func deepGet(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var at starlark.Value
	var field string
	missing := starlark.Value(starlark.None)
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "item", &at, "path", &field, "default?", &missing); err != nil {
		return nil, err
	}
	for key := range strings.SplitSeq(field, ".") {
		m, ok := at.(starlark.Mapping)
		if !ok {
			return missing, nil
		}
		v, there, err := m.Get(starlark.String(key))
		if err != nil || !there {
			return missing, err
		}
		at = v
	}
	return at, nil
}
