package form

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Problem is what cannot even be read in a field.
type Problem struct {
	Path    []string
	Message string
}

// Read gives the value that a browser sent for the form of a schema. Fields that are empty are left out,
// so that defaults take their place. The problems say what could not be read; the rest is read all the
// same, so that the form can be shown again.
func Read(schema map[string]any, values url.Values) (any, []Problem) {
	r := &reader{builder: builder{root: schema}, values: values}
	v, _ := r.value(schema, []string{}, 0)
	if v == nil {
		v = map[string]any{}
	}
	return v, r.problems
}

// ReadRaw gives the value of a Raw form.
func ReadRaw(values url.Values) (any, []Problem) {
	r := &reader{values: values}
	v, _ := r.yaml([]string{})
	return v, r.problems
}

type reader struct {
	builder
	values   url.Values
	problems []Problem
}

func (r *reader) complain(path []string, format string, args ...any) {
	r.problems = append(r.problems, Problem{path, fmt.Sprintf(format, args...)})
}

// value reads one field; given is false when it is empty.
func (r *reader) value(s map[string]any, path []string, depth int) (v any, given bool) {
	r.fields++
	kind := kindOf(&r.builder, s, depth)
	if r.fields > maxFields {
		kind = YAML
	}
	text := r.values.Get(name(path))
	if len(text) > maxText {
		r.complain(path, "it has more than %d bytes", maxText)
		return nil, false
	}
	switch kind {
	case Group:
		return r.group(s, path, depth)
	case List:
		return r.list(s, path, depth)
	case Switch:
		// Browsers send nothing for a box that is not ticked, so that another input says it is there.
		if !r.values.Has(name(path) + "?") {
			return nil, false
		}
		return text == "true", true
	case Number:
		return r.number(s, path, strings.TrimSpace(text))
	case Choice:
		return chosen(s, text)
	case Choices:
		var list []any
		items, _ := r.resolve(s["items"])
		for _, t := range r.values[name(path)] {
			if v, ok := chosen(items, t); ok {
				list = append(list, v)
			}
		}
		return list, len(list) > 0
	case Lines:
		var list []any
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
		return list, len(list) > 0
	case YAML:
		return r.yaml(path)
	}
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return text, text != ""
}

// chosen is the value of an option.
func chosen(s map[string]any, text string) (any, bool) {
	list, _ := s["enum"].([]any)
	if i := slices.IndexFunc(list, func(v any) bool { return scalar(v) == text }); i >= 0 {
		return list[i], text != ""
	}
	return text, text != "" // the schema refuses it
}

func (r *reader) number(s map[string]any, path []string, text string) (any, bool) {
	if text == "" {
		return nil, false
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		r.complain(path, "%q is no number", text)
		return nil, false
	}
	if s["type"] == "integer" {
		r.complain(path, "%q is no whole number", text)
	}
	return f, true
}

func (r *reader) group(s map[string]any, path []string, depth int) (any, bool) {
	properties, _ := s["properties"].(map[string]any)
	out := map[string]any{}
	for _, key := range order(properties, nil) {
		child, ok := r.resolve(properties[key])
		if !ok {
			child = map[string]any{}
		}
		if v, given := r.value(child, appended(path, key), depth+1); given {
			out[key] = v
		}
	}
	return out, len(out) > 0
}

func (r *reader) list(s map[string]any, path []string, depth int) (any, bool) {
	n, err := strconv.Atoi(r.values.Get(name(path) + "#"))
	if err != nil || n < 0 {
		return nil, false
	}
	items, _ := r.resolve(s["items"])
	var list []any
	for i := range min(n, maxItems) {
		// An item in which nothing was filled in is none: one is always shown.
		if v, given := r.value(items, appended(path, strconv.Itoa(i)), depth+1); given && filled(v, items) {
			list = append(list, v)
		}
	}
	return list, len(list) > 0
}

// filled reports whether an item has more than its switches, which always say something, and defaults.
func filled(v any, s map[string]any) bool {
	m, ok := v.(map[string]any)
	if !ok {
		return true
	}
	properties, _ := s["properties"].(map[string]any)
	for key, e := range m {
		p, _ := properties[key].(map[string]any)
		if _, isSwitch := e.(bool); !isSwitch && scalar(e) != scalar(p["default"]) {
			return true
		}
		switch e.(type) {
		case []any, map[string]any:
			return true
		}
	}
	return false
}

func (r *reader) yaml(path []string) (any, bool) {
	text := r.values.Get(name(path))
	if strings.TrimSpace(text) == "" {
		return nil, false
	}
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		r.complain(path, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil, false
	}
	v, err := plain(v, 0)
	if err != nil {
		r.complain(path, "%v", err)
		return nil, false
	}
	return v, v != nil
}

const maxNesting = 50

// plain turns what YAML knows into what JSON knows.
func plain(v any, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("it is nested more than %d deep", maxNesting)
	}
	switch v := v.(type) {
	case nil, bool, string, int64:
		return v, nil
	case int:
		return int64(v), nil
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("%v is no number in JSON", v)
		}
		return v, nil
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = plain(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			var err error
			if out[key], err = plain(e, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%v is nothing that JSON knows; put it in quotes", v)
}

// Sent is what a browser sends of a form in which nothing was changed.
func (f *Field) Sent() url.Values {
	sent := url.Values{}
	f.send(sent)
	return sent
}

func (f *Field) send(to url.Values) {
	switch f.Kind {
	case Group, List:
		if f.Kind == List {
			to.Set(f.Name+"#", strconv.Itoa(f.Count))
		}
		for _, c := range f.Fields {
			c.send(to)
		}
	case Choices:
		to[f.Name] = f.Values
	case Switch:
		to.Set(f.Name+"?", "1")
		if f.Value == "true" {
			to.Set(f.Name, "true")
		}
	default:
		to.Set(f.Name, f.Value)
	}
}
