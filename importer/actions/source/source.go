// Package source reads the YAML of workflows and actions, with the place of each value, within bounds.
package source

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

// Kind is what a node is.
type Kind int

// The kinds.
const (
	Null Kind = iota
	Scalar
	Map
	Sequence
)

// Node is a value of a file, with its place. Aliases and merge keys are resolved. A nil node is what is not there.
type Node struct {
	Kind  Kind
	Text  string
	Tag   string // !!str, !!int, !!float, !!bool
	File  string
	Line  int
	Keys  []string
	Vals  map[string]*Node
	Items []*Node
}

// reader builds nodes within the bounds.
type reader struct {
	file        string
	nodes, text int
}

// Open reads a file of at most 1 MiB.
func Open(files fs.FS, name string) ([]byte, error) {
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

// Parse reads one file. Errors name file and line.
func Parse(name string, b []byte) (n *Node, err error) {
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

func (r *reader) value(y *yaml.Node, depth int) (*Node, error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, fmt.Errorf("%s:%d: stands for more than %d values once its aliases are followed", r.file, y.Line, maxNodes)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("%s:%d: is nested deeper than %d levels", r.file, y.Line, maxDepth)
	}
	n := &Node{File: r.file, Line: y.Line}
	switch y.Kind {
	case yaml.DocumentNode:
		return r.value(y.Content[0], depth+1)
	case yaml.AliasNode:
		return r.value(y.Alias, depth+1)
	case yaml.ScalarNode:
		if r.text += len(y.Value); r.text > maxText {
			return nil, fmt.Errorf("%s:%d: holds more than %d bytes of text once its aliases are followed", r.file, y.Line, maxText)
		}
		n.Text, n.Tag = y.Value, y.ShortTag()
		if n.Kind = Scalar; n.Tag == "!!null" {
			n.Kind = Null
		}
	case yaml.SequenceNode:
		n.Kind = Sequence
		for _, c := range y.Content {
			v, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, v)
		}
	case yaml.MappingNode:
		n.Kind, n.Vals = Map, map[string]*Node{}
		return n, r.mapping(n, y, depth)
	}
	return n, nil
}

func (r *reader) mapping(n *Node, y *yaml.Node, depth int) error {
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		v, err := r.value(y.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		v.Line = k.Line
		if k.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: a key must be text", r.file, k.Line)
		}
		if k.ShortTag() == "!!merge" {
			n.merge(v)
			continue
		}
		if n.Vals[k.Value] == nil {
			n.Keys = append(n.Keys, k.Value)
		}
		n.Vals[k.Value] = v
	}
	return nil
}

func (n *Node) merge(from *Node) {
	all := []*Node{from}
	if from.Kind == Sequence {
		all = from.Items
	}
	for _, f := range all {
		for _, k := range f.Keys {
			if n.Vals[k] == nil {
				n.Keys, n.Vals[k] = append(n.Keys, k), f.Vals[k]
			}
		}
	}
}

// At is a key of a mapping, nil where it is not.
func (n *Node) At(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	return n.Vals[key]
}

// Str is a scalar's text, "" for what is no scalar or not there.
func (n *Node) Str() string {
	if n == nil || n.Kind != Scalar {
		return ""
	}
	return n.Text
}

// Texts are a list's scalars, or the one scalar that stands for a list.
func (n *Node) Texts() []string {
	switch {
	case n == nil || n.Kind == Null || n.Kind == Map:
		return nil
	case n.Kind == Scalar:
		return []string{n.Text}
	}
	var out []string
	for _, i := range n.Items {
		if i.Kind == Scalar {
			out = append(out, i.Text)
		}
	}
	return out
}

// Is reports whether a scalar says true.
func (n *Node) Is(what string) bool { return strings.EqualFold(n.Str(), what) }

// Empty reports what says nothing.
func (n *Node) Empty() bool {
	return n == nil || n.Kind == Null || n.Kind == Map && len(n.Keys) == 0 || n.Kind == Sequence && len(n.Items) == 0
}

// Plain is the node as a value of expressions: nil, bool, float64, string, []any or map[string]any.
func (n *Node) Plain() any {
	switch {
	case n == nil || n.Kind == Null:
		return nil
	case n.Kind == Scalar:
		return scalar(n.Text, n.Tag)
	case n.Kind == Sequence:
		out := make([]any, len(n.Items))
		for i, v := range n.Items {
			out[i] = v.Plain()
		}
		return out
	}
	out := map[string]any{}
	for k, v := range n.Vals {
		out[k] = v.Plain()
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

// Names are the keys of a mapping, in their order.
func (n *Node) Names() []string {
	if n == nil {
		return nil
	}
	return n.Keys
}

// List are the elements of a list.
func (n *Node) List() []*Node {
	if n == nil {
		return nil
	}
	return n.Items
}
