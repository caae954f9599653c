package jsone

import (
	"math"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// Sets of argument types.
const (
	isString = 1 << iota
	isNumber
	isInteger
	isBool
	isNull
	isList
	isObject
	isFunction
	isAnything = isString | isNumber | isBool | isNull | isList | isObject | isFunction
)

// typeSet returns the types a value has.
func typeSet(v any) int {
	switch v := v.(type) {
	case nil:
		return isNull
	case bool:
		return isBool
	case string:
		return isString
	case float64:
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			return isNumber | isInteger
		}
		return isNumber
	case *list:
		return isList
	case *Object:
		return isObject
	}
	return isFunction
}

// signature says which arguments a built-in takes: params, then as many of rest as come (0: none).
type signature struct {
	least  int // for functions with rest or optional parameters; their complaint names it
	params []int
	rest   int
}

func invalid(name string) error {
	return newError(BuiltinError, "invalid arguments to builtin: %s", name)
}

// check complains about arguments in the words and the order of the reference.
func (s signature) check(name string, args []any) error {
	if s.rest == 0 && len(args) < len(s.params) {
		return invalid(name)
	}
	if len(args) < s.least {
		return newError(BuiltinError, "invalid arguments to builtin: %s: expected at least %d arguments", name, s.least)
	}
	for i, arg := range args {
		want := s.rest
		if i < len(s.params) {
			want = s.params[i]
		}
		if typeSet(arg)&want == 0 {
			return invalid(name)
		}
	}
	return nil
}

type builtinCall func(r *renderer, sc *scope, args []any) (any, error)

func define(o *Object, name string, s signature, call builtinCall) {
	o.Set(name, &Function{Name: name, builtin: func(r *renderer, sc *scope, args []any) (any, error) {
		if err := s.check(name, args); err != nil {
			return nil, err
		}
		return call(r, sc, args)
	}})
}

// builtins are the functions every template has. Nothing writes to them after this.
var builtins = makeBuiltins()

func builtinScope() *scope { return &scope{object: builtins} }

func makeBuiltins() *Object {
	o := &Object{}
	defineMath(o)
	defineText(o)
	define(o, "len", signature{params: []int{isString | isList}}, builtinLen)
	define(o, "fromNow", signature{least: 1, rest: isString}, builtinFromNow)
	define(o, "typeof", signature{params: []int{isAnything}}, builtinTypeof)
	define(o, "defined", signature{params: []int{isString}}, func(_ *renderer, sc *scope, args []any) (any, error) {
		_, ok := sc.lookup(str(args[0]))
		return ok, nil
	})
	return o
}

// str and num read arguments whose types were checked.
func str(v any) string  { s, _ := v.(string); return s }
func num(v any) float64 { f, _ := v.(float64); return f }

func defineMath(o *Object) {
	extreme := func(name string, pick func(a, b float64) float64) {
		define(o, name, signature{least: 1, rest: isNumber}, func(_ *renderer, _ *scope, args []any) (any, error) {
			best := num(args[0])
			for _, arg := range args[1:] {
				best = pick(best, num(arg))
			}
			return best, nil
		})
	}
	extreme("max", func(a, b float64) float64 { return max(a, b) })
	extreme("min", func(a, b float64) float64 { return min(a, b) })
	for name, f := range map[string]func(float64) float64{
		"sqrt": math.Sqrt, "ceil": math.Ceil, "floor": math.Floor, "abs": math.Abs,
	} {
		define(o, name, signature{params: []int{isNumber}}, func(_ *renderer, _ *scope, args []any) (any, error) {
			return f(num(args[0])), nil
		})
	}
	define(o, "range", signature{least: 2, params: []int{isInteger, isInteger, isInteger}, rest: isNumber}, builtinRange)
}

func builtinRange(r *renderer, _ *scope, args []any) (any, error) {
	start, stop, step := num(args[0]), num(args[1]), 1.0
	if len(args) > 2 {
		step = num(args[2])
	}
	n := math.Ceil((stop - start) / step) // may be negative, or no number when step is 0
	switch {
	case math.IsInf(n, 1):
		return nil, newError(BuiltinError, "invalid arguments to builtin: range: the step must not be 0")
	case n > float64(r.limits.Steps):
		return nil, r.step(r.limits.Steps + 1)
	case !(n > 0):
		n = 0
	}
	if err := r.step(int(n)); err != nil {
		return nil, err
	}
	out := &list{items: make([]any, int(n))}
	for i := range out.items {
		out.items[i] = start + float64(i)*step
	}
	return out, nil
}

func defineText(o *Object) {
	simple := func(name string, f func(string) string) {
		define(o, name, signature{params: []int{isString}}, func(r *renderer, _ *scope, args []any) (any, error) {
			s := f(str(args[0]))
			return s, r.text(len(s))
		})
	}
	// A Caser may keep state, so each call has its own.
	simple("lowercase", func(s string) string { return cases.Lower(language.Und).String(s) })
	simple("uppercase", func(s string) string { return cases.Upper(language.Und).String(s) })
	simple("strip", func(s string) string { return strings.Trim(s, spaces) })
	simple("lstrip", func(s string) string { return strings.TrimLeft(s, spaces) })
	simple("rstrip", func(s string) string { return strings.TrimRight(s, spaces) })
	define(o, "str", signature{params: []int{isString | isNumber | isBool | isNull}},
		func(_ *renderer, _ *scope, args []any) (any, error) {
			s, _ := toText(args[0], 0)
			return s, nil
		})
	define(o, "number", signature{params: []int{isString}}, func(_ *renderer, _ *scope, args []any) (any, error) {
		return parseNumber(str(args[0])), nil
	})
	define(o, "split", signature{least: 2, params: []int{isString, isString | isNumber}}, builtinSplit)
	define(o, "join", signature{params: []int{isList, isString | isNumber}}, builtinJoin)
}

func builtinSplit(r *renderer, _ *scope, args []any) (any, error) {
	separator, _ := toText(args[1], 0)
	parts := strings.Split(str(args[0]), separator)
	out := &list{items: make([]any, len(parts))}
	for i, part := range parts {
		out.items[i] = part
	}
	return out, r.step(len(parts))
}

func builtinJoin(r *renderer, _ *scope, args []any) (any, error) {
	in, _ := args[0].(*list)
	separator, _ := toText(args[1], 0)
	if err := r.text(len(in.items) * len(separator)); err != nil {
		return nil, err
	}
	s, ok := joinText(in, separator, 0)
	if !ok {
		return nil, newError(BuiltinError, "invalid arguments to builtin: join: an element is a function or has no text")
	}
	return s, r.text(len(s))
}

func builtinLen(_ *renderer, _ *scope, args []any) (any, error) {
	if l, ok := args[0].(*list); ok {
		return float64(len(l.items)), nil
	}
	n := 0
	for range str(args[0]) {
		n++
	}
	return float64(n), nil
}

func builtinFromNow(r *renderer, sc *scope, args []any) (any, error) {
	reference, _ := sc.lookup("now")
	if len(args) > 1 && str(args[1]) != "" {
		reference = args[1]
	}
	out, fault := r.fromNow(str(args[0]), reference)
	if fault != "" {
		return nil, newError(BuiltinError, "%s", fault)
	}
	return out, nil
}

func builtinTypeof(_ *renderer, _ *scope, args []any) (any, error) {
	switch args[0].(type) {
	case nil:
		return "null", nil
	case string:
		return "string", nil
	case float64:
		return "number", nil
	case bool:
		return "boolean", nil
	case *list:
		return "array", nil
	case *Object:
		return "object", nil
	}
	return "function", nil
}
