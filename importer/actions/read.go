package actions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"gopkg.in/yaml.v3"
)

// The bounds of a file.
const (
	maxFile  = 1 << 20
	maxDepth = 60
	maxNodes = 50_000 // values, those behind aliases each time
	maxText  = 4 << 20
)

type nodeKind int

const (
	isNull nodeKind = iota
	isText
	isMap
	isList
)

// node is a value of a file, with its place. Aliases and merge keys are resolved. A nil node is what is not there.
type node struct {
	kind  nodeKind
	text  string
	tag   string // !!str, !!int, !!float, !!bool
	file  string
	line  int
	keys  []string
	vals  map[string]*node
	items []*node
}

// reader builds nodes within the bounds.
type reader struct {
	file        string
	nodes, text int
}

func open(files fs.FS, name string) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return b, nil
}

// parse reads one file. Errors name file and line.
func parse(name string, b []byte) (n *node, err error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: is empty", name)
		}
		return nil, fmt.Errorf("%s: this is not YAML: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	r := &reader{file: name}
	return r.value(&doc, 0)
}

func (r *reader) value(y *yaml.Node, depth int) (*node, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, fmt.Errorf("%s:%d: stands for more than %d values once its aliases are followed", r.file, y.Line, maxNodes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("%s:%d: is nested deeper than %d levels", r.file, y.Line, maxDepth)
	}
	n := &node{file: r.file, line: y.Line}
	switch y.Kind {
	case yaml.DocumentNode:
		return r.value(y.Content[0], depth+1)
	case yaml.AliasNode:
		return r.value(y.Alias, depth+1)
	case yaml.ScalarNode:
		if r.text += len(y.Value); r.text > maxText {
			return nil, fmt.Errorf("%s:%d: holds more than %d bytes of text once its aliases are followed", r.file, y.Line, maxText)
		}
		n.text, n.tag = y.Value, y.ShortTag()
		if n.kind = isText; n.tag == "!!null" {
			n.kind = isNull
		}
	case yaml.SequenceNode:
		n.kind = isList
		for _, c := range y.Content {
			v, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, v)
		}
	case yaml.MappingNode:
		n.kind, n.vals = isMap, map[string]*node{}
		return n, r.mapping(n, y, depth)
	}
	return n, nil
}

func (r *reader) mapping(n *node, y *yaml.Node, depth int) error {
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		v, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		v.line = k.Line
		if k.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: a key must be text", r.file, k.Line)
		}
		if k.ShortTag() == "!!merge" {
			n.merge(v)
			continue
		}
		if n.vals[k.Value] == nil {
			n.keys = append(n.keys, k.Value)
		}
		n.vals[k.Value] = v
	}
	return nil
}

func (n *node) merge(from *node) {
	all := []*node{from}
	if from.kind == isList {
		all = from.items
	}
	for _, f := range all {
		for _, k := range f.keys {
			if n.vals[k] == nil {
				n.keys, n.vals[k] = append(n.keys, k), f.vals[k]
			}
		}
	}
}

func (n *node) at(key string) *node {
	if n == nil || n.kind != isMap {
		return nil
	}
	return n.vals[key]
}

// str is a scalar's text, "" for what is no scalar or not there.
func (n *node) str() string {
	if n == nil || n.kind != isText {
		return ""
	}
	return n.text
}

// list is a list's scalars, or the one scalar that stands for a list.
func (n *node) list() []string {
	switch {
	case n == nil || n.kind == isNull || n.kind == isMap:
		return nil
	case n.kind == isText:
		return []string{n.text}
	}
	var out []string
	for _, i := range n.items {
		if i.kind == isText {
			out = append(out, i.text)
		}
	}
	return out
}

// is reports whether a scalar says true.
func (n *node) is(what string) bool { return strings.EqualFold(n.str(), what) }

// empty reports what says nothing.
func (n *node) empty() bool {
	return n == nil || n.kind == isNull || n.kind == isMap && len(n.keys) == 0 || n.kind == isList && len(n.items) == 0
}

// plain is the node as a value of expressions: nil, bool, float64, string, []any or map[string]any.
func (n *node) plain() any {
	switch {
	case n == nil || n.kind == isNull:
		return nil
	case n.kind == isText:
		return scalar(n.text, n.tag)
	case n.kind == isList:
		out := make([]any, len(n.items))
		for i, v := range n.items {
			out[i] = v.plain()
		}
		return out
	}
	out := map[string]any{}
	for k, v := range n.vals {
		out[k] = v.plain()
	}
	return out
}

func scalar(text, tag string) any {
	switch tag {
	case "!!bool":
		return strings.EqualFold(text, "true")
	case "!!int", "!!float":
		var f float64
		if yaml.Unmarshal([]byte(text), &f) == nil {
			return f
		}
	}
	return text
}
