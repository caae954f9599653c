package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Field is a key of an Object.
type Field struct {
	Name     string
	Type     Type
	Required bool
}

// Req is a key that must be there.
func Req(name string, t Type) Field { return Field{Name: name, Type: t, Required: true} }

// Opt is a key that may be missing or null.
func Opt(name string, t Type) Field { return Field{Name: name, Type: Optional(t)} }

// Object takes mappings with known keys.
type Object struct {
	fields    []Field
	byName    map[string]int
	names     []string
	open      bool
	exclusive [][]string
}

// Strict takes mappings that have no other keys than fields.
func Strict(fields ...Field) *Object { return newObject(false, fields) }

// Open takes mappings that may have other keys beside fields.
func Open(fields ...Field) *Object { return newObject(true, fields) }

func newObject(open bool, fields []Field) *Object {
	o := &Object{fields: fields, byName: make(map[string]int, len(fields)), open: open}
	for i, f := range fields {
		o.byName[f.Name] = i
		o.names = append(o.names, f.Name)
	}
	return o
}

// With returns o with more fields; one of a known name replaces it.
func (o *Object) With(fields ...Field) *Object {
	all := slices.Clone(o.fields)
	for _, f := range fields {
		if i, ok := o.byName[f.Name]; ok {
			all[i] = f
			continue
		}
		all = append(all, f)
	}
	n := newObject(o.open, all)
	n.exclusive = o.exclusive
	return n
}

// Exclusive returns o with the rule that at most one of names may be given.
func (o *Object) Exclusive(names ...string) *Object {
	n := newObject(o.open, o.fields)
	n.exclusive = append(slices.Clone(o.exclusive), names)
	return n
}

// Names returns the known keys.
func (o *Object) Names() []string { return slices.Clone(o.names) }

func (o *Object) name() string { return "a mapping" }

func (o *Object) takes(v any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return false
	}
	known := 0
	for i := range o.fields {
		f := &o.fields[i]
		e, ok := m[f.Name]
		if ok {
			known++
		}
		if ok && !f.Type.takes(e) || !ok && f.Required {
			return false
		}
	}
	for _, group := range o.exclusive {
		given := 0
		for _, name := range group {
			if m[name] != nil {
				given++
			}
		}
		if given > 1 {
			return false
		}
	}
	return o.open || known == len(m)
}

func (o *Object) check(c *checker, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		c.mismatch(o, v)
		return
	}
	known := 0
	for i := range o.fields {
		f := &o.fields[i]
		e, ok := m[f.Name]
		if !ok {
			if f.Required {
				c.report(false, "the key %q is missing", f.Name)
			}
			continue
		}
		known++
		c.in(f.Name, f.Type, e)
	}
	if !o.open && known < len(m) {
		o.unknown(c, m)
	}
	for _, group := range o.exclusive {
		var given []string
		for _, name := range group {
			if m[name] != nil {
				given = append(given, fmt.Sprintf("%q", name))
			}
		}
		if len(given) > 1 {
			c.report(false, "%s exclude each other", strings.Join(given, " and "))
		}
	}
}

func (o *Object) unknown(c *checker, m map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if _, ok := o.byName[key]; ok {
			continue
		}
		hint := "; known are " + strings.Join(o.names, ", ")
		if near := graph.Nearest(key, o.names); near != "" {
			hint = fmt.Sprintf("; is %q meant?", near)
		} else if len(o.names) > 12 {
			hint = ""
		}
		c.path = append(c.path, key)
		c.report(true, "the key %q is not known here%s", key, hint)
		c.path = c.path[:len(c.path)-1]
	}
}

type tagged struct {
	tag   string
	types map[string]*Object
}

// Tagged takes mappings whose key tag names which of types they are.
func Tagged(tag string, types map[string]*Object) Type { return tagged{tag, types} }

func (t tagged) name() string { return "a mapping" }
func (t tagged) takes(v any) bool {
	m, ok := v.(map[string]any)
	word, isText := m[t.tag].(string)
	o := t.types[word]
	return ok && isText && o != nil && o.takes(v)
}

func (t tagged) check(c *checker, v any) {
	m, ok := v.(map[string]any)
	if !ok {
		c.mismatch(t, v)
		return
	}
	words := slices.Sorted(maps.Keys(t.types))
	word, ok := m[t.tag].(string)
	if !ok {
		if _, there := m[t.tag]; !there {
			c.report(false, "the key %q is missing; it is one of %s", t.tag, strings.Join(words, ", "))
			return
		}
		c.in(t.tag, Enum(words...), m[t.tag])
		return
	}
	o := t.types[word]
	if o == nil {
		c.in(t.tag, Enum(words...), word)
		return
	}
	o.check(c, v)
}

// Errors turns problems into errors: place tells file and line of a path, label names the task.
func Errors(problems []Problem, label string, place func(path []string, onKey bool) (file string, line int)) []*graph.Error {
	out := make([]*graph.Error, len(problems))
	for i, p := range problems {
		file, line := place(p.Path, p.OnKey)
		out[i] = &graph.Error{File: file, Line: line, Label: label, Message: p.String()}
	}
	return out
}

// Fields returns the known keys with their types.
func (o *Object) Fields() []Field { return slices.Clone(o.fields) }
