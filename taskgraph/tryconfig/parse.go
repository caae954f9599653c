package tryconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/source"
)

// Parse reads a file; file is the name for messages. Each fault is a *graph.Error, all of them are
// told together (graph.Errors).
func Parse(src []byte, file string) (Config, error) {
	if len(src) > MaxBytes {
		return Config{}, &graph.Error{File: file, Message: fmt.Sprintf("is larger than %d kB", MaxBytes>>10)}
	}
	values, err := object(src, file)
	if err != nil {
		return Config{}, err
	}
	p := &parser{c: Config{Version: 1, file: file, lines: map[string]int{}}}
	if doc, err := source.Parse(file, src); err == nil {
		p.root = doc.Root()
		for _, w := range doc.Warnings {
			p.errs = append(p.errs, &graph.Error{File: w.File, Line: w.Line, Message: strings.TrimSuffix(w.Message, "; the last one counts") + "; leave one out"})
		}
	}
	p.version(values)
	if p.c.Version == 2 {
		p.parameters(values)
	} else {
		delete(values, "version")
		p.settings(values, p.root)
		if _, said := values["tasks"]; !said && len(p.errs) == 0 {
			p.errs = append(p.errs, p.at(p.root, `has no "tasks": list the labels to run, or [] for none`))
		}
	}
	if err := errors.Join(p.errs...); err != nil {
		return Config{}, err
	}
	return p.c, nil
}

type parser struct {
	c    Config
	root source.Node
	errs []error
}

func (p *parser) at(n source.Node, format string, args ...any) error {
	return &graph.Error{File: p.c.file, Line: n.Line(), Message: fmt.Sprintf(format, args...)}
}

func (p *parser) version(values map[string]any) {
	switch v, said := values["version"]; {
	case !said || v == int64(1):
	case v == int64(2):
		p.c.Version = 2
	default:
		p.errs = append(p.errs, p.at(p.root.Key("version"), "version %s is not known; versions 1 and 2 are", show(v)))
	}
}

func (p *parser) parameters(values map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if k == "version" || k == "parameters" {
			continue
		}
		hint := "version 2 has the keys version and parameters"
		if _, isSetting := find(k); isSetting {
			hint += "; in version 2 it stands in parameters." + Parameter
		}
		p.errs = append(p.errs, p.at(p.root.Key(k), "the key %q is not known: %s", k, hint))
	}
	said, ok := values["parameters"].(map[string]any)
	if !ok {
		p.errs = append(p.errs, p.at(p.root.Key("parameters"), "parameters must be an object of name: value"))
		return
	}
	node := p.root.Child("parameters")
	p.c.Parameters = map[string]any{}
	for k, v := range said {
		p.c.lines["parameters."+k] = node.Key(k).Line()
		if k != Parameter {
			p.c.Parameters[k] = v
		}
	}
	if v, has := said[Parameter]; has {
		m, ok := v.(map[string]any)
		if !ok {
			p.errs = append(p.errs, p.at(node.Key(Parameter), "parameters.%s is %s, expected an object of settings", Parameter, show(v)))
			return
		}
		p.settings(m, node.Child(Parameter))
	}
}

// settings reads the settings of m, which stand at n.
func (p *parser) settings(m map[string]any, n source.Node) {
	p.c.said = maps.Clone(m)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		p.c.lines[name] = n.Key(name).Line()
		if name == "templates" {
			p.templates(m[name], n.Child(name))
			continue
		}
		k, ok := find(name)
		if !ok {
			text := fmt.Sprintf("the key %q is not known", name)
			if near := graph.Nearest(name, Keys()); near != "" {
				text += fmt.Sprintf("; is %q meant?", near)
			}
			p.errs = append(p.errs, p.at(n.Key(name), "%s", text))
			continue
		}
		if err := k.read(&p.c.Settings, m[name]); err != nil {
			p.errs = append(p.errs, p.at(n.Key(name), "%s %v", name, err))
		}
	}
	delete(p.c.said, "templates") // what they say is said by their settings
}

// templates reads the older form of some settings: {"templates": {"env": {…}, "artifact": {"enabled": "1"}}}.
func (p *parser) templates(v any, n source.Node) {
	m, ok := v.(map[string]any)
	if !ok {
		p.errs = append(p.errs, p.at(n, "templates is %s, expected an object of names to what they ask for", show(v)))
		return
	}
	names := map[string]string{
		"artifact": "use-artifact-builds", "chemspill-prio": "chemspill-prio", "disable-pgo": "disable-pgo", "gecko-profile": "gecko-profile",
		"pernosco": "pernosco", "env": "env", "rebuild": "rebuild", "routes": "routes",
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		setting, known := names[name]
		if !known {
			p.errs = append(p.errs, p.at(n.Key(name), "the template %q is not known; known are %s", name, strings.Join(slices.Sorted(maps.Keys(names)), ", ")))
			continue
		}
		value := m[name]
		if _, isObject := value.(map[string]any); isObject && setting != "env" {
			value = true // that the template is there switches it on
		}
		k, _ := find(setting)
		if err := k.read(&p.c.Settings, value); err != nil {
			p.errs = append(p.errs, p.at(n.Key(name), "templates.%s %v", name, err))
		}
	}
}

// Fault is a fault of the file at a setting, or at a parameter of version 2, named "parameters.name".
func (c Config) Fault(key, format string, args ...any) *graph.Error {
	return &graph.Error{File: c.file, Line: c.lines[key], Message: fmt.Sprintf(format, args...)}
}

func find(name string) (key, bool) {
	for _, k := range keys() {
		if k.name == name {
			return k, true
		}
	}
	return key{}, false
}

// object reads src as one JSON object, its numbers as int64 or float64.
func object(src []byte, file string) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			return nil, &graph.Error{File: file, Line: lineAt(src, d.InputOffset()), Message: "goes on after its end: one JSON object is expected"}
		}
	}
	if err != nil {
		offset := int64(len(src))
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = s.Offset
		}
		return nil, &graph.Error{File: file, Line: lineAt(src, offset), Message: "is not valid JSON", Err: err}
	}
	m, ok := plain(v, 0).(map[string]any)
	if !ok {
		return nil, &graph.Error{File: file, Line: 1, Message: fmt.Sprintf("is %s, expected an object", show(v))}
	}
	return m, nil
}

func lineAt(src []byte, offset int64) int {
	return 1 + bytes.Count(src[:min(max(offset, 0), int64(len(src)))], []byte("\n"))
}

// plain makes int64 and float64 of JSON's numbers. What is deeper than other files may be becomes null.
func plain(v any, depth int) any {
	if depth > source.MaxDepth {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plain(x, depth+1)
		}
	case []any:
		for i, x := range v {
			v[i] = plain(x, depth+1)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}
