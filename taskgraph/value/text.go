package value

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"
)

func identity(m map[string]any) unsafe.Pointer { return reflect.ValueOf(m).UnsafePointer() }

// Same reports whether a and b are one map, not merely equal ones.
func Same(a, b map[string]any) bool { return identity(a) == identity(b) }

// Text is v as a format string shows it: True and None have the names that migrated kinds
// expect, lists and mappings are shown with their strings quoted.
func Text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return repr(v)
}

func repr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return quote(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case int:
		return strconv.Itoa(v)
	case float64:
		return floatText(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = repr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for k, e := range v {
			parts = append(parts, quote(k)+": "+repr(e))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func quote(s string) string {
	q := byte('\'')
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		q = '"'
	}
	var b strings.Builder
	b.WriteByte(q)
	for _, r := range s {
		switch {
		case r == rune(q) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(q)
	return b.String()
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	form := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		form = 'e'
	}
	s := strconv.FormatFloat(f, form, -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// spec is a parsed format: [[fill]align][sign][#][0][width][,_][.precision][type].
type spec struct {
	fill             rune
	align, sign      byte
	alt              bool
	group            byte // what stands between thousands: ',' or '_', 0 for nothing
	width, precision int  // precision -1: none
	kind             byte
}

const maxWidth = 10_000

func parseSpec(s string) (spec, error) {
	p := spec{fill: ' ', precision: -1}
	whole := s
	if r, n := utf8.DecodeRuneInString(s); len(s) > n && strings.IndexByte("<>=^", s[n]) >= 0 {
		p.fill, p.align, s = r, s[n], s[n+1:]
	} else if s != "" && strings.IndexByte("<>=^", s[0]) >= 0 {
		p.align, s = s[0], s[1:]
	}
	if s != "" && strings.IndexByte("+- ", s[0]) >= 0 {
		p.sign, s = s[0], s[1:]
	}
	if s, p.alt = cut(s, '#'); s != "" && s[0] == '0' {
		if p.align == 0 {
			p.fill, p.align = '0', '='
		}
		s = s[1:]
	}
	p.width, s = digits(s)
	if s != "" && (s[0] == ',' || s[0] == '_') {
		p.group, s = s[0], s[1:]
	}
	if strings.HasPrefix(s, ".") {
		if len(s) < 2 || s[1] < '0' || s[1] > '9' {
			return p, fmt.Errorf("the format %q lacks its precision", whole)
		}
		p.precision, s = digits(s[1:])
	}
	if len(s) > 1 || p.width > maxWidth || p.precision > maxWidth {
		return p, fmt.Errorf("the format %q is not understood", whole)
	}
	if s != "" {
		p.kind = s[0]
	}
	return p, nil
}

func cut(s string, c byte) (string, bool) {
	if s != "" && s[0] == c {
		return s[1:], true
	}
	return s, false
}

func digits(s string) (int, string) {
	n, i := 0, 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = min(n*10+int(s[i]-'0'), maxWidth+1)
		i++
	}
	return n, s[i:]
}

func applySpec(v any, text string) (string, error) {
	p, err := parseSpec(text)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		if p.kind != 0 && p.kind != 's' || p.align == '=' || p.sign != 0 {
			return "", fmt.Errorf("the format %q does not fit a string", text)
		}
		if p.precision >= 0 {
			if r := []rune(v); len(r) > p.precision {
				v = string(r[:p.precision])
			}
		}
		return p.pad(v, "", '<'), nil
	case int64:
		return p.integer(v, text)
	case float64:
		return p.float(v, text)
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		return p.integer(n, text)
	}
	return "", fmt.Errorf("the format %q does not fit %s", text, Kind(v))
}

func (p spec) integer(v int64, text string) (string, error) {
	base, prefix := 10, ""
	switch p.kind {
	case 0, 'd', 'n':
	case 'x', 'X':
		base, prefix = 16, "0x"
	case 'o':
		base, prefix = 8, "0o"
	case 'b':
		base, prefix = 2, "0b"
	case 'e', 'E', 'f', 'F', 'g', 'G', '%':
		return p.float(float64(v), text)
	case 'c':
		return p.pad(string(rune(v)), "", '<'), nil
	default:
		return "", fmt.Errorf("the format %q does not fit an integer", text)
	}
	digits := strconv.FormatUint(uint64(max(v, -v)), base)
	if !p.alt {
		prefix = ""
	}
	if p.kind == 'X' {
		digits, prefix = strings.ToUpper(digits), strings.ToUpper(prefix)
	}
	if p.group != 0 {
		digits = grouped(digits, p.group, base)
	}
	return p.pad(digits, p.signOf(v < 0)+prefix, '>'), nil
}

func (p spec) float(v float64, text string) (string, error) {
	kind, precision, suffix := p.kind, p.precision, ""
	if precision < 0 {
		precision = 6
	}
	a := math.Abs(v)
	var digits string
	switch kind {
	case 0:
		digits = floatText(a)
		if p.precision >= 0 {
			digits = strconv.FormatFloat(a, 'g', max(p.precision, 1), 64)
		}
	case 'e', 'E', 'f', 'F', 'g', 'G':
		digits = strconv.FormatFloat(a, kind|0x20, precision, 64)
	case '%':
		digits, suffix = strconv.FormatFloat(a*100, 'f', precision, 64), "%"
	default:
		return "", fmt.Errorf("the format %q does not fit a number", text)
	}
	if p.group != 0 {
		whole, rest, _ := strings.Cut(digits, ".")
		if rest != "" {
			rest = "." + rest
		}
		digits = grouped(whole, p.group, 10) + rest
	}
	return p.pad(digits+suffix, p.signOf(math.Signbit(v)), '>'), nil
}

func (p spec) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case p.sign == '+' || p.sign == ' ':
		return string(p.sign)
	}
	return ""
}

// grouped puts sep between groups of digits: of three, of four where the base is no ten.
func grouped(digits string, sep byte, base int) string {
	size := 3
	if base != 10 {
		size = 4
	}
	for i := len(digits) - size; i > 0; i -= size {
		digits = digits[:i] + string(sep) + digits[i:]
	}
	return digits
}

func (p spec) pad(body, sign string, align byte) string {
	if p.align != 0 {
		align = p.align
	}
	missing := p.width - utf8.RuneCountInString(body) - len(sign)
	if missing <= 0 {
		return sign + body
	}
	fill := func(n int) string { return strings.Repeat(string(p.fill), n) }
	switch align {
	case '<':
		return sign + body + fill(missing)
	case '^':
		return fill(missing/2) + sign + body + fill(missing-missing/2)
	case '=':
		return sign + fill(missing) + body
	}
	return fill(missing) + sign + body
}
