package bounded

import (
	"go.starlark.net/starlark"
)

// Listing is a list of another type than the interpreter's.
type Listing interface{ Whole() *starlark.List }

// Unbounded is a value too large to be followed; it says why and what to do instead.
type Unbounded interface{ Unbounded() string }

// walk counts the values and the text bytes of v as a program would meet them that follows every
// reference, shared ones each time. It gives up at the limits, so it is cheap on bombs.
type walk struct {
	b      *Budget
	values int
	bytes  int
	lazy   bool // it met dicts that the interpreter cannot compare
}

// Values is how many values there are.
func (w walk) Values() int { return w.values }

// Measure walks v within the limits of b and charges the steps to t.
func (b *Budget) Measure(t *starlark.Thread, v starlark.Value) (walk, error) {
	w := walk{b: b}
	err := w.visit(v, 0)
	t.Steps += uint64(w.values)
	return w, err
}

func (w *walk) visit(v starlark.Value, depth int) error {
	if w.values++; w.values > w.b.Limits.Values {
		return Limitf("meets a structure of more than %d values", w.b.Limits.Values)
	}
	if depth > w.b.Limits.Depth {
		return Limitf("meets values nested more than %d deep", w.b.Limits.Depth)
	}
	switch v := v.(type) {
	case starlark.String:
		w.bytes += len(v)
	case starlark.Bytes:
		w.bytes += len(v)
	case starlark.Int:
		w.bytes += 8
		if _, small := v.Int64(); !small {
			w.bytes += v.BigInt().BitLen() / 3
		}
	case *starlark.List:
		for i := range v.Len() {
			if err := w.visit(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	case Listing:
		return w.visit(v.Whole(), depth)
	case starlark.Tuple:
		for _, e := range v {
			if err := w.visit(e, depth+1); err != nil {
				return err
			}
		}
	case *starlark.Dict:
		return w.entries(v, depth)
	case *Dict:
		w.lazy = true
		if v.dict != nil {
			return w.entries(v.dict, depth)
		}
		for e := range v.changes() {
			w.bytes += len(e.key)
			if e.value != nil {
				if err := w.visit(e.value, depth+1); err != nil {
					return err
				}
			}
		}
		return w.plain(v.from, depth) // what was changed counts twice: that is near enough
	case *starlark.Set:
		return w.each(v, depth)
	case Unbounded:
		return Limitf("%s", v.Unbounded())
	case *Record:
		for _, name := range v.AttrNames() {
			x, err := v.Attr(name)
			if err == nil {
				err = w.visit(x, depth+1)
			}
			if err != nil {
				return err
			}
		}
	default:
		w.bytes += 24
	}
	return nil
}

// plain counts a Go value.
func (w *walk) plain(v any, depth int) error {
	if w.values++; w.values > w.b.Limits.Values {
		return Limitf("meets a structure of more than %d values", w.b.Limits.Values)
	}
	if depth > w.b.Limits.Depth {
		return Limitf("meets values nested more than %d deep", w.b.Limits.Depth)
	}
	switch v := v.(type) {
	case string:
		w.bytes += len(v)
	case map[string]any:
		for key, e := range v {
			w.bytes += len(key)
			w.values++
			if err := w.plain(e, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range v {
			if err := w.plain(e, depth+1); err != nil {
				return err
			}
		}
	case []string:
		w.values += len(v)
		for _, s := range v {
			w.bytes += len(s)
		}
	default:
		w.bytes += 24
	}
	return nil
}

func (w *walk) entries(d *starlark.Dict, depth int) error {
	for k, v := range d.Entries() {
		if err := w.visit(k, depth+1); err != nil {
			return err
		}
		if err := w.visit(v, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) each(v starlark.Iterable, depth int) error {
	it := v.Iterate()
	defer it.Done()
	var e starlark.Value
	for it.Next(&e) {
		if err := w.visit(e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// Tuples are hashed and frozen by following every reference, and nothing marks what was done;
// therefore nested ones stay small.
const (
	tupleValues = 10_000
	tupleDepth  = 50
)

// tuple checks that a tuple stays small when followed; only tuples inside tuples count.
func (b *Budget) tuple(v starlark.Value) error {
	left := tupleValues
	var visit func(t starlark.Tuple, depth int) error
	visit = func(t starlark.Tuple, depth int) error {
		if depth > tupleDepth {
			return Limitf("nests tuples more than %d deep", tupleDepth)
		}
		for _, e := range t {
			inner, ok := e.(starlark.Tuple)
			if !ok {
				continue
			}
			if left -= len(inner) + 1; left < 0 {
				return Limitf("makes a nested tuple of more than %d values", tupleValues)
			}
			if err := visit(inner, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if t, ok := v.(starlark.Tuple); ok {
		return visit(t, 0)
	}
	return nil
}

// frozenCost bounds the work of freezing globals, where functions and tuples are followed each
// time they are met.
const frozenCost = 1_000_000

// Freeze freezes globals unless that would take for ever.
func Freeze(globals starlark.StringDict) error {
	f := freezer{seen: map[any]int{}}
	total := 0
	for _, v := range globals {
		if total += f.cost(v, 0); total > frozenCost {
			return Limitf("leaves globals that refer to each other more than %d times", frozenCost)
		}
	}
	globals.Freeze()
	return nil
}

// freezer computes the cost of freezing without following anything twice.
type freezer struct{ seen map[any]int }

func (f *freezer) cost(v starlark.Value, depth int) int {
	var key any = v
	switch t := v.(type) {
	case starlark.Tuple:
		if len(t) == 0 {
			return 1
		}
		key = &t[0]
	case *starlark.List, *starlark.Dict, *starlark.Set, *starlark.Function, *starlark.Builtin:
	default:
		return 1
	}
	if n, ok := f.seen[key]; ok {
		return n
	}
	f.seen[key] = 1 // containers mark themselves, so meeting one again costs nothing more
	if depth > 10_000 {
		return frozenCost + 1
	}
	n := 1
	for _, c := range children(v) {
		if n += f.cost(c, depth+1); n > frozenCost {
			n = frozenCost + 1
			break
		}
	}
	f.seen[key] = n
	return n
}

// children are the values that freezing v goes on to.
func children(v starlark.Value) []starlark.Value {
	var out []starlark.Value
	switch v := v.(type) {
	case starlark.Tuple:
		return v
	case *starlark.List:
		for i := range v.Len() {
			out = append(out, v.Index(i))
		}
	case *starlark.Dict:
		for k, e := range v.Entries() {
			out = append(out, k, e)
		}
	case *starlark.Function:
		for i := range v.NumFreeVars() {
			if _, e := v.FreeVar(i); e != nil {
				out = append(out, e)
			}
		}
		for i := range v.NumParams() {
			if d := v.ParamDefault(i); d != nil {
				out = append(out, d)
			}
		}
	case *starlark.Builtin:
		if r := v.Receiver(); r != nil {
			out = append(out, r)
		}
	}
	return out
}
