package templates

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/templates/jsone"
)

// This file finds the line of a value in the YAML document.

func steps(keys ...string) []jsone.Step {
	out := make([]jsone.Step, len(keys))
	for i, k := range keys {
		out[i] = jsone.Step{Key: k, Index: -1}
	}
	return out
}

// keys writes a path's steps for people.
func keys(path []jsone.Step) []string {
	out := make([]string, len(path))
	for i, s := range path {
		if out[i] = s.Key; s.Index >= 0 {
			out[i] = fmt.Sprintf("[%d]", s.Index)
		}
	}
	return out
}

// lineOf returns the line of the value under keys, from the root.
func (f *File) lineOf(keys ...string) int { return f.lineAt(steps(keys...)) }

// lineAt follows a path as far as the document has it and returns the line it gets to.
func (f *File) lineAt(path []jsone.Step) int {
	n := resolve(f.root)
	line := n.Line
	for _, s := range path {
		key, value := child(n, s, 0)
		if value == nil {
			return line
		}
		if key != nil && (s.InKey || value.Kind == yaml.MappingNode || value.Kind == yaml.SequenceNode) {
			line = key.Line // a mapping's own line is that of its first key, below the key it is under
		} else {
			line = value.Line
		}
		n = resolve(value)
	}
	return line
}

// resolve steps from a document or an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for range 100 {
		switch {
		case n.Kind == yaml.DocumentNode && len(n.Content) > 0:
			n = n.Content[0]
		case n.Kind == yaml.AliasNode && n.Alias != nil:
			n = n.Alias
		default:
			return n
		}
	}
	return n
}

// child returns the key (nil in a list) and the value one step below n; merge keys are looked into.
func child(n *yaml.Node, s jsone.Step, depth int) (key, value *yaml.Node) {
	if s.Index >= 0 {
		if n.Kind == yaml.SequenceNode && s.Index < len(n.Content) {
			return nil, n.Content[s.Index]
		}
		return nil, nil
	}
	if n.Kind != yaml.MappingNode || depth > 20 {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if resolve(n.Content[i]).Value == s.Key {
			return n.Content[i], n.Content[i+1]
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].ShortTag() != "!!merge" {
			continue
		}
		sources := []*yaml.Node{resolve(n.Content[i+1])}
		if sources[0].Kind == yaml.SequenceNode {
			sources = sources[0].Content
		}
		for _, source := range sources {
			if key, value := child(resolve(source), s, depth+1); value != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

// keyLine returns the line of a key of the mapping that starts at a line, or that line when the mapping does not have
// the key itself (a $merge made it, say).
func (f *File) keyLine(line int, key string) int {
	if line == 0 {
		return f.lineOf("tasks")
	}
	if found := findKey(resolve(f.root), line, key, 0); found > 0 {
		return found
	}
	return line
}

func findKey(n *yaml.Node, line int, key string, depth int) int {
	if depth > 200 {
		return 0
	}
	if n.Kind == yaml.MappingNode && n.Line == line {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i].Line
			}
		}
	}
	for _, c := range n.Content {
		if found := findKey(c, line, key, depth+1); found > 0 {
			return found
		}
	}
	return 0
}
