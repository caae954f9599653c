package source

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// shared is a value that aliases may name again, with the number of values it stands for.
type shared struct {
	value any
	size  int
	open  bool // being read: an alias to it would be a circle
}

type reader struct {
	file *File
	done map[*yaml.Node]shared // of anchored nodes
}

func (r *reader) errorf(n *yaml.Node, format string, args ...any) error {
	return &graph.Error{File: r.file.Path, Line: n.Line, Message: fmt.Sprintf(format, args...)}
}

// value returns the value of n and how many values it stands for.
func (r *reader) value(n *yaml.Node, depth int) (any, int, error) {
	if depth > MaxDepth {
		return nil, 0, r.errorf(n, "is nested deeper than %d levels", MaxDepth)
	}
	if n.Kind == yaml.AliasNode {
		s, ok := r.done[n.Alias]
		if !ok || s.open {
			return nil, 0, r.errorf(n, "the alias *%s stands inside the value that it names", n.Value)
		}
		return s.value, s.size, nil
	}
	if n.Anchor != "" {
		r.done[n] = shared{open: true}
	}
	v, size, err := r.plain(n, depth)
	if err != nil {
		return nil, 0, err
	}
	if n.Anchor != "" {
		r.done[n] = shared{value: v, size: size}
	}
	return v, size, nil
}

func (r *reader) plain(n *yaml.Node, depth int) (any, int, error) {
	switch n.Kind {
	case yaml.ScalarNode:
		v, err := r.scalar(n)
		return v, 1, err
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		total := 1
		for i, c := range n.Content {
			v, size, err := r.value(c, depth+1)
			if err != nil {
				return nil, 0, err
			}
			list[i] = v
			total = add(total, size)
		}
		return list, total, nil
	case yaml.MappingNode:
		return r.mapping(n, depth)
	}
	return nil, 0, r.errorf(n, "holds something that is neither a scalar, a list nor a mapping")
}

// add adds sizes and stops at a number beyond every limit instead of overflowing.
func add(a, b int) int { return min(a+b, math.MaxInt/4) }

func (r *reader) mapping(n *yaml.Node, depth int) (any, int, error) {
	m := make(map[string]any, len(n.Content)/2)
	total := 1
	var own map[string]bool // keys of n itself, where it has others, too
	if slices.ContainsFunc(n.Content, isMerge) {
		own = make(map[string]bool, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, c := n.Content[i], n.Content[i+1]
		if isMerge(k) {
			size, err := r.merge(m, own, c, depth)
			if err != nil {
				return nil, 0, err
			}
			total = add(total, size)
			continue
		}
		key, ok := keyText(k)
		if !ok {
			return nil, 0, r.errorf(k, "a key must be text or a number, not a list or a mapping")
		}
		v, size, err := r.value(c, depth+1)
		if err != nil {
			return nil, 0, err
		}
		if _, there := m[key]; there && (own == nil || own[key]) {
			r.file.Warnings = append(r.file.Warnings, &graph.Error{File: r.file.Path, Line: k.Line,
				Message: fmt.Sprintf("the key %q is given twice; the last one counts", key)})
		}
		if own != nil {
			own[key] = true
		}
		m[key] = v
		total = add(total, size)
	}
	return m, total, nil
}

// merge puts the pairs of the mappings that "<<" names into m where m has none of its own.
func (r *reader) merge(m map[string]any, own map[string]bool, c *yaml.Node, depth int) (int, error) {
	total := 0
	sources := merged(c)
	if sources == nil {
		return 0, r.errorf(c, "<< needs a mapping or a list of mappings")
	}
	for i := len(sources) - 1; i >= 0; i-- { // the first of a list counts most
		v, size, err := r.value(sources[i], depth+1)
		if err != nil {
			return 0, err
		}
		from, ok := v.(map[string]any)
		if !ok {
			return 0, r.errorf(sources[i], "<< needs a mapping or a list of mappings")
		}
		for key, v := range from {
			if !own[key] {
				m[key] = v
			}
		}
		total = add(total, size)
	}
	return total, nil
}

func isMerge(k *yaml.Node) bool {
	return k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0
}

// merged returns the mappings that the value of "<<" names.
func merged(c *yaml.Node) []*yaml.Node {
	y := c
	for y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	switch y.Kind {
	case yaml.MappingNode:
		return []*yaml.Node{c}
	case yaml.SequenceNode:
		return y.Content
	}
	return nil
}

// keyText is a key as text: numbers as written, booleans and null by their name.
func keyText(k *yaml.Node) (string, bool) {
	for k.Kind == yaml.AliasNode {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode {
		return "", false
	}
	if k.Value != "" && k.Style == 0 && !meaning(k.Value[0]) {
		return k.Value, true // a word
	}
	if !isPlain(k) || explicitTag(k) == "!!str" {
		return k.Value, true
	}
	switch v, _ := resolve(k.Value); v := v.(type) {
	case bool:
		return strconv.FormatBool(v), true
	case nil:
		return "null", true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return k.Value, true
}

// meaning reports whether a plain scalar that begins so may be something else than its text.
func meaning(first byte) bool {
	return first >= '0' && first <= '9' || strings.IndexByte("+-.yYnNtTfFoO~", first) >= 0
}

// keyIs reports whether key is the text of k. Most keys are words, which need no look at what they
// might mean as values.
func keyIs(k *yaml.Node, key string) bool {
	if k.Kind == yaml.ScalarNode && k.Value != "" && k.Value != key && !meaning(k.Value[0]) {
		return false
	}
	text, ok := keyText(k)
	return ok && text == key
}

const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

func isPlain(n *yaml.Node) bool { return n.Style&quoted == 0 }

func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 {
		return ""
	}
	return n.ShortTag()
}

func (r *reader) scalar(n *yaml.Node) (any, error) {
	tag := explicitTag(n)
	switch {
	case tag == "!!str", tag == "!", tag == "" && !isPlain(n):
		return n.Value, nil
	case tag == "", tag == "!!int", tag == "!!bool", tag == "!!null", tag == "!!float":
		v, err := resolve(n.Value)
		if err != nil {
			return nil, r.errorf(n, "%v", err)
		}
		if i, ok := v.(int64); ok && tag == "!!float" {
			return float64(i), nil
		}
		return v, nil
	}
	return nil, r.errorf(n, "the tag %s is not known; plain values need none", n.Tag)
}

// resolve reads a plain scalar by YAML 1.1.
func resolve(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	switch c := s[0]; {
	case c >= '0' && c <= '9', c == '-', c == '+', c == '.':
		return number(s)
	case strings.IndexByte("yYnNtTfFoO~", c) < 0:
		return s, nil
	}
	switch s {
	case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
		return true, nil
	case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
		return false, nil
	case "~", "null", "Null", "NULL":
		return nil, nil
	}
	return s, nil
}

// number reads s, which starts like a number, and gives it back as text when it is none. A date
// is text.
func number(s string) (any, error) {
	digits := s
	negative := false
	if s[0] == '-' || s[0] == '+' {
		negative, digits = s[0] == '-', s[1:]
	}
	if digits == "" || strings.Trim(digits, "0123456789abcdefABCDEFxo_.:+-inIN") != "" {
		return s, nil
	}
	if v, ok := special(digits, negative, len(digits) < len(s)); ok {
		return v, nil
	}
	if n, ok, err := integer(digits); ok {
		if err != nil {
			return nil, fmt.Errorf("the number %s is too large; put it in quotes if it is meant as text", s)
		}
		if negative {
			n = -n
		}
		return n, nil
	}
	if f, ok := float(digits, len(digits) < len(s)); ok {
		if negative {
			f = -f
		}
		return f, nil
	}
	return s, nil
}

func special(digits string, negative, signed bool) (any, bool) {
	switch digits {
	case ".inf", ".Inf", ".INF":
		if negative {
			return math.Inf(-1), true
		}
		return math.Inf(1), true
	case ".nan", ".NaN", ".NAN":
		return math.NaN(), !signed
	}
	return nil, false
}

// integer reads 0b11, 017, 0x1f, 1_000 and 1:30:00; ok says whether s has such a form.
func integer(s string) (n int64, ok bool, err error) {
	base, body := 10, s
	switch {
	case strings.HasPrefix(s, "0b"):
		base, body = 2, s[2:]
	case strings.HasPrefix(s, "0x"):
		base, body = 16, s[2:]
	case len(s) > 1 && s[0] == '0' && !strings.ContainsRune(s, ':'):
		base, body = 8, s[1:]
	}
	if base == 10 && strings.ContainsRune(s, ':') {
		return sexagesimal(s)
	}
	allowed := "0123456789abcdef"[:base] + "_"
	if base == 16 {
		allowed += "ABCDEF"
	}
	if body == "" || strings.Trim(body, allowed) != "" || base == 10 && body[0] == '_' {
		return 0, false, nil
	}
	body = strings.ReplaceAll(body, "_", "")
	if body == "" {
		return 0, false, nil
	}
	n, err = strconv.ParseInt(body, base, 64)
	return n, true, err
}

func sexagesimal(s string) (n int64, ok bool, err error) {
	parts := strings.Split(s, ":")
	if parts[0] == "" || parts[0][0] == '0' {
		return 0, false, nil
	}
	for i, p := range parts {
		p = strings.ReplaceAll(p, "_", "")
		v, err := strconv.ParseInt(p, 10, 32)
		if err != nil || i > 0 && (v > 59 || len(p) > 2) || strings.Trim(p, "0123456789") != "" {
			return 0, false, nil
		}
		if n > math.MaxInt64/60-60 {
			return 0, true, strconv.ErrRange
		}
		n = n*60 + v
	}
	return n, true, nil
}

// float reads 1.5, 1., .5, 1.5e+3, 1:30.5: a point is needed, and a sign after the e. What starts
// with a point takes no sign before it.
func float(s string, signed bool) (float64, bool) {
	if s[0] == '.' && (signed || len(s) < 2 || s[1] < '0' || s[1] > '9') {
		return 0, false
	}
	mantissa, power := s, ""
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		if at+2 >= len(s) || s[at+1] != '+' && s[at+1] != '-' || strings.Trim(s[at+2:], "0123456789") != "" {
			return 0, false
		}
		mantissa, power = s[:at], s[at:]
	}
	whole, rest, ok := strings.Cut(mantissa, ".")
	if !ok || strings.Trim(rest, "0123456789_") != "" || strings.HasPrefix(whole, "_") {
		return 0, false
	}
	if strings.ContainsRune(whole, ':') {
		return clock(whole, rest, power)
	}
	if strings.Trim(whole, "0123456789_") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(mantissa, "_", "")+power, 64)
	return f, err == nil
}

// clock reads 1:30.5: minutes, seconds and a fraction.
func clock(whole, rest, power string) (float64, bool) {
	total := 0.0
	for i, p := range strings.Split(whole, ":") {
		v, err := strconv.ParseUint(strings.ReplaceAll(p, "_", ""), 10, 32)
		if err != nil || power != "" || i > 0 && (v > 59 || len(p) > 2 || strings.ContainsRune(p, '_')) {
			return 0, false
		}
		total = total*60 + float64(v)
	}
	f, err := strconv.ParseFloat("0."+strings.ReplaceAll(rest, "_", "")+"0", 64)
	return total + f, err == nil
}
