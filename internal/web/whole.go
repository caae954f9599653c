package web

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// exact is the largest whole number up to which JSON's numbers, as most programs hold them, are exact.
const exact = 1 << 53

// whole returns valid JSON text with whole numbers written plainly: 5.0 and 5e0 are integers to JSON Schema, and to clients
// that know but one kind of number, but not to Go. changed tells whether there was one.
func whole(text []byte) (out []byte, changed bool) {
	done, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '-' || c >= '0' && c <= '9'):
			end := i + 1
			for end < len(text) && strings.IndexByte("0123456789+-.eE", text[end]) >= 0 {
				end++
			}
			if plain, ok := plainly(string(text[i:end])); ok {
				out, done = append(append(out, text[done:i]...), plain...), end
			}
			i = end - 1
		}
	}
	return slices.Concat(out, text[done:]), done > 0
}

// plainly writes a whole number that has a fraction or an exponent without them.
func plainly(number string) (string, bool) {
	if !strings.ContainsAny(number, ".eE") {
		return "", false
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v != math.Trunc(v) || math.Abs(v) > exact {
		return "", false
	}
	return strconv.FormatInt(int64(v), 10), true
}
