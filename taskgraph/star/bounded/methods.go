package bounded

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// guardedMethods are the methods that do more work in one step than a look-up.
var guardedMethods = map[string]bool{
	// texts
	"join": true, "replace": true, "format": true, "split": true, "rsplit": true, "splitlines": true,
	"partition": true, "rpartition": true, "upper": true, "lower": true, "title": true, "capitalize": true,
	// lists, dicts, sets
	"extend": true, "index": true, "remove": true, "insert": true, "items": true, "keys": true, "values": true, "popitem": true,
	"update": true, "union": true, "difference": true, "intersection": true, "symmetric_difference": true,
	"issubset": true, "issuperset": true, "elems": true,
}

// method gives x.name with its cost looked at when it is called.
func method(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return guardedAttr(args[0], string(args[1].(starlark.String)))
}

func guardedAttr(x starlark.Value, name string) (starlark.Value, error) {
	h, ok := x.(starlark.HasAttrs)
	var v starlark.Value
	if ok {
		var err error
		if v, err = h.Attr(name); err != nil {
			return nil, err
		}
	}
	if v == nil {
		return nil, starlark.NoSuchAttrError(fmt.Sprintf("%s has no .%s field or method", x.Type(), name))
	}
	bound, ok := v.(*starlark.Builtin)
	if !ok || !guardedMethods[name] {
		return v, nil
	}
	return starlark.NewBuiltin(name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		b := BudgetOf(t)
		lazy, err := b.methodCost(t, x, name, args, kwargs)
		if err != nil {
			return nil, err
		}
		if lazy {
			return sought(t, x, name, args)
		}
		out, err := starlark.Call(t, bound, args, kwargs)
		if err != nil {
			return nil, unwrap(err)
		}
		if name == "items" {
			return out, b.pairs(t, out)
		}
		return out, b.made(t, out)
	}).BindReceiver(x), nil
}

// methodCost charges before x.name(args); lazy tells that it compares dicts which the interpreter
// cannot compare.
func (b *Budget) methodCost(t *starlark.Thread, x starlark.Value, name string, args starlark.Tuple, kwargs []starlark.Tuple) (lazy bool, err error) {
	if s, ok := x.(starlark.String); ok {
		return false, b.textMethod(t, string(s), name, args, kwargs)
	}
	switch name {
	case "index", "remove":
		t.Steps += uint64(max(starlark.Len(x), 0) / 8)
		if len(args) > 0 && !isScalar(args[0]) {
			of, err := b.Measure(t, x)
			if err != nil {
				return false, err
			}
			in, err := b.Measure(t, args[0])
			return len(args) == 1 && (of.lazy || in.lazy), err
		}
		return false, nil
	case "insert":
		t.Steps += uint64(max(starlark.Len(x), 0) / 64)
		return false, nil
	}
	for _, a := range args {
		if err := b.iterated(t, a); err != nil {
			return false, err
		}
	}
	return false, nil
}

// sought is x.index(v) or x.remove(v) of a list that holds dicts which the interpreter cannot
// compare.
func sought(t *starlark.Thread, x starlark.Value, name string, args starlark.Tuple) (starlark.Value, error) {
	bound := func(of starlark.Value, name string, arg starlark.Value) (starlark.Value, error) {
		m, err := starlark.Value(nil), error(nil)
		if h, ok := of.(starlark.HasAttrs); ok {
			m, err = h.Attr(name)
		}
		if err != nil || m == nil {
			return nil, fmt.Errorf("%s has no .%s field or method", x.Type(), name)
		}
		v, err := starlark.Call(t, m, starlark.Tuple{arg}, nil)
		if err != nil {
			return nil, unwrap(err)
		}
		return v, nil
	}
	at, err := bound(plain(x), "index", plain(args[0]))
	if err != nil || name == "index" {
		return at, err
	}
	if _, err := bound(x, "pop", at); err != nil {
		return nil, err
	}
	return starlark.None, nil
}

// textMethod charges before s.name(args) for a text s.
func (b *Budget) textMethod(t *starlark.Thread, s, name string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	switch name {
	case "join":
		if len(args) != 1 {
			return nil
		}
		if err := b.iterated(t, args[0]); err != nil {
			return err
		}
		w, err := b.Measure(t, args[0])
		if err != nil {
			return err
		}
		return b.Text(w.bytes + len(s)*max(w.values-1, 0))
	case "replace":
		if len(args) < 2 {
			return nil
		}
		from, _ := starlark.AsString(args[0])
		to, _ := starlark.AsString(args[1])
		t.Steps += uint64(len(s) / 64)
		n := strings.Count(s, from)
		if n > 0 && len(to) > b.Limits.Text/n {
			return Limitf("makes a text of more than %d bytes", b.Limits.Text)
		}
		return b.Text(len(s) + n*len(to))
	case "format":
		return b.formatCost(t, s, args, kwargs)
	}
	t.Steps += uint64(len(s) / 64)
	return nil
}

// formatCost charges for s.format(…): each field may name the largest argument.
func (b *Budget) formatCost(t *starlark.Thread, s string, args starlark.Tuple, kwargs []starlark.Tuple) error {
	largest := 0
	look := func(v starlark.Value) error {
		w, err := b.Measure(t, v)
		largest = max(largest, w.bytes+4*w.values)
		return err
	}
	for _, a := range args {
		if err := look(a); err != nil {
			return err
		}
	}
	for _, kv := range kwargs {
		if err := look(kv[1]); err != nil {
			return err
		}
	}
	fields := strings.Count(s, "{")
	if fields > 0 && largest > b.Limits.Text/fields {
		return Limitf("makes a text of more than %d bytes", b.Limits.Text)
	}
	return b.Text(len(s) + fields*largest)
}

// pairs checks the list of pairs that items() gave.
func (b *Budget) pairs(t *starlark.Thread, v starlark.Value) error {
	l, ok := v.(*starlark.List)
	if !ok {
		return b.made(t, v)
	}
	for i := range l.Len() {
		if err := b.tuple(l.Index(i)); err != nil {
			return err
		}
	}
	return b.Elements(t, 3*l.Len())
}

// unwrap drops the wrapper that calling a built-in from a built-in puts around its error; the
// outer call gets one of its own.
func unwrap(err error) error {
	if e, ok := errors.AsType[*starlark.EvalError](err); ok && e.Unwrap() != nil {
		return e.Unwrap()
	}
	return err
}
