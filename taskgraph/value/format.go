package value

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Names gives the values that the fields of a format string name.
type Names interface {
	// Lookup returns the value of name, and whether there is one.
	Lookup(name string) (any, bool)
}

// NameMap is a map used as Names.
type NameMap map[string]any

// Lookup implements Names.
func (m NameMap) Lookup(name string) (any, bool) { v, ok := m[name]; return v, ok }

// Name is one name with its value, used as Names.
type Name struct {
	Name  string
	Value any
}

// Lookup implements Names.
func (n *Name) Lookup(name string) (any, bool) { return n.Value, name == n.Name }

// NameFunc is a function used as Names.
type NameFunc func(name string) (any, bool)

// Lookup implements Names.
func (f NameFunc) Lookup(name string) (any, bool) { return f(name) }

// Format fills the fields of s as the field's kind files write them: {name}, {name[key]},
// {name!r}, {name:>8}, and {{ and }} for the braces themselves (taskgraph-map 7). A string
// without braces is returned as it is.
func Format(s string, names Names) (string, error) {
	if strings.IndexByte(s, '{') < 0 && strings.IndexByte(s, '}') < 0 {
		return s, nil
	}
	return format(s, names, 0)
}

// maxText bounds what a string may become, in bytes.
const maxText = 1 << 20

func format(s string, names Names, depth int) (string, error) {
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		at := strings.IndexAny(s[i:], "{}")
		if at < 0 {
			b.WriteString(s[i:])
			break
		}
		b.WriteString(s[i : i+at])
		i += at
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteByte(s[i])
			i += 2
			continue
		}
		if s[i] == '}' {
			return "", fmt.Errorf("in %q: a single } stands alone; write }} for the brace itself", s)
		}
		end := closing(s, i)
		if end < 0 {
			return "", fmt.Errorf("in %q: a { is never closed; write {{ for the brace itself", s)
		}
		text, err := field(s[i+1:end], names, depth)
		if err != nil {
			return "", fmt.Errorf("in %q: %w", s, err)
		}
		if b.Len()+len(text) > maxText {
			return "", fmt.Errorf("in %.40q…: the text is longer than %d kB once its fields are filled", s, maxText>>10)
		}
		b.WriteString(text)
		i = end + 1
	}
	return b.String(), nil
}

// closing returns the place of the } that closes the { at start, -1 without one. Inside [ ]
// braces are text.
func closing(s string, start int) int {
	depth, index := 0, false
	for i := start; i < len(s); i++ {
		switch c := s[i]; {
		case index:
			index = c != ']'
		case c == '[' && depth == 1:
			index = true
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// field gives the text of one field: name, then ! and a conversion, then : and a format.
func field(s string, names Names, depth int) (string, error) {
	name, spec := s, ""
	conversion := byte(0)
	if at := fieldEnd(s); at < len(s) {
		name = s[:at]
		rest := s[at:]
		if rest[0] == '!' {
			if len(rest) < 2 || len(rest) > 2 && rest[2] != ':' {
				return "", fmt.Errorf("{%s}: a conversion is one of !s, !r, !a", s)
			}
			conversion, rest = rest[1], rest[2:]
		}
		if rest != "" {
			spec = rest[1:]
		}
	}
	v, err := lookup(name, names)
	if err != nil {
		return "", err
	}
	switch conversion {
	case 0:
	case 's':
		v = Text(v)
	case 'r', 'a':
		v = repr(v)
	default:
		return "", fmt.Errorf("{%s}: the conversion !%c is not one of !s, !r, !a", s, conversion)
	}
	if strings.ContainsAny(spec, "{}") {
		if depth > 0 {
			return "", fmt.Errorf("{%s}: fields are nested too deep", s)
		}
		if spec, err = format(spec, names, depth+1); err != nil {
			return "", err
		}
	}
	if spec == "" {
		return Text(v), nil
	}
	return applySpec(v, spec)
}

// fieldEnd is where the name ends: at the first ! or : outside [ ].
func fieldEnd(s string) int {
	index := false
	for i := range len(s) {
		switch c := s[i]; {
		case index:
			index = c != ']'
		case c == '[':
			index = true
		case c == '!' || c == ':':
			return i
		}
	}
	return len(s)
}

func lookup(name string, names Names) (any, error) {
	at := strings.IndexAny(name, ".[")
	first := name
	if at >= 0 {
		first = name[:at]
	}
	if first == "" || first[0] >= '0' && first[0] <= '9' {
		return nil, fmt.Errorf("{%s} names nothing: fields are filled by name, not by place", name)
	}
	v, ok := names.Lookup(first)
	if !ok {
		return nil, fmt.Errorf("{%s} is not known here", first)
	}
	for at >= 0 && at < len(name) {
		key, next, err := index(name, at)
		if err != nil {
			return nil, err
		}
		if v, ok = element(v, key); !ok {
			return nil, fmt.Errorf("{%s}: there is no %q in {%s}", name, key, name[:at])
		}
		at = next
	}
	return v, nil
}

// index reads "[key]" or ".key" at name[at:] and returns the key and where it ends.
func index(name string, at int) (key string, next int, err error) {
	if name[at] == '[' {
		end := strings.IndexByte(name[at:], ']')
		if end < 2 {
			return "", 0, fmt.Errorf("{%s}: [ ] must hold a key", name)
		}
		next = at + end + 1
		if next < len(name) && name[next] != '[' && name[next] != '.' {
			return "", 0, fmt.Errorf("{%s}: only [ or . may follow ]", name)
		}
		return name[at+1 : at+end], next, nil
	}
	end := strings.IndexAny(name[at+1:], ".[")
	if end < 0 {
		return name[at+1:], len(name), nil
	}
	return name[at+1 : at+1+end], at + 1 + end, nil
}

func element(v any, key string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		e, ok := v[key]
		return e, ok
	case Names:
		return v.Lookup(key)
	case []any:
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	case string:
		i, err := strconv.Atoi(key)
		letters := []rune(v)
		if err != nil || i < 0 || i >= len(letters) {
			return nil, false
		}
		return string(letters[i]), true
	}
	return nil, false
}

// Substitute formats every string in v, keys of mappings too. What needs no change is shared.
func Substitute(v any, names Names) (any, error) {
	switch v := v.(type) {
	case string:
		return Format(v, names)
	case []any:
		return substituteList(v, names)
	case map[string]any:
		return substituteMap(v, names)
	}
	return v, nil
}

func substituteList(list []any, names Names) (any, error) {
	out := list
	for i, e := range list {
		n, err := Substitute(e, names)
		if err != nil {
			return nil, err
		}
		if same(e, n) {
			continue
		}
		if &out[0] == &list[0] {
			out = append([]any(nil), list...)
		}
		out[i] = n
	}
	return out, nil
}

func substituteMap(m map[string]any, names Names) (any, error) {
	var out map[string]any // made when the first value changes
	for k, v := range m {
		if strings.ContainsAny(k, "{}") {
			return substituteKeys(m, names)
		}
		n, err := Substitute(v, names)
		if err != nil {
			return substituteKeys(m, names) // gives the error of the first key in sorted order
		}
		if same(v, n) {
			continue
		}
		if out == nil {
			out = maps.Clone(m)
		}
		out[k] = n
	}
	if out == nil {
		return m, nil
	}
	return out, nil
}

// SubstituteOwn is Substitute for a mapping that nobody shares: its values are replaced in place. It
// does nothing and returns false where that cannot be done: keys are to be formatted, or something is
// wrong.
func SubstituteOwn(m map[string]any, names Names) bool {
	type change struct {
		key   string
		value any
	}
	var few [8]change
	changes := few[:0]
	for k, v := range m {
		if strings.ContainsAny(k, "{}") {
			return false
		}
		n, err := Substitute(v, names)
		if err != nil {
			return false
		}
		if !same(v, n) {
			changes = append(changes, change{k, n})
		}
	}
	for _, c := range changes {
		m[c.key] = c.value
	}
	return true
}

// substituteKeys formats a mapping some of whose keys hold fields. Of keys that become one, the
// last in sorted order counts.
func substituteKeys(m map[string]any, names Names) (any, error) {
	out := make(map[string]any, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		key, err := Format(k, names)
		if err != nil {
			return nil, err
		}
		if out[key], err = Substitute(m[k], names); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// same reports whether Substitute gave v back: the very value, not an equal one.
func same(v, n any) bool {
	switch v := v.(type) {
	case string:
		n, ok := n.(string)
		return ok && v == n
	case []any:
		n, ok := n.([]any)
		return ok && len(v) == len(n) && (len(v) == 0 || &v[0] == &n[0])
	case map[string]any:
		n, ok := n.(map[string]any)
		return ok && identity(v) == identity(n)
	}
	return true
}
