package editor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Schema is what documents must fit. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	files    map[string]any
	root     string
}

// base is the made-up address of schemas: nothing is ever fetched.
const base = "https://treeline.invalid/"

// Compile reads the schemas of a folder, which may refer to each other by file name, and takes the one of a name.
func Compile(files fs.FS, name string) (*Schema, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("editor: schemas: %w", err)
	}
	texts := map[string][]byte{}
	for _, n := range names {
		if texts[n], err = fs.ReadFile(files, n); err != nil {
			return nil, fmt.Errorf("editor: schemas: %w", err)
		}
	}
	return compile(texts, name)
}

// Of compiles a schema that stands alone and may have been written by anybody.
func Of(text json.RawMessage) (*Schema, error) {
	return compile(map[string][]byte{"schema.json": text}, "schema.json")
}

func compile(texts map[string][]byte, name string) (*Schema, error) {
	s := &Schema{files: map[string]any{}, root: name}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft6)
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // nothing is ever fetched
	for n, text := range texts {
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("editor: schema %s: %w", n, err)
		}
		if m, ok := doc.(map[string]any); ok {
			delete(m, "$schema")
			delete(m, "$id")
		}
		s.files[n] = doc
		if err := c.AddResource(base+n, doc); err != nil {
			return nil, fmt.Errorf("editor: schema %s: %w", n, err)
		}
	}
	var err error
	if s.compiled, err = c.Compile(base + name); err != nil {
		return nil, fmt.Errorf("editor: schema %s: %w", name, err)
	}
	return s, nil
}

// Check says where a document does not fit.
func (s *Schema) Check(d *Doc, under ...string) []Problem {
	value := d.value
	for _, step := range under {
		m, _ := value.(map[string]any)
		value = m[step]
	}
	err := s.compiled.Validate(value)
	if err == nil {
		return nil
	}
	violation, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Problem{{Message: err.Error(), Severity: Error}}
	}
	var list []Problem
	leaves(d, under, violation, message.NewPrinter(language.English), &list)
	slices.SortStableFunc(list, func(a, b Problem) int { return a.Line - b.Line })
	return slices.Compact(list)
}

// leaves collects the innermost violations; an unknown key has its own place.
func leaves(d *Doc, under []string, e *jsonschema.ValidationError, p *message.Printer, out *[]Problem) {
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			leaves(d, under, cause, p, out)
		}
		return
	}
	at := append(slices.Clone(under), e.InstanceLocation...)
	switch k := e.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			*out = append(*out, d.Problem(append(slices.Clone(at), name), "The key %q is not known here.", name))
		}
		return
	case *kind.Required:
		*out = append(*out, d.Problem(at, "%s lacks %s.", placeName(at), strings.Join(quoted(k.Missing), ", ")))
		return
	case *kind.FalseSchema:
		*out = append(*out, d.Problem(at, "%s must not be here.", placeName(at)))
		return
	}
	*out = append(*out, d.Problem(at, "%s: %s.", placeName(at), e.ErrorKind.LocalizedString(p)))
}

func placeName(path []string) string {
	if len(path) == 0 {
		return "The definition"
	}
	return strings.Join(path, ".")
}

func quoted(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return out
}

// Help is what may stand at a place.
type Help struct {
	Path     string   `json:"path"` // as in Problem; * stands for any key or item
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Text     string   `json:"text"`
	Values   []string `json:"values"`
	Default  string   `json:"default"`
}

const (
	maxHelp      = 600
	maxHelpDepth = 7
)

// Help lists what may stand where, below a path, in the order of the keys.
func (s *Schema) Help(under string) []Help {
	h := &helper{schema: s}
	h.walk(s.files[s.root], s.root, under, false, 0)
	return h.out
}

type helper struct {
	schema *Schema
	out    []Help
}

// deref follows references within the folder.
func (h *helper) deref(v any, file string) (map[string]any, string) {
	for range 10 {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, file
		}
		ref, ok := m["$ref"].(string)
		if !ok {
			return m, file
		}
		name, pointer, _ := strings.Cut(ref, "#")
		if name != "" {
			file = path.Base(name)
		}
		v = h.schema.files[file]
		for step := range strings.SplitSeq(strings.Trim(pointer, "/"), "/") {
			if step == "" {
				continue
			}
			inner, _ := v.(map[string]any)
			v = inner[step]
		}
	}
	return nil, file
}

func (h *helper) walk(v any, file, at string, required bool, depth int) {
	m, file := h.deref(v, file)
	if m == nil || depth > maxHelpDepth || len(h.out) > maxHelp {
		return
	}
	if at != "" {
		h.out = append(h.out, describe(m, at, required))
	}
	properties, _ := m["properties"].(map[string]any)
	must := map[string]bool{}
	for _, name := range list(m["required"]) {
		must[fmt.Sprint(name)] = true
	}
	keys := make([]string, 0, len(properties))
	for key := range properties {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if must[a] != must[b] {
			if must[a] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for _, key := range keys {
		h.walk(properties[key], file, join(at, key), must[key], depth+1)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if _, ok := m[key].(map[string]any); ok {
			h.walk(m[key], file, join(at, "*"), false, depth+1)
		}
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		for _, one := range list(m[key]) {
			inner, where := h.deref(one, file)
			if inner["properties"] != nil || inner["items"] != nil {
				h.inner(inner, where, at, depth)
			}
		}
	}
}

// inner walks an alternative without describing its place again.
func (h *helper) inner(m map[string]any, file, at string, depth int) {
	before := len(h.out)
	h.walk(m, file, at, false, depth+1)
	if at != "" && len(h.out) > before {
		h.out = slices.Delete(h.out, before, before+1)
	}
}

func list(v any) []any { l, _ := v.([]any); return l }

func describe(m map[string]any, at string, required bool) Help {
	h := Help{Path: at, Required: required, Values: []string{}}
	switch t := m["type"].(type) {
	case string:
		h.Type = t
	case []any:
		names := make([]string, len(t))
		for i, one := range t {
			names[i] = fmt.Sprint(one)
		}
		h.Type = strings.Join(names, " or ")
	}
	title, _ := m["title"].(string)
	text, _ := m["description"].(string)
	if h.Text = text; text == "" {
		h.Text = title
	}
	for _, v := range list(m["enum"]) {
		h.Values = append(h.Values, fmt.Sprint(v))
	}
	if v, there := m["default"]; there {
		if body, err := json.Marshal(v); err == nil {
			h.Default = string(body)
		}
	}
	return h
}
