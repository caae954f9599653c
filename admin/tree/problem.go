package tree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/internal/near"
)

// maxProblems is how many mistakes are told.
const maxProblems = 100

// Problem is one mistake in a directory.
type Problem struct {
	Place
	Key  string // such as clients.project/acme/ci.scopes; "" when there is none
	Text string // what is wrong, and what would be right
}

func (p Problem) String() string {
	at := fmt.Sprintf("%s:%d", p.File, p.Line)
	if p.Key == "" {
		return at + ": " + p.Text
	}
	return at + ": " + p.Key + ": " + p.Text
}

// Problems are the mistakes of a directory, in the order of files and lines.
type Problems []Problem

// Error lists them.
func (ps Problems) Error() string {
	lines := make([]string, 0, len(ps)+1)
	for i, p := range ps {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("… and %d more", len(ps)-i))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	return ps
}

// at is a node with the way that led to it; problems are gathered in one list.
type at struct {
	*yaml.Node
	file string
	key  string
	all  *Problems
}

func (a at) place() Place { return Place{a.file, a.Line} }

// wrong notes a mistake.
func (a at) wrong(format string, args ...any) {
	*a.all = append(*a.all, Problem{a.place(), a.key, fmt.Sprintf(format, args...)})
}

func (a at) child(n *yaml.Node, name string) at {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if a.key != "" {
		name = a.key + "." + name
	}
	return at{n, a.file, name, a.all}
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "nothing"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "a number"
	case n.Tag == "!!bool":
		return "a truth value"
	}
	return "a text"
}

// mapping reads a mapping with the keys given; others are mistakes.
func (a at) mapping(known ...string) map[string]at {
	out := map[string]at{}
	a.each(func(name string, value at) {
		if !slices.Contains(known, name) {
			value.wrong("the key is not known; %s", nearest(name, known))
			return
		}
		out[name] = value
	})
	return out
}

// each yields the entries of a mapping in their order.
func (a at) each(yield func(name string, value at)) {
	if a.Kind != yaml.MappingNode {
		if a.Tag != "!!null" {
			a.wrong("it is %s; write a mapping, key: value", kindOf(a.Node))
		}
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(a.Content); i += 2 {
		k := a.Content[i]
		if k.Kind != yaml.ScalarNode {
			a.child(k, "?").wrong("a key is %s; write a text", kindOf(k))
			continue
		}
		value := a.child(a.Content[i+1], k.Value)
		if value.Node == a.Content[i+1] && value.Kind != yaml.ScalarNode {
			value.Node = moved(value.Node, k.Line)
		}
		if seen[k.Value] {
			value.wrong("it stands here twice; keep one")
			continue
		}
		seen[k.Value] = true
		yield(k.Value, value)
	}
}

// moved is a node that counts as standing where its key does.
func moved(n *yaml.Node, line int) *yaml.Node {
	m := *n
	m.Line = line
	return &m
}

// items yields the elements of a list.
func (a at) items(yield func(item at)) {
	if a.Kind != yaml.SequenceNode {
		if a.Tag != "!!null" {
			a.wrong("it is %s; write a list, - value", kindOf(a.Node))
		}
		return
	}
	for i, n := range a.Content {
		yield(a.child(n, fmt.Sprintf("[%d]", i)))
	}
}

// text reads a text; numbers and truth values are not taken for one.
func (a at) text() string {
	if a.Kind != yaml.ScalarNode || a.Tag != "!!str" {
		a.wrong("it is %s; write a text, in quotes if need be", kindOf(a.Node))
		return ""
	}
	return a.Value
}

// texts reads a list of texts, or one alone.
func (a at) texts() []string {
	if a.Kind == yaml.ScalarNode && a.Tag == "!!str" {
		return []string{a.Value}
	}
	list := []string{}
	a.items(func(item at) { list = append(list, item.text()) })
	return list
}

func (a at) truth() bool {
	var out bool
	if a.Kind != yaml.ScalarNode || a.Tag != "!!bool" || a.Decode(&out) != nil {
		a.wrong("it is %s; write true or false", kindOf(a.Node))
	}
	return out
}

// level reads 1, 2 or 3.
func (a at) level() int {
	var out int
	if a.Kind != yaml.ScalarNode || a.Tag != "!!int" || a.Decode(&out) != nil || out < 1 || out > 3 {
		a.wrong("it is no level of trust; write 1, 2 or 3")
	}
	return out
}

// levels reads a level, or a list of them.
func (a at) levels() []int {
	if a.Kind != yaml.SequenceNode {
		return []int{a.level()}
	}
	var list []int
	a.items(func(item at) { list = append(list, item.level()) })
	return list
}

// value reads anything as it would be in JSON.
func (a at) value() any {
	var out any
	if err := a.Decode(&out); err != nil {
		a.wrong("it cannot be read: %v", err)
		return nil
	}
	if deeper(a.Node, maxLevels) {
		a.wrong("it is nested more than %d levels deep; flatten it", maxLevels)
		return nil
	}
	out, ok := plain(out)
	if !ok {
		a.wrong("it has a key that is no text, or a number that JSON does not know; put it in quotes")
		return nil
	}
	return out
}

// maxLevels is how deep values may nest: no deeper than the tasks of a server.
const maxLevels = 500

// deeper reports whether a node that can be decoded, so that no alias is a circle, nests more than some levels.
func deeper(n *yaml.Node, levels int) bool {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return levels < 0 || slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return deeper(c, levels-1) })
}

// nearest helps with a key that is not known.
func nearest(name string, known []string) string {
	if best := near.Word(name, known, len(name)/2+1); best != "" {
		return fmt.Sprintf("is %s meant?", best)
	}
	return "the keys here are " + strings.Join(known, ", ")
}
