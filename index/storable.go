package index

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// storable reports whether valid JSON can be a jsonb, which is pickier than JSON: it refuses \u0000,
// escapes that are half of a surrogate pair, bytes that are no UTF-8, and numbers beyond its range.
// A refusal by the database would fail the transaction that resolves the task.
func storable(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			n := escape(text[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		case !quoted && (c == 'e' || c == 'E') && exponent(text[i+1:]) > maxExponent:
			return false
		}
	}
	return true
}

// escape returns the length of the escape that text begins with, 0 when it stands for nothing that
// can be kept.
func escape(text []byte) int {
	r := unit(text)
	switch {
	case r < 0:
		return 2 // such as \n
	case r == 0:
		return 0
	case utf16.IsSurrogate(r):
		if utf16.DecodeRune(r, unit(text[6:])) == utf8.RuneError {
			return 0
		}
		return 12
	}
	return 6
}

// unit returns the code unit of the escape \uXXXX that text begins with, -1 when it begins otherwise.
func unit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// maxExponent is how many digits a number's exponent may have.
const maxExponent = 4

// exponent counts the digits of an exponent. The letter may also stand in true or false, and then
// there are none.
func exponent(text []byte) int {
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}
