package bounded

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// guards are the functions that guarded files call in the place of operators and forms.
func guards() starlark.StringDict {
	out := starlark.StringDict{}
	for op := range guardedOps {
		out[op.String()] = starlark.NewBuiltin(op.String(), operator(op))
	}
	for _, op := range augmentedOps {
		out[guardRight+op.String()] = starlark.NewBuiltin(op.String()+"=", rightSide(op))
	}
	out[guardMethod] = starlark.NewBuiltin(guardMethod, method)
	out[guardTuple] = starlark.NewBuiltin(guardTuple, passTuple)
	out[guardSlice] = starlark.NewBuiltin(guardSlice, passMade)
	out[guardSpread] = starlark.NewBuiltin(guardSpread, passSpread)
	return out
}

type builtin = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

// operator is x op y after a look at x and y.
func operator(op syntax.Token) builtin {
	if isComparison(op) {
		return comparison(op)
	}
	return func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		b := BudgetOf(t)
		if err := b.before(t, op, args[0], args[1]); err != nil {
			return nil, err
		}
		v, err := starlark.Binary(op, Real(args[0]), Real(args[1]))
		if err != nil {
			return nil, fmt.Errorf("%w, in %s %s %s", err, Brief(args[0], BriefOperand), op, Brief(args[1], BriefOperand))
		}
		return v, b.tuple(v)
	}
}

// rightSide looks at left op right and gives right: the interpreter then does the rest.
func rightSide(op syntax.Token) builtin {
	return func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return Real(args[1]), BudgetOf(t).before(t, op, args[0], args[1])
	}
}

// before charges for x op y, where op makes a value.
func (b *Budget) before(t *starlark.Thread, op syntax.Token, x, y starlark.Value) error {
	if _, ok := x.(starlark.Int); ok {
		if _, ok := y.(starlark.Int); ok {
			return integers(op, x.(starlark.Int), y.(starlark.Int))
		}
	}
	switch op {
	case syntax.STAR:
		return b.repetition(t, x, y)
	case syntax.PERCENT:
		if s, ok := x.(starlark.String); ok {
			return b.formatted(t, len(s), y)
		}
		return nil
	}
	return b.joined(t, x, y)
}

// joined charges for a value as large as x and y together.
func (b *Budget) joined(t *starlark.Thread, x, y starlark.Value) error {
	if s, ok := x.(starlark.String); ok {
		r, _ := y.(starlark.String)
		return b.Text(len(s) + len(r))
	}
	if s, ok := x.(starlark.Bytes); ok {
		r, _ := y.(starlark.Bytes)
		return b.Text(len(s) + len(r))
	}
	n := max(starlark.Len(x), 0) + max(starlark.Len(y), 0)
	return b.Elements(t, n)
}

// repetition charges for x * y, one of which is a number.
func (b *Budget) repetition(t *starlark.Thread, x, y starlark.Value) error {
	if _, ok := x.(starlark.Int); ok {
		x, y = y, x
	}
	n, err := starlark.AsInt32(y)
	if err != nil || n <= 0 {
		return nil // an error or an empty value: the interpreter says which
	}
	size := starlark.Len(x)
	if size <= 0 {
		return nil
	}
	if size > (1<<40)/n {
		return Limitf("repeats a value of length %d %d times", size, n)
	}
	switch x.(type) {
	case starlark.String, starlark.Bytes:
		return b.Text(size * n)
	}
	return b.Elements(t, size*n)
}

// formatted charges for a text made of a pattern of n bytes and the text of v.
func (b *Budget) formatted(t *starlark.Thread, n int, v starlark.Value) error {
	w, err := b.Measure(t, v)
	if err != nil {
		return err
	}
	return b.Text(n + w.bytes + 4*w.values)
}

// maxBits bounds integers: arithmetic on larger ones would take long for one step.
const maxBits = 1 << 14

func integers(op syntax.Token, x, y starlark.Int) error {
	bits := max(bitLen(x), bitLen(y)) + 1
	switch op {
	case syntax.STAR:
		bits = bitLen(x) + bitLen(y)
	case syntax.LTLT:
		bits = bitLen(x) + 512 // the interpreter shifts no further
	}
	if bits > maxBits {
		return Limitf("makes an integer of more than %d bits", maxBits)
	}
	return nil
}

func bitLen(x starlark.Int) int {
	if _, ok := x.Int64(); ok {
		return 64
	}
	return x.BigInt().BitLen()
}

func isComparison(op syntax.Token) bool {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.GT, syntax.LE, syntax.GE, syntax.IN, syntax.NOT_IN:
		return true
	}
	return false
}

// comparison is x op y after a look at the sizes.
func comparison(op syntax.Token) builtin {
	return func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		x, y := args[0], args[1]
		lazy, err := BudgetOf(t).compared(t, op, x, y)
		if err != nil {
			return nil, err
		}
		if lazy {
			x, y = plain(x), plain(y)
		}
		var v starlark.Value
		if op == syntax.IN || op == syntax.NOT_IN {
			v, err = starlark.Binary(op, x, y)
		} else {
			var ok bool
			ok, err = starlark.Compare(op, x, y)
			v = starlark.Bool(ok)
		}
		if err != nil {
			return nil, fmt.Errorf("%w, in %s %s %s", err, Brief(x, BriefOperand), op, Brief(y, BriefOperand))
		}
		return v, nil
	}
}

// compared charges for comparing x with y, or for looking for x in y; lazy tells that they hold
// dicts which the interpreter cannot compare.
func (b *Budget) compared(t *starlark.Thread, op syntax.Token, x, y starlark.Value) (lazy bool, err error) {
	if op == syntax.IN || op == syntax.NOT_IN {
		switch y := y.(type) {
		case *starlark.List:
			t.Steps += uint64(y.Len() / 8)
		case starlark.Tuple:
			t.Steps += uint64(len(y) / 8)
		case starlark.String:
			t.Steps += uint64(len(y) / 64)
			return false, nil
		default:
			return false, nil // found by its hash
		}
	} else if isScalar(y) {
		return false, nil
	}
	if isScalar(x) {
		return false, nil
	}
	in, err := b.Measure(t, x)
	if err != nil {
		return false, err
	}
	of, err := b.Measure(t, y)
	return in.lazy || of.lazy, err
}

func isScalar(v starlark.Value) bool {
	switch v.(type) {
	case starlark.String, starlark.Int, starlark.Bool, starlark.NoneType, starlark.Float, starlark.Bytes:
		return true
	}
	return false
}

func passTuple(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], BudgetOf(t).tuple(args[0])
}

// passMade charges for a slice that was just made; it is no larger than what it was cut from.
func passMade(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], BudgetOf(t).made(t, args[0])
}

// made charges for a value an operation gave.
func (b *Budget) made(t *starlark.Thread, v starlark.Value) error {
	switch v := v.(type) {
	case starlark.String:
		return b.Text(len(v))
	case starlark.Bytes:
		return b.Text(len(v))
	case starlark.Tuple:
		if err := b.tuple(v); err != nil {
			return err
		}
		return b.Elements(t, len(v))
	case *starlark.List:
		return b.Elements(t, v.Len())
	case *starlark.Dict:
		return b.Elements(t, 4*v.Len())
	case *Dict:
		return b.Elements(t, 4*v.Len())
	case *starlark.Set:
		return b.Elements(t, 3*v.Len())
	}
	return nil
}

// passSpread looks at the value of f(*value).
func passSpread(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return args[0], BudgetOf(t).iterated(t, args[0])
}

// iterated charges for walking all of v in one step. What has no length cannot be walked.
func (b *Budget) iterated(t *starlark.Thread, v starlark.Value) error {
	n := starlark.Len(v)
	if n < 0 {
		if _, ok := v.(starlark.Iterable); ok {
			return fmt.Errorf("cannot walk a %s here: make a list first", v.Type())
		}
		return nil
	}
	return b.Elements(t, n)
}

// Equal compares two values as == does.
func Equal(t *starlark.Thread, x, y starlark.Value) (bool, error) {
	lazy, err := BudgetOf(t).compared(t, syntax.EQL, x, y)
	if err != nil {
		return false, err
	}
	if lazy {
		x, y = plain(x), plain(y)
	}
	return starlark.Equal(x, y)
}

// Contains reports whether x in y holds.
func Contains(t *starlark.Thread, x, y starlark.Value) (bool, error) {
	lazy, err := BudgetOf(t).compared(t, syntax.IN, x, y)
	if err != nil {
		return false, err
	}
	if lazy {
		x, y = plain(x), plain(y)
	}
	v, err := starlark.Binary(syntax.IN, x, y)
	if err != nil {
		return false, err
	}
	return bool(v.Truth()), nil
}

// Within checks that v can be followed whole within the limits, and charges for it.
func Within(t *starlark.Thread, v starlark.Value) error {
	_, err := BudgetOf(t).Measure(t, v)
	return err
}
