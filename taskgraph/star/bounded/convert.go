package bounded

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/treeline-ci/treeline/taskgraph/value"
)

// converter turns Go values into Starlark ones. Keys repeat from task to task, so their
// Starlark forms are made once.
type converter struct {
	keys map[string]starlark.Value
	free [][]string // scratch for sorting keys, one per depth in use
	lazy bool       // dicts are converted when they are asked for

	arena *Arena // of those dicts
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

// ToStarlark converts a Go value whole; dicts get their keys in sorted order.
func ToStarlark(v any) (starlark.Value, error) { return newConverter().toStar(v) }

// Lazily converts a Go value where a program looks at it. v must not be written to any more, and
// the result belongs to one goroutine.
func Lazily(v any) (starlark.Value, error) { return (&converter{lazy: true}).toStar(v) }

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
		if c.lazy {
			return c.arena.Dict(v, false), nil
		}
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
		return c.toStar(m)
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

// FromStarlark converts values back within the budget. Where a value is what it was before the call,
// the Go value it came from is given back, so that what nobody changed stays shared.
type FromStarlark struct {
	b    *Budget
	left int
	path []place // where in the result the conversion is, for errors
	Root string  // what the result is, for errors; "task" when nothing else is said
}

// place is a step into a dict, or into a list when key is "".
type place struct {
	key   string
	index int
}

// FromStarlark makes a converter of the values that a call gives back.
func (b *Budget) FromStarlark() *FromStarlark {
	return &FromStarlark{b: b, left: b.Limits.Values, Root: "task"}
}

// errorf makes an error about the current place.
func (f *FromStarlark) errorf(format string, args ...any) error {
	var b strings.Builder
	for _, p := range f.path {
		if p.key != "" {
			b.WriteString("." + p.key)
		} else {
			fmt.Fprintf(&b, "[%d]", p.index)
		}
	}
	return fmt.Errorf("%s%s: %w", f.Root, b.String(), fmt.Errorf(format, args...))
}

// whole names what is converted.
func (f *FromStarlark) whole() string {
	if f.Root == "task" {
		return "a task"
	}
	return f.Root
}

// Value converts v, which stands where was stood before; was is nil when nothing did.
func (f *FromStarlark) Value(v starlark.Value, was any) (any, error) {
	if f.left--; f.left < 0 {
		return nil, Limitf("gives back more than %d values", f.b.Limits.Values)
	}
	if len(f.path) > f.b.Limits.Depth {
		return nil, Limitf("gives back values nested more than %d deep", f.b.Limits.Depth)
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.String:
		if s, ok := was.(string); ok && s == string(v) {
			return was, nil
		}
		return string(v), nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			return nil, f.errorf("the integer %s does not fit 64 bits", Brief(v, BriefOperand))
		}
		if old, ok := was.(int64); ok && old == n {
			return was, nil
		}
		return n, nil
	case starlark.Float:
		if x := float64(v); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x, nil
		}
		return nil, f.errorf("%v has no place in JSON", v)
	case *starlark.Dict:
		old, _ := was.(map[string]any)
		return f.dict(v, old)
	case *Dict:
		return f.lazyDict(v, was)
	case *starlark.List:
		return f.list(v, was)
	case starlark.Tuple:
		return f.list(v, was)
	}
	return nil, f.errorf("a %s cannot be part of %s (use dicts, lists, strings, numbers, bools and None): %s", v.Type(), f.whole(), Brief(v, BriefOperand))
}

func (f *FromStarlark) list(v starlark.Indexable, was any) (any, error) {
	old, _ := was.([]any)
	n := v.Len()
	unchanged := old != nil && len(old) == n
	out := []any(nil)
	for i := range n {
		var before any
		if i < len(old) {
			before = old[i]
		}
		f.path = append(f.path, place{index: i})
		x, err := f.Value(v.Index(i), before)
		if err != nil {
			return nil, err
		}
		f.path = f.path[:len(f.path)-1]
		if unchanged && same(x, before) {
			continue
		}
		if out == nil {
			out = make([]any, n)
			copy(out, old[:min(i, len(old))])
		}
		unchanged = false
		out[i] = x
	}
	if unchanged {
		return was, nil
	}
	if out == nil {
		out = []any{}
	}
	return out, nil
}

// Mapping converts v, a dict that stands where was stood before; nil when nothing did.
func (f *FromStarlark) Mapping(v starlark.Value, was map[string]any) (map[string]any, error) {
	f.path = f.path[:0]
	if d, ok := v.(*starlark.Dict); ok {
		return f.dict(d, was)
	}
	x, err := f.Value(v, was)
	m, _ := x.(map[string]any)
	return m, err
}

// Dict gives the mapping that d was made of where nothing in it changed, else a copy with what
// did.
func (f *FromStarlark) lazyDict(d *Dict, was any) (any, error) {
	m, _ := was.(map[string]any)
	elsewhere := !value.Same(m, d.from)
	if elsewhere {
		if f.left -= CountValues(d.from, f.left); f.left < 0 { // it stands in a further place
			return nil, Limitf("gives back more than %d values", f.b.Limits.Values)
		}
	}
	edits, ok, err := f.edits(d)
	if err != nil {
		return nil, err
	}
	if !ok {
		m, err := f.dict(d.dict, d.from)
		if err == nil && d.fault != nil {
			return nil, f.errorf("%w", d.fault)
		}
		return m, err
	}
	if len(edits) == 0 && !elsewhere { // who owns the other place may write to its top level
		return d.from, nil
	}
	out := make(map[string]any, len(d.from)+len(edits))
	maps.Copy(out, d.from)
	for _, e := range edits {
		if e.Gone {
			delete(out, e.Key)
		} else {
			out[e.Key] = e.Value
		}
	}
	return out, nil
}

// Repeat counts v once more: a result that stands in several places.
func (f *FromStarlark) Repeat(v any) { f.left -= CountValues(v, f.left) }

// Edit is a change of one key of a mapping.
type Edit struct {
	Key   string
	Value any
	Gone  bool // the key was taken out
}

// TopEdits is Edits of a whole result.
func (f *FromStarlark) TopEdits(d *Dict) (edits []Edit, ok bool, err error) {
	f.path = f.path[:0]
	return f.edits(d)
}

// edits are the changes that make what d is of what it came from; ok is false when that is not
// known.
func (f *FromStarlark) edits(d *Dict) (edits []Edit, ok bool, err error) {
	if d.dict != nil || d.fault != nil {
		return nil, false, nil
	}
	for e := range d.changes() {
		before, had := d.from[e.key]
		if e.value == nil {
			if had {
				edits = addEdit(edits, d, Edit{Key: e.key, Gone: true})
			}
			continue
		}
		f.path = append(f.path, place{key: e.key})
		x, err := f.Value(e.value, before)
		if err != nil {
			return nil, false, err
		}
		f.path = f.path[:len(f.path)-1]
		if !had || !same(x, before) {
			edits = addEdit(edits, d, Edit{Key: e.key, Value: x})
		}
	}
	return edits, true, nil
}

func addEdit(list []Edit, d *Dict, e Edit) []Edit {
	if list == nil {
		list = make([]Edit, 0, len(d.over)+len(d.Origin().made))
	}
	return append(list, e)
}

// CountValues is how many values v holds, shared ones each time; it stops beyond most.
func CountValues(v any, most int) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if n += CountValues(e, most-n); n > most {
				break
			}
		}
	case []any:
		for _, e := range v {
			if n += CountValues(e, most-n); n > most {
				break
			}
		}
	case []string:
		n += len(v)
	case map[string]string:
		n += len(v)
	}
	return n
}

func (f *FromStarlark) dict(d *starlark.Dict, old map[string]any) (map[string]any, error) {
	unchanged := old != nil && len(old) == d.Len()
	out := map[string]any(nil)
	if !unchanged {
		out = make(map[string]any, d.Len())
	}
	done := 0
	for k, v := range d.Entries() {
		key, ok := k.(starlark.String)
		if !ok {
			return nil, f.errorf("the key %s is a %s, not a string", Brief(k, BriefOperand), k.Type())
		}
		before, had := old[string(key)]
		f.path = append(f.path, place{key: string(key)})
		x, err := f.Value(v, before)
		if err != nil {
			return nil, err
		}
		f.path = f.path[:len(f.path)-1]
		if unchanged && (!had || !same(x, before)) {
			unchanged = false
			out = make(map[string]any, d.Len())
			f.first(out, d, old, done)
		}
		if !unchanged {
			out[string(key)] = x
		}
		done++
	}
	if unchanged {
		return old, nil
	}
	return out, nil
}

// first copies the first n entries of d, which are as they were in old.
func (f *FromStarlark) first(out map[string]any, d *starlark.Dict, old map[string]any, n int) {
	for k := range d.Entries() {
		if n == 0 {
			return
		}
		key := string(k.(starlark.String)) // the entries before this one have string keys
		out[key] = old[key]
		n--
	}
}

// same reports whether x, made by value for what was before, is the very same.
func same(x, before any) bool {
	switch x := x.(type) {
	case map[string]any:
		m, ok := before.(map[string]any)
		return ok && value.Same(x, m)
	case []any:
		l, ok := before.([]any)
		return ok && len(x) == len(l) && (len(x) == 0 || &x[0] == &l[0])
	}
	switch before.(type) {
	case map[string]any, []any, []string, map[string]string:
		return false
	}
	return x == before
}

// Given converts a value from outside for the program.
func (b *Budget) Given(t *starlark.Thread, v any) (starlark.Value, error) {
	x, err := ToStarlark(v)
	if err != nil {
		return nil, err
	}
	w, err := b.Measure(t, x)
	if err != nil {
		return nil, err
	}
	return x, b.Charge(w.bytes + 4*ElementBytes*w.values)
}
