package jsone

import (
	"math"
	"unicode/utf8"
)

// access is of[from] and of[from:to]. All parts are evaluated before their types are looked at.
func (r *renderer) access(n *access, sc *scope) (any, error) {
	of, err := r.eval(n.of, sc)
	if err != nil {
		return nil, err
	}
	var from, to any = 0.0, nil
	if n.from != nil {
		if from, err = r.eval(n.from, sc); err != nil {
			return nil, err
		}
	}
	if n.to != nil {
		if to, err = r.eval(n.to, sc); err != nil {
			return nil, err
		}
	}
	switch of := of.(type) {
	case *list:
		i, j, err := bounds(n.slice, len(of.items), from, to)
		if err != nil {
			return nil, err
		}
		if !n.slice {
			return of.items[i], nil
		}
		return &list{append([]any(nil), of.items[i:j]...)}, r.step(j - i)
	case string:
		return r.accessText(n.slice, of, from, to)
	case *Object:
		key, ok := from.(string)
		if !ok {
			return nil, newError(InterpreterError, "object keys must be strings")
		}
		v, _ := of.Get(key)
		return v, nil
	}
	return nil, expects(`infix: "[..]"`, "object, array, or string")
}

// accessText counts characters, not bytes.
func (r *renderer) accessText(slice bool, s string, from, to any) (any, error) {
	size := len(s)
	if !isASCII(s) {
		size = utf8.RuneCountInString(s)
		if err := r.step(len(s) / 16); err != nil {
			return nil, err
		}
	}
	i, j, err := bounds(slice, size, from, to)
	if err != nil {
		return nil, err
	}
	if size == len(s) {
		return s[i:j], r.text(j - i)
	}
	start := byteOffset(s, i)
	return s[start : start+byteOffset(s[start:], j-i)], r.text(j - i)
}

// byteOffset finds where the nth character starts.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// bounds turns an index or a slice's ends into positions 0 ≤ i ≤ j ≤ size. It keeps a habit of the reference: a
// slice's start that lies behind its end is cut to the end before anyone asks whether it is a whole number.
func bounds(slice bool, size int, from, to any) (int, int, error) {
	f, whole := from.(float64)
	if !whole {
		f = toNumber(from)
		if f < 0 {
			f = math.NaN()
		}
	} else if f < 0 {
		f = max(float64(size)+f, 0)
	}
	if !slice {
		if !whole || f != math.Trunc(f) || math.IsInf(f, 0) {
			return 0, 0, newError(InterpreterError, "should only use integers to access arrays or strings")
		}
		if f >= float64(size) {
			return 0, 0, newError(InterpreterError, "index out of bounds")
		}
		return int(f), int(f) + 1, nil
	}
	t, toWhole := float64(size), true
	if to != nil {
		t, toWhole = to.(float64)
	}
	if t < 0 {
		t = max(float64(size)+t, 0)
	}
	if toWhole && f > t {
		f, whole = t, true
	}
	if !whole || !toWhole || f != math.Trunc(f) || t != math.Trunc(t) || math.IsInf(f, 0) || math.IsInf(t, 0) {
		return 0, 0, newError(InterpreterError, "cannot perform interval access with non-integers")
	}
	return int(min(f, float64(size))), int(min(t, float64(size))), nil
}
