package star

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/star/bounded"
)

// Loaded is an item that a loader of the tree gave.
type Loaded struct {
	Name   string
	Values map[string]any
}

// Items calls the loader fn, which gives the entries of a kind: a list of dicts that each have a
// name, or a dict of name to entry. Errors are *Error.
func (m *Module) Items(ctx context.Context, fn string, c TransformConfig) ([]Loaded, error) {
	v, err := m.invoke(ctx, fn, 0)
	if err != nil {
		return nil, err
	}
	res, err := v.call(c.value())
	if err != nil {
		return nil, err
	}
	back := v.budget.FromStarlark()
	var out []Loaded
	names := map[string]bool{}
	take := func(name string, x starlark.Value) error {
		if !bounded.IsDict(x) {
			return v.fail(fmt.Errorf("entry %q: %w", cut(name), v.gave(x, "entries, each of them a dict")))
		}
		values, err := back.Mapping(x, nil)
		if err != nil {
			return v.fail(err)
		}
		if name == "" {
			if name, _ = values["name"].(string); name == "" {
				return v.fail(fmt.Errorf("%s gave entry %d of the list without a name", fn, len(out)))
			}
		}
		if names[name] {
			return v.fail(fmt.Errorf("%s gave two entries of the name %q", fn, cut(name)))
		}
		names[name] = true
		out = append(out, Loaded{Name: name, Values: values})
		return nil
	}
	switch res := bounded.Real(res).(type) {
	case *starlark.List:
		for i := range res.Len() {
			v.label = ""
			if err := take("", res.Index(i)); err != nil {
				return nil, err
			}
		}
	case *starlark.Dict:
		for k, x := range res.Entries() {
			name, ok := starlark.AsString(k)
			if !ok || name == "" {
				return nil, v.fail(fmt.Errorf("%s gave an entry under the key %s: names are strings", fn, bounded.Brief(k, bounded.BriefOperand)))
			}
			if err := take(name, x); err != nil {
				return nil, err
			}
		}
	default:
		return nil, v.fail(v.gave(res, "a list of entries (dicts with a name), or a dict of name to entry"))
	}
	return out, nil
}
