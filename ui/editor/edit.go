package editor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Edit changes parts of a text and leaves the order of its keys and its comments alone.
type Edit struct {
	root *yaml.Node
	json bool
}

// Edit begins changes of a document that Parse has read from the text.
func (d *Doc) Edit(text string) (*Edit, error) {
	e := &Edit{json: strings.HasPrefix(strings.TrimSpace(text), "{")}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, fmt.Errorf("editor: %w", err)
	}
	e.root = &root
	return e, nil
}

// Set puts a value at a path of keys; mappings that are missing are made.
func (e *Edit) Set(value any, path ...string) error {
	var leaf yaml.Node
	if err := leaf.Encode(value); err != nil {
		return fmt.Errorf("editor: set %s: %w", strings.Join(path, "/"), err)
	}
	n := resolve(e.root)
	for i, step := range path {
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("editor: set %s: %s is no mapping", strings.Join(path, "/"), strings.Join(path[:i], "/"))
		}
		_, next := child(n, step)
		switch {
		case i == len(path)-1 && next != nil:
			leaf.LineComment, leaf.HeadComment = next.LineComment, next.HeadComment
			*next = leaf
			return nil
		case i == len(path)-1:
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: step}, &leaf)
			n.Style &^= yaml.FlowStyle
			return nil
		case next == nil || resolve(next).Kind != yaml.MappingNode:
			made := &yaml.Node{Kind: yaml.MappingNode}
			if next != nil {
				*next = *made
			} else {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: step}, made)
				n.Style &^= yaml.FlowStyle
				next = made
			}
			n = next
		default:
			n = resolve(next)
		}
	}
	return nil
}

// Delete takes a key away; one that is not there is gone already.
func (e *Edit) Delete(path ...string) {
	n := resolve(e.root)
	for _, step := range path[:len(path)-1] {
		_, next := child(n, step)
		if next == nil {
			return
		}
		n = resolve(next)
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == path[len(path)-1] {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// Keep leaves only those items of a list for which f, given the item as JSON, answers true; a list without items goes.
func (e *Edit) Keep(f func(item any) bool, path ...string) {
	n := resolve(e.root)
	for _, step := range path {
		_, next := child(n, step)
		if next == nil {
			return
		}
		n = resolve(next)
	}
	if n.Kind != yaml.SequenceNode {
		return
	}
	n.Content = slices.DeleteFunc(n.Content, func(item *yaml.Node) bool {
		v, err := (&converter{}).value(item, 0)
		return err == nil && !f(v)
	})
	if len(n.Content) == 0 {
		e.Delete(path...)
	}
}

// Text writes the document in the form that it had.
func (e *Edit) Text() (string, error) {
	if !e.json {
		return asYAML(e.root)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, resolve(e.root), "", 0); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

func asYAML(n *yaml.Node) (string, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return "", fmt.Errorf("editor: %w", err)
	}
	return out.String(), enc.Close()
}

// JSONText writes a text that Parse has read as indented JSON, in the order of its keys.
func (d *Doc) JSONText() (string, error) {
	var out bytes.Buffer
	if err := writeJSON(&out, resolve(d.root), "", 0); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

// YAMLText writes JSON as people write YAML, in the order of its keys; other texts as they would be written anew.
func (d *Doc) YAMLText() (string, error) {
	n := *resolve(d.root)
	return asYAML(plain(&n, 0))
}

// YAML writes JSON as people write YAML. What YAML cannot hold, such as odd escapes, stays JSON.
func YAML(text json.RawMessage) string {
	d, problems := Parse(string(text))
	if len(problems) > 0 {
		return string(text)
	}
	out, err := d.YAMLText()
	if err != nil {
		return string(text)
	}
	return out
}

// plain takes JSON's brackets and quotes away where YAML does not need them.
func plain(n *yaml.Node, depth int) *yaml.Node {
	if depth > maxDepth || n.Kind == yaml.AliasNode {
		return n
	}
	n.Style = 0
	if len(n.Content) == 0 && n.Kind != yaml.ScalarNode {
		n.Style = yaml.FlowStyle
	}
	for _, c := range n.Content {
		plain(c, depth+1)
	}
	return n
}

// writeJSON keeps the order of keys, which encoding/json does not.
func writeJSON(out *bytes.Buffer, n *yaml.Node, indent string, depth int) error {
	if n = resolve(n); depth > maxDepth {
		return fmt.Errorf("editor: nested more than %d levels deep", maxDepth)
	}
	open, end := byte('{'), byte('}')
	merges := n.Kind == yaml.MappingNode && slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.ShortTag() == "!!merge" })
	if n.Kind == yaml.ScalarNode || len(n.Content) == 0 || merges {
		v, err := (&converter{}).value(n, depth)
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(v, indent, "  ")
		out.Write(text)
		return err
	}
	step := 2
	if n.Kind == yaml.SequenceNode {
		open, end, step = '[', ']', 1
	}
	out.WriteByte(open)
	for i := 0; i+step <= len(n.Content); i += step {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString("\n" + indent + "  ")
		if step == 2 {
			key, err := json.Marshal(resolve(n.Content[i]).Value)
			if err != nil {
				return fmt.Errorf("editor: %w", err)
			}
			out.Write(key)
			out.WriteString(": ")
		}
		if err := writeJSON(out, n.Content[i+step-1], indent+"  ", depth+1); err != nil {
			return err
		}
	}
	out.WriteString("\n" + indent)
	out.WriteByte(end)
	return nil
}
