package bounded

import (
	"errors"
	"fmt"
	"math"
	"slices"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Library is what a file may use besides the language: the universe of Starlark with the costly
// functions guarded, json and merge.
func Library() starlark.StringDict {
	out := guards()
	for _, name := range []string{"list", "tuple", "set", "sorted", "reversed", "enumerate", "zip", "bytes", "any", "all", "min", "max"} {
		out[name] = walking(name)
	}
	for _, name := range []string{"str", "repr", "print", "fail"} {
		out[name] = telling(name, starlark.Universe[name].(*starlark.Builtin))
	}
	out["dict"] = starlark.NewBuiltin("dict", makeDict)
	out["type"] = starlark.NewBuiltin("type", typeName)
	out["int"] = starlark.NewBuiltin("int", parseInt)
	out["getattr"] = starlark.NewBuiltin("getattr", getattr)
	out["merge"] = starlark.NewBuiltin("merge", merge)
	encode, _ := starjson.Module.Members["encode"].(*starlark.Builtin)
	decode, _ := starjson.Module.Members["decode"].(*starlark.Builtin)
	out["json"] = Module("json", telling("json.encode", encode), decoding(decode))
	return out
}

// walking guards a function of the universe that walks its arguments in one step.
func walking(name string) *starlark.Builtin {
	inner := starlark.Universe[name].(*starlark.Builtin)
	compares := name == "sorted" || name == "min" || name == "max"
	return starlark.NewBuiltin(name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		b := BudgetOf(t)
		for i, a := range args {
			if err := b.iterated(t, a); err != nil {
				return nil, err
			}
			if !compares {
				continue
			}
			w, err := b.Measure(t, a)
			if err != nil {
				return nil, err
			}
			if w.lazy {
				args = slices.Clone(args)
				args[i] = plain(a)
			}
		}
		v, err := starlark.Call(t, inner, args, kwargs)
		if err != nil {
			return nil, unwrap(err)
		}
		if name == "zip" || name == "enumerate" {
			return v, b.pairs(t, v)
		}
		return v, b.made(t, v)
	})
}

// telling guards a function that makes a text of its arguments.
func telling(name string, inner *starlark.Builtin) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		b := BudgetOf(t)
		for _, a := range args {
			if err := b.formatted(t, 2, a); err != nil {
				return nil, err
			}
		}
		v, err := starlark.Call(t, inner, args, kwargs)
		if err != nil {
			return nil, unwrap(err)
		}
		return v, nil
	})
}

// decoding guards json.decode: what it makes is within a fixed factor of the text.
func decoding(inner *starlark.Builtin) *starlark.Builtin {
	return starlark.NewBuiltin("json.decode", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		b := BudgetOf(t)
		if len(args) > 0 {
			if s, ok := starlark.AsString(args[0]); ok {
				if line := DeepLine([]byte(s)); line > 0 {
					return nil, Limitf("decodes JSON with brackets nested more than %d deep", BracketDepth)
				}
				t.Steps += uint64(len(s) / 8)
				if err := b.Charge(40 * len(s)); err != nil {
					return nil, err
				}
			}
		}
		v, err := starlark.Call(t, inner, args, kwargs)
		if err != nil {
			return nil, unwrap(err)
		}
		return v, nil
	})
}

// maxDigits bounds the texts that int reads: reading is quadratic.
const maxDigits = 4000

func parseInt(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		switch v := args[0].(type) {
		case starlark.String:
			if len(v) > maxDigits {
				return nil, Limitf("reads an integer of more than %d digits", maxDigits)
			}
		case starlark.Float:
			if math.Abs(float64(v)) > 1e300 {
				return nil, Limitf("makes an integer of a float beyond 1e300")
			}
		}
	}
	v, err := starlark.Call(t, starlark.Universe["int"], args, kwargs)
	if err != nil {
		return nil, unwrap(err)
	}
	return v, nil
}

// typeName is type(x), for which both forms of a dict are one.
func typeName(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) == 1 && len(kwargs) == 0 {
		if _, ok := args[0].(*Dict); ok {
			return starlark.String("dict"), nil
		}
	}
	v, err := starlark.Call(t, starlark.Universe["type"], args, kwargs)
	if err != nil {
		return nil, unwrap(err)
	}
	return v, nil
}

// getattr gives guarded methods, as the dot does.
func getattr(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x, missing starlark.Value
	var name string
	if err := starlark.UnpackPositionalArgs("getattr", args, kwargs, 2, &x, &name, &missing); err != nil {
		return nil, err
	}
	v, err := guardedAttr(x, name)
	if _, none := errors.AsType[starlark.NoSuchAttrError](err); none && missing != nil {
		return missing, nil
	}
	return v, err
}

// merge is merge(a, b, …).
func merge(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(kwargs) > 0 || len(args) == 0 {
		return nil, fmt.Errorf("merge: wants one or more dicts")
	}
	out := starlark.Value(starlark.NewDict(0))
	for _, a := range args {
		d, ok := AsDict(a)
		if !ok {
			return nil, fmt.Errorf("merge: got %s, want dict", a.Type())
		}
		b := BudgetOf(t)
		w, err := b.Measure(t, a)
		if err == nil {
			err = b.Charge(w.values * ElementBytes)
		}
		if err != nil {
			return nil, err
		}
		if out, err = merged(out, d); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merged is b laid over a; neither is changed. A dict with the one key by-… replaces what it
// meets, as in kind files (taskgraph-map 3).
func merged(a, b starlark.Value) (starlark.Value, error) {
	if x, ok := a.(*starlark.List); ok {
		if y, ok := b.(*starlark.List); ok {
			return starlark.Binary(syntax.PLUS, x, y)
		}
		return b, nil
	}
	x, ok := AsDict(a)
	y, also := AsDict(b)
	if !ok || !also || IsKeyedBy(y) {
		return b, nil
	}
	out := starlark.NewDict(x.Len() + y.Len())
	for k, v := range x.Entries() {
		if err := out.SetKey(k, v); err != nil {
			return nil, err
		}
	}
	for k, v := range y.Entries() {
		old, has, err := out.Get(k)
		if err != nil {
			return nil, err
		}
		if has {
			if v, err = merged(old, v); err != nil {
				return nil, err
			}
		}
		if err := out.SetKey(k, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// IsKeyedBy reports whether d has the one key by-….
func IsKeyedBy(d *starlark.Dict) bool {
	if d.Len() != 1 {
		return false
	}
	s, ok := starlark.AsString(d.Keys()[0])
	return ok && len(s) > 3 && s[:3] == "by-"
}
