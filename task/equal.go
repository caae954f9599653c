package task

import (
	"bytes"
	"encoding/json"
	"math/big"
)

// SameJSON compares two JSON texts by value: key order and white space do not count, numbers
// are equal when their values are (1.0 and 1e0), and no text is null.
func SameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && sameValue(x, y)
}

func decode(data []byte) (v any, err error) {
	if len(data) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func sameValue(x, y any) bool {
	switch x := x.(type) {
	case json.Number:
		n, ok := y.(json.Number)
		return ok && sameNumber(x, n)
	case []any:
		l, ok := y.([]any)
		if !ok || len(l) != len(x) {
			return false
		}
		for i := range x {
			if !sameValue(x[i], l[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		m, ok := y.(map[string]any)
		if !ok || len(m) != len(x) {
			return false
		}
		for k, v := range x {
			w, ok := m[k]
			if !ok || !sameValue(v, w) {
				return false
			}
		}
		return true
	default:
		return x == y
	}
}

// maxExactNumber bounds the text of a number compared by exact value, so that 1e999999999 costs
// nothing.
const maxExactNumber = 64

func sameNumber(x, y json.Number) bool {
	if x == y {
		return true
	}
	fx, errX := x.Float64()
	fy, errY := y.Float64()
	if errX != nil || errY != nil || fx != fy {
		return false
	}
	if len(x) > maxExactNumber || len(y) > maxExactNumber {
		return false
	}
	a, okA := new(big.Rat).SetString(x.String())
	b, okB := new(big.Rat).SetString(y.String())
	return okA && okB && a.Cmp(b) == 0
}
