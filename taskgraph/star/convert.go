package star

import (
	"fmt"
	"math"
	"slices"

	"go.starlark.net/starlark"
)

// converter turns Go values into Starlark ones. Keys repeat from task to task, so their
// Starlark forms are made once.
type converter struct {
	keys map[string]starlark.Value
	free [][]string // scratch for sorting keys, one per depth in use
}

func newConverter() *converter { return &converter{keys: map[string]starlark.Value{}} }

func (c *converter) key(s string) starlark.Value {
	if v, ok := c.keys[s]; ok {
		return v
	}
	var v starlark.Value = starlark.String(s)
	c.keys[s] = v
	return v
}

// toStar converts v; dicts get their keys in sorted order.
func (c *converter) toStar(v any) (starlark.Value, error) {
	switch v := v.(type) {
	case nil:
		return starlark.None, nil
	case string:
		return starlark.String(v), nil
	case bool:
		return starlark.Bool(v), nil
	case int64:
		return starlark.MakeInt64(v), nil
	case int:
		return starlark.MakeInt(v), nil
	case uint64:
		return starlark.MakeUint64(v), nil
	case float64:
		return starlark.Float(v), nil
	case map[string]any:
		return c.dict(v)
	case []any:
		out := make([]starlark.Value, len(v))
		for i, e := range v {
			x, err := c.toStar(e)
			if err != nil {
				return nil, err
			}
			out[i] = x
		}
		return starlark.NewList(out), nil
	case []string:
		out := make([]starlark.Value, len(v))
		for i, e := range v {
			out[i] = starlark.String(e)
		}
		return starlark.NewList(out), nil
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = e
		}
		return c.dict(m)
	}
	return nil, fmt.Errorf("a value of Go type %T cannot be given to Starlark", v)
}

func (c *converter) dict(m map[string]any) (starlark.Value, error) {
	var names []string
	if n := len(c.free); n > 0 {
		names, c.free = c.free[n-1][:0], c.free[:n-1]
	}
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	d := starlark.NewDict(len(m))
	for _, k := range names {
		x, err := c.toStar(m[k])
		if err != nil {
			return nil, err
		}
		if err := d.SetKey(c.key(k), x); err != nil {
			return nil, err
		}
	}
	c.free = append(c.free, names)
	return d, nil
}

// fromStar converts values back within the budget. path names the value in errors.
type fromStar struct {
	b    *budget
	left int
}

func (b *budget) fromStar() *fromStar { return &fromStar{b: b, left: b.limits.Values} }

func (f *fromStar) value(v starlark.Value, depth int, path func() string) (any, error) {
	if f.left--; f.left < 0 {
		return nil, limitf("gives back more than %d values", f.b.limits.Values)
	}
	if depth > f.b.limits.Depth {
		return nil, limitf("%s: gives back values nested more than %d deep", path(), f.b.limits.Depth)
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.String:
		return string(v), nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			return nil, fmt.Errorf("%s: the integer does not fit 64 bits", path())
		}
		return n, nil
	case starlark.Float:
		if x := float64(v); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x, nil
		}
		return nil, fmt.Errorf("%s: %v has no place in JSON", path(), v)
	case *starlark.Dict:
		return f.dict(v, depth, path)
	case *starlark.List:
		return f.list(v, depth, path)
	case starlark.Tuple:
		return f.list(v, depth, path)
	}
	return nil, fmt.Errorf("%s: a %s cannot be part of a task (use dicts, lists, strings, numbers, bools and None)", path(), v.Type())
}

func (f *fromStar) list(v starlark.Indexable, depth int, path func() string) (any, error) {
	out := make([]any, v.Len())
	for i := range v.Len() {
		x, err := f.value(v.Index(i), depth+1, func() string { return fmt.Sprintf("%s[%d]", path(), i) })
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

func (f *fromStar) dict(d *starlark.Dict, depth int, path func() string) (any, error) {
	out := make(map[string]any, d.Len())
	for k, v := range d.Entries() {
		name, ok := k.(starlark.String)
		if !ok {
			return nil, fmt.Errorf("%s: the key %v is a %s, not a string", path(), k, k.Type())
		}
		x, err := f.value(v, depth+1, func() string { return path() + "." + string(name) })
		if err != nil {
			return nil, err
		}
		out[string(name)] = x
	}
	return out, nil
}
