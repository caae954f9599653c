// Package form turns a JSON schema into the fields of a form that works without script, and what a browser
// sends back into the value that the schema speaks of.
//
// Strings, numbers, switches, choices, lists of strings, lists of objects and objects in objects are fields
// of their own. What a schema says beyond that (alternatives, members without names, lists of lists) is one
// field that takes YAML or JSON. Nothing here judges a value: the schema does, where the value goes; its
// complaints are put to the fields with Complain.
//
// All of it is bounded, as trees write the schemas and browsers send what they like.
package form

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Kinds of fields.
const (
	Text    = "text"    // one line
	Area    = "area"    // several lines
	Number  = "number"  // and whole number
	Switch  = "switch"  // true or false
	Choice  = "choice"  // one of Options
	Choices = "choices" // some of Options
	Lines   = "lines"   // a list of strings, one a line
	Group   = "group"   // an object: Fields
	List    = "list"    // a list of objects: Fields are the items, each a Group
	YAML    = "yaml"    // anything, as text
)

// Field is a field of a form.
type Field struct {
	Kind     string
	Name     string // of the input; it is the path
	Label    string
	Help     string // Markdown
	Required bool
	Value    string   // what stands in it
	Values   []string // of Choices
	Options  []string
	Min, Max string // of a number
	Step     string
	MaxLen   int    // of text; 0: any
	Pattern  string // that text is said to match; it is judged elsewhere
	Fields   []*Field
	Errors   []string
	More     bool // of a List: another item may be added
	Count    int  // of a List

	path   []string
	schema map[string]any
}

// Limits.
const (
	maxDepth  = 6   // of objects in objects; what is deeper is YAML
	maxFields = 500 // of one form
	maxItems  = 50  // of a list of objects, as fields
	maxText   = 256 << 10
)

// prefix of all names of inputs.
const prefix = "in"

// New makes the form of a schema, filled with a value; without one, with the schema's defaults.
func New(schema map[string]any, value any) *Field {
	b := &builder{root: schema}
	return b.field(schema, []string{}, "", true, value, 0)
}

// Raw makes a form of one field for the whole value.
func Raw(schema map[string]any, value any) *Field {
	f := &Field{Kind: YAML, Name: prefix, Label: "Input", Required: true, path: []string{}, schema: schema}
	if value == nil {
		value = defaults(schema)
	}
	f.Value = textOf(value)
	return f
}

// builder makes one form.
type builder struct {
	root   map[string]any
	fields int
}

func name(path []string) string {
	parts := make([]string, len(path)+1)
	parts[0] = prefix
	for i, p := range path {
		parts[i+1] = url.PathEscape(p)
	}
	return strings.Join(parts, "/")
}

// resolve follows references inside the schema.
func (b *builder) resolve(v any) (map[string]any, bool) {
	for range 10 {
		s, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		ref, ok := s["$ref"].(string)
		if !ok {
			return s, true
		}
		path, ok := strings.CutPrefix(ref, "#/")
		if !ok {
			return nil, false
		}
		v = any(b.root)
		for key := range strings.SplitSeq(path, "/") {
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			v = m[key]
		}
	}
	return nil, false
}

func (b *builder) field(s map[string]any, path []string, key string, required bool, value any, depth int) *Field {
	b.fields++
	f := &Field{Name: name(path), Label: label(s, key), Help: text(s, "description"), Required: required, path: path, schema: s}
	if value == nil {
		value = s["default"]
	}
	f.Kind = kindOf(b, s, depth)
	if b.fields > maxFields {
		f.Kind = YAML
	}
	switch f.Kind {
	case Group:
		b.group(f, s, value, depth)
	case List:
		b.list(f, s, value, depth)
	case Choice, Choices:
		f.choose(b, s, value)
	case Lines:
		f.Value = strings.Join(stringsOf(value), "\n")
	case Switch:
		if v, ok := value.(bool); ok {
			f.Value = strconv.FormatBool(v)
		}
	case Number:
		f.number(s)
		f.Value = scalar(value)
	case YAML:
		if value != nil {
			f.Value = textOf(value)
		}
	default:
		f.Value = scalar(value)
		f.Pattern = text(s, "pattern")
		if n, ok := whole(s["maxLength"]); ok {
			f.MaxLen = n
		}
	}
	return f
}

// kindOf says how the values of a schema are asked for.
func kindOf(b *builder, s map[string]any, depth int) string {
	for _, word := range []string{"oneOf", "anyOf", "allOf", "not", "if", "patternProperties"} {
		if _, ok := s[word]; ok {
			return YAML
		}
	}
	if options, ok := options(s); ok && options != nil {
		return Choice
	}
	switch s["type"] {
	case "string":
		if n, ok := whole(s["maxLength"]); ok && n > 500 {
			return Area
		}
		return Text
	case "integer", "number":
		return Number
	case "boolean":
		return Switch
	case "array":
		items, ok := b.resolve(s["items"])
		if !ok {
			return YAML
		}
		if options, ok := options(items); ok && options != nil {
			return Choices
		}
		switch {
		case items["type"] == "string":
			return Lines
		case depth < maxDepth && kindOf(b, items, depth+1) == Group:
			return List
		}
		return YAML
	case "object":
		if _, ok := s["properties"].(map[string]any); ok && depth < maxDepth && open(s) {
			return Group
		}
		return YAML
	case nil:
		if _, ok := s["properties"].(map[string]any); ok && depth < maxDepth && open(s) {
			return Group
		}
	}
	return YAML
}

// open reports whether fields for the named members can give any value: a schema that describes other
// members, too, wants text.
func open(s map[string]any) bool {
	_, more := s["additionalProperties"].(map[string]any)
	return !more
}

// options are the values to choose from, when all are strings, numbers or switches of one kind.
func options(s map[string]any) ([]string, bool) {
	list, ok := s["enum"].([]any)
	if !ok || len(list) == 0 || len(list) > 1000 {
		return nil, false
	}
	out := make([]string, len(list))
	for i, v := range list {
		switch v.(type) {
		case string, float64, int64, int, bool:
			out[i] = scalar(v)
		default:
			return nil, false
		}
	}
	return out, true
}

func (b *builder) group(f *Field, s map[string]any, value any, depth int) {
	properties, _ := s["properties"].(map[string]any)
	values, _ := value.(map[string]any)
	required := stringsOf(s["required"])
	for _, key := range order(properties, required) {
		child, ok := b.resolve(properties[key])
		if !ok {
			child = map[string]any{}
		}
		f.Fields = append(f.Fields, b.field(child, appended(f.path, key), key, slices.Contains(required, key), values[key], depth+1))
	}
}

// order puts what must be given first, and otherwise goes by name.
func order(properties map[string]any, required []string) []string {
	keys := make([]string, 0, len(properties))
	for key := range properties {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		ra, rb := slices.Contains(required, a), slices.Contains(required, b)
		if ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return keys
}

func appended(path []string, key string) []string { return append(slices.Clone(path), key) }

// list makes an item for each value, and one that is empty when there is none.
func (b *builder) list(f *Field, s map[string]any, value any, depth int) {
	values, _ := value.([]any)
	n := min(max(len(values), 1), maxItems)
	f.Count, f.More = n, n < maxItems
	if most, ok := whole(s["maxItems"]); ok && n >= most {
		f.More = false
	}
	items, _ := b.resolve(s["items"])
	for i := range n {
		var v any
		if i < len(values) {
			v = values[i]
		}
		f.Fields = append(f.Fields, b.field(items, appended(f.path, strconv.Itoa(i)), strconv.Itoa(i+1), false, v, depth+1))
	}
}

func (f *Field) choose(b *builder, s map[string]any, value any) {
	if f.Kind == Choices {
		items, _ := b.resolve(s["items"])
		f.Options, _ = options(items)
		f.Values = stringsOf(value)
		return
	}
	f.Options, _ = options(s)
	f.Value = scalar(value)
}

func (f *Field) number(s map[string]any) {
	f.Min, f.Max, f.Step = scalar(s["minimum"]), scalar(s["maximum"]), "any"
	if s["type"] == "integer" {
		f.Step = "1"
	}
}

// Complain puts a complaint to the field of a path, or to the nearest one around it.
func (f *Field) Complain(path []string, message string) {
	for _, c := range f.Fields {
		if len(c.path) <= len(path) && slices.Equal(c.path, path[:len(c.path)]) {
			c.Complain(path, message)
			return
		}
	}
	if rest := path[min(len(f.path), len(path)):]; len(rest) > 0 {
		message = strings.Join(rest, ".") + ": " + message
	}
	if !slices.Contains(f.Errors, message) {
		f.Errors = append(f.Errors, message)
	}
}

// Faulty reports whether something in the field or inside it is complained of.
func (f *Field) Faulty() bool {
	return len(f.Errors) > 0 || slices.ContainsFunc(f.Fields, (*Field).Faulty)
}

func label(s map[string]any, key string) string {
	if t := text(s, "title"); t != "" {
		return t
	}
	return strings.ReplaceAll(strings.ReplaceAll(key, "_", " "), "-", " ")
}

func text(s map[string]any, key string) string {
	t, _ := s[key].(string)
	return t
}

func stringsOf(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s := scalar(e); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// scalar is a value in one line.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case map[string]any, []any:
		return ""
	}
	return fmt.Sprint(v)
}

func whole(v any) (int, bool) {
	switch v := v.(type) {
	case float64:
		return int(v), v == float64(int(v))
	case int64:
		return int(v), true
	case int:
		return v, true
	}
	return 0, false
}

// textOf is a value as YAML.
func textOf(v any) string {
	if m, ok := v.(map[string]any); ok && len(m) == 0 {
		return ""
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// defaults is the value that the schema names for its members.
func defaults(s map[string]any) any {
	if v, ok := s["default"]; ok {
		return v
	}
	properties, _ := s["properties"].(map[string]any)
	out := map[string]any{}
	for key, v := range properties {
		if m, ok := v.(map[string]any); ok && m["default"] != nil {
			out[key] = m["default"]
		}
	}
	return out
}

// Refill puts what the browser sent into the fields of text as it was sent, also what could not be read.
func (f *Field) Refill(sent url.Values) {
	switch f.Kind {
	case Group, List:
		for _, c := range f.Fields {
			c.Refill(sent)
		}
	case Text, Area, Number, Lines, YAML:
		if sent.Has(f.Name) {
			f.Value = strings.ReplaceAll(sent.Get(f.Name), "\r\n", "\n")
		}
	}
}

// AddTo adds an empty item to the list of that name, if there is one; schema is that of the form.
func (f *Field) AddTo(list string, schema map[string]any) {
	if f.Kind == List && f.Name == list && f.More {
		b := &builder{root: schema}
		items, _ := b.resolve(f.schema["items"])
		f.Fields = append(f.Fields, b.field(items, appended(f.path, strconv.Itoa(f.Count)), strconv.Itoa(f.Count+1), false, nil, len(f.path)+1))
		f.Count++
		f.More = f.Count < maxItems
		return
	}
	for _, c := range f.Fields {
		c.AddTo(list, schema)
	}
}
