package jsone

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spaces is what JavaScript calls white space, line ends included.
const spaces = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

func isSpace(c rune) bool {
	if c < utf8.RuneSelf {
		return c == ' ' || (c >= '\t' && c <= '\r')
	}
	return strings.ContainsRune(spaces, c)
}

// compareText orders strings as JavaScript does: by UTF-16 units, where characters beyond the basic plane come before
// U+E000 to U+FFFF.
func compareText(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i == len(a) || i == len(b) {
		return len(a) - len(b)
	}
	// A lead byte of 0xf0 and above starts a character beyond the basic plane; 0xee and 0xef start U+E000 to U+FFFF.
	// Inside a character both strings share its lead byte, and the order of bytes is the order of units.
	x, y := a[i], b[i]
	if x >= 0xf0 && y >= 0xee && y < 0xf0 {
		return -1
	}
	if y >= 0xf0 && x >= 0xee && x < 0xf0 {
		return 1
	}
	return int(x) - int(y)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// formatNumber prints a number as JavaScript does.
func formatNumber(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f == 0:
		return "0"
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'e', -1, 64)
	// Go writes at least two digits of exponent, JavaScript no more than needed.
	if n := len(s); n >= 4 && s[n-2] == '0' && (s[n-3] == '-' || s[n-3] == '+') {
		s = s[:n-2] + s[n-1:]
	}
	return s
}

// parseDecimal reads digits with an optional fraction and exponent; what is too large is an infinity.
func parseDecimal(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// parseNumber is JavaScript's Number(string).
func parseNumber(s string) float64 {
	s = strings.Trim(s, spaces)
	switch s {
	case "":
		return 0
	case "Infinity", "+Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	if len(s) > 2 && s[0] == '0' {
		base := map[byte]float64{'x': 16, 'X': 16, 'o': 8, 'O': 8, 'b': 2, 'B': 2}[s[1]]
		if base != 0 {
			return parseDigits(s[2:], base)
		}
	}
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return math.NaN() // names such as inf, and underscores, which Go would take
	}
	return parseDecimal(s)
}

func parseDigits(s string, base float64) float64 {
	if strings.ContainsAny(s, "_+-") {
		return math.NaN()
	}
	if n, err := strconv.ParseUint(s, int(base), 64); err == nil {
		return float64(n)
	}
	f := 0.0
	for _, c := range strings.ToLower(s) {
		digit := float64(strings.IndexRune("0123456789abcdef", c))
		if digit < 0 || digit >= base {
			return math.NaN()
		}
		f = f*base + digit
	}
	return f
}

// toNumber is JavaScript's conversion of any value.
func toNumber(v any) float64 {
	switch v := v.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case string:
		return parseNumber(v)
	case *list:
		if s, ok := toText(v, 0); ok {
			return parseNumber(s)
		}
	}
	return math.NaN()
}

// toText is JavaScript's conversion of a value to a string as join and messages use it; false when there is none.
func toText(v any, depth int) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "null", true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return formatNumber(v), true
	case string:
		return v, true
	case *list:
		return joinText(v, ",", depth+1)
	case *Object:
		_, shadowed := v.Get("toString")
		return "[object Object]", !shadowed
	}
	return "", false
}

// joinText is JavaScript's Array.join, where null is nothing.
func joinText(l *list, separator string, depth int) (string, bool) {
	if depth > 100 {
		return "", false
	}
	var b strings.Builder
	for i, item := range l.items {
		if i > 0 {
			b.WriteString(separator)
		}
		if item == nil {
			continue
		}
		s, ok := toText(item, depth)
		if !ok || b.Len() > DefaultOutput {
			return "", false
		}
		b.WriteString(s)
	}
	return b.String(), true
}

// quoteJSON writes a string as JavaScript's JSON.stringify does.
func quoteJSON(s string) string {
	return string(appendQuoted(nil, s))
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(b, s[start:]...), '"')
}

// AppendJSON writes a rendered value as JSON without spaces, objects in their order. Numbers that JSON does not have
// (NaN and the infinities) become null, as in JavaScript.
func AppendJSON(b []byte, v any) []byte {
	return appendJSON(b, v, (*Object).ordered)
}

func appendJSON(b []byte, v any, order func(*Object) []entry) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return append(b, "null"...)
		}
		return append(b, formatNumber(v)...)
	case string:
		return appendQuoted(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item, order)
		}
		return append(b, ']')
	case *Object:
		b = append(b, '{')
		for i, e := range order(v) {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendQuoted(b, e.key), ':')
			b = appendJSON(b, e.value, order)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}
