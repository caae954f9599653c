package jsone

import "strings"

// evaluate parses (once) and evaluates an expression that fills the source.
func (r *renderer) evaluate(source string, sc *scope) (any, error) {
	var p *program
	if known, ok := r.template.programs.Load(source); ok {
		p = known.(*program)
	} else {
		p = parseWhole(source)
		r.template.programs.Store(source, p)
	}
	if p.err != nil {
		return nil, p.err.fresh()
	}
	return r.eval(p.node, sc)
}

// fresh copies a remembered error, because each place it appears in adds its path.
func (e *Error) fresh() *Error { return &Error{Class: e.Class, Message: e.Message} }

func expects(operator, what string) error {
	return newError(InterpreterError, "%s expects %s", operator, what)
}

// eval evaluates a node.
func (r *renderer) eval(n node, sc *scope) (any, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	switch n := n.(type) {
	case *literal:
		return n.value, nil
	case *name:
		if v, ok := sc.lookup(n.name); ok {
			return v, nil
		}
		return nil, newError(InterpreterError, "unknown context value %s", n.name)
	case *unary:
		return r.unary(n, sc)
	case *binary:
		return r.binary(n, sc)
	case *property:
		return r.property(n, sc)
	case *access:
		return r.access(n, sc)
	case *call:
		return r.call(n, sc)
	case *listLiteral:
		items, err := r.evalAll(n.items, sc)
		return &list{items}, err
	case *objectLiteral:
		out := &Object{}
		for _, e := range n.items.ordered() {
			v, err := r.eval(e.value, sc)
			if err != nil {
				return nil, err
			}
			out.Set(e.key, v)
		}
		return out, nil
	}
	return nil, newError(SyntaxError, "an operand is missing")
}

func (r *renderer) evalAll(nodes []node, sc *scope) ([]any, error) {
	out := make([]any, len(nodes))
	for i, n := range nodes {
		v, err := r.eval(n, sc)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// truthy says what counts as true: everything but null, false, 0, "", [] and {}.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *Object:
		return v.Len() > 0
	}
	return true
}

func (r *renderer) unary(n *unary, sc *scope) (any, error) {
	v, err := r.eval(n.operand, sc)
	if err != nil {
		return nil, err
	}
	if n.op == "!" {
		return !truthy(v), nil
	}
	f, ok := v.(float64)
	if !ok {
		return nil, expects("unary "+n.op, "number")
	}
	if n.op == "-" {
		return -f, nil
	}
	return f, nil
}

func (r *renderer) binary(n *binary, sc *scope) (any, error) {
	first, err := r.eval(n.first, sc)
	if err != nil {
		return nil, err
	}
	switch {
	case n.op == "||" && truthy(first):
		return true, nil
	case n.op == "&&" && !truthy(first):
		return false, nil
	}
	second, err := r.eval(n.second, sc)
	if err != nil {
		return nil, err
	}
	switch n.op {
	case "||", "&&":
		return truthy(second), nil
	case "==":
		return r.equal(first, second)
	case "!=":
		same, err := r.equal(first, second)
		return !same, err
	case "in":
		return r.contains(second, first)
	case "<", ">", "<=", ">=":
		return compare(n.op, first, second)
	case "+":
		if a, ok := first.(string); ok {
			if b, ok := second.(string); ok {
				return a + b, r.text(len(a) + len(b))
			}
		}
	}
	return arithmetic(n.op, first, second)
}

func arithmetic(op string, first, second any) (any, error) {
	a, aok := first.(float64)
	b, bok := second.(float64)
	if !aok || !bok {
		if op == "+" {
			return nil, expects("infix: +", "numbers/strings + numbers/strings")
		}
		return nil, expects("infix: "+op, "number "+op+" number")
	}
	switch op {
	case "+":
		return a + b, nil
	case "-":
		return a - b, nil
	case "*":
		return a * b, nil
	case "/":
		if b == 0 {
			return nil, newError(InterpreterError, "division by zero")
		}
		return a / b, nil
	}
	return power(b, a), nil
}

func compare(op string, first, second any) (any, error) {
	var less, same bool
	switch a := first.(type) {
	case float64:
		if b, ok := second.(float64); ok {
			// Written out, because no comparison holds for NaN.
			switch op {
			case "<":
				return a < b, nil
			case ">":
				return a > b, nil
			case "<=":
				return a <= b, nil
			}
			return a >= b, nil
		}
		return nil, expects("infix: "+op, "numbers/strings "+op+" numbers/strings")
	case string:
		b, ok := second.(string)
		if !ok {
			return nil, expects("infix: "+op, "numbers/strings "+op+" numbers/strings")
		}
		c := compareText(a, b)
		less, same = c < 0, c == 0
	default:
		return nil, expects("infix: "+op, "numbers/strings "+op+" numbers/strings")
	}
	switch op {
	case "<":
		return less, nil
	case ">":
		return !less && !same, nil
	case "<=":
		return less || same, nil
	}
	return !less, nil
}

// equal compares deeply; functions are equal to themselves only, NaN to nothing.
func (r *renderer) equal(a, b any) (bool, error) {
	if err := r.enter(); err != nil {
		return false, err
	}
	defer r.leave()
	switch a := a.(type) {
	case *list:
		b, ok := b.(*list)
		if !ok || len(a.items) != len(b.items) {
			return false, nil
		}
		for i := range a.items {
			if same, err := r.equal(a.items[i], b.items[i]); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	case *Object:
		b, ok := b.(*Object)
		if !ok || a.Len() != b.Len() {
			return false, nil
		}
		for _, e := range a.entries {
			other, ok := b.Get(e.key)
			if !ok {
				return false, nil
			}
			if same, err := r.equal(e.value, other); err != nil || !same {
				return false, err
			}
		}
		return true, nil
	}
	return a == b, nil
}

// contains is the `in` operator.
func (r *renderer) contains(in, what any) (any, error) {
	switch in := in.(type) {
	case *Object:
		key, ok := what.(string)
		if !ok {
			return nil, expects("Infix: in-object", "string on left side")
		}
		_, found := in.Get(key)
		return found, nil
	case string:
		part, ok := what.(string)
		if !ok {
			return nil, expects("Infix: in-string", "string on left side")
		}
		return strings.Contains(in, part), nil
	case *list:
		for _, item := range in.items {
			if same, err := r.equal(what, item); err != nil || same {
				return same, err
			}
		}
		return false, nil
	}
	return nil, expects("Infix: in", "Array, string, or object on right side")
}

func (r *renderer) property(n *property, sc *scope) (any, error) {
	of, err := r.eval(n.of, sc)
	if err != nil {
		return nil, err
	}
	o, ok := of.(*Object)
	if !ok {
		return nil, expects("infix: .", "objects")
	}
	if v, ok := o.Get(n.name); ok {
		return v, nil
	}
	return nil, newError(InterpreterError, `object has no property "%s"`, n.name)
}

func (r *renderer) call(n *call, sc *scope) (any, error) {
	v, err := r.eval(n.function, sc)
	if err != nil {
		return nil, err
	}
	f, ok := v.(*Function)
	if !ok {
		s, ok := toText(v, 0)
		if !ok {
			s = "the value"
		}
		return nil, newError(InterpreterError, "%s is not callable", s)
	}
	args, err := r.evalAll(n.args, sc)
	if err != nil {
		return nil, err
	}
	if f.builtin != nil {
		return f.builtin(r, sc, args)
	}
	return r.callForeign(f, args)
}

// callForeign calls a function of the context on copies.
func (r *renderer) callForeign(f *Function, args []any) (any, error) {
	for i := range args {
		if _, ok := args[i].(*Function); ok {
			return nil, newError(BuiltinError, "invalid arguments to %s", f.Name)
		}
		plain, err := r.exported(args[i])
		if err != nil {
			return nil, err
		}
		args[i] = plain
	}
	v, err := f.Call(args)
	if err != nil {
		return nil, newError(BuiltinError, "%s", err)
	}
	return imported(v, 0)
}
