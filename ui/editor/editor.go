// Package editor reads what people write into the editors of pages, in YAML or JSON, and says what is wrong with it and
// where: the grammar first, then a schema. It also tells what may stand at a place, for the help beside the editor.
//
// What is read was written by anybody: texts, their depth, and what aliases make of them are bounded.
package editor

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Limits of a text.
const (
	MaxBytes = 1 << 20
	maxDepth = 60
	maxNodes = 200_000 // with what aliases repeat
)

// The severities of a problem.
const (
	Error   = "error"
	Warning = "warning"
)

// Problem is what is wrong at a place of a text.
type Problem struct {
	Line     int    `json:"line"`   // counted from 1; 0 when it has no place
	Column   int    `json:"column"` // of the line, counted from 1; 0: all of it
	Path     string `json:"path"`   // such as payload/command/0; may be ""
	Message  string `json:"message"`
	Severity string `json:"severity"`
}

// Doc is a text that could be read.
type Doc struct {
	root  *yaml.Node
	value any
}

// Parse reads a text. Without a document there is at least one problem.
func Parse(text string) (*Doc, []Problem) {
	if len(text) > MaxBytes {
		return nil, []Problem{{Message: fmt.Sprintf("The text has %d bytes; at most %d are read.", len(text), MaxBytes), Severity: Error}}
	}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, []Problem{grammar(text, err)}
	}
	if root.Kind == 0 {
		return nil, []Problem{{Line: 1, Message: "There is nothing here yet.", Severity: Error}}
	}
	c := &converter{}
	value, err := c.value(&root, 0)
	if wrong, ok := errors.AsType[*placed](err); ok {
		return nil, []Problem{{Line: wrong.node.Line, Column: wrong.node.Column, Message: wrong.text, Severity: Error}}
	}
	if err != nil {
		return nil, []Problem{{Line: 1, Message: err.Error(), Severity: Error}}
	}
	return &Doc{root: &root, value: value}, nil
}

// Value is the document as JSON has it: maps, lists, strings, json.Number, bool and nil.
func (d *Doc) Value() any { return d.value }

// JSON writes the document.
func (d *Doc) JSON() (json.RawMessage, error) { return json.Marshal(d.value) }

// Problem is one at a path.
func (d *Doc) Problem(path []string, format string, args ...any) Problem {
	line, column := d.Place(path...)
	return Problem{Line: line, Column: column, Path: strings.Join(path, "/"), Message: fmt.Sprintf(format, args...), Severity: Error}
}

// Place finds where a path stands, as far as the document has it: a key's place, or an item's.
func (d *Doc) Place(path ...string) (line, column int) {
	n := resolve(d.root)
	line, column = n.Line, n.Column
	for _, step := range path {
		key, value := child(n, step)
		if value == nil {
			return line, column
		}
		at := value
		if key != nil {
			at = key
		}
		line, column = at.Line, at.Column
		n = resolve(value)
	}
	return line, column
}

// Lines tells for each line, from the first on, the path of what begins there or goes on; "" is the whole.
func (d *Doc) Lines(count int) []string {
	out := make([]string, count)
	set := make([]bool, count)
	var walk func(n *yaml.Node, path string, depth int)
	mark := func(line int, path string) {
		if line >= 1 && line <= count {
			out[line-1], set[line-1] = path, true // the innermost of a line comes last
		}
	}
	walk = func(n *yaml.Node, path string, depth int) {
		if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
			n = n.Content[0]
		}
		if depth > maxDepth {
			return
		}
		for i := 0; i < len(n.Content); i++ {
			switch n.Kind {
			case yaml.MappingNode:
				if i+1 < len(n.Content) {
					at := join(path, n.Content[i].Value)
					mark(n.Content[i].Line, at)
					walk(n.Content[i+1], at, depth+1)
				}
				i++
			case yaml.SequenceNode:
				at := join(path, strconv.Itoa(i))
				if !set[max(0, min(n.Content[i].Line-1, count-1))] {
					mark(n.Content[i].Line, at)
				}
				walk(n.Content[i], at, depth+1)
			}
		}
	}
	walk(d.root, "", 0)
	for i := 1; i < count; i++ { // a text of several lines belongs to its key
		if !set[i] {
			out[i] = out[i-1]
		}
	}
	return out
}

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "/" + step
}

var (
	lineIn  = regexp.MustCompile(`line (\d+)`)
	problem = strings.NewReplacer("yaml: ", "", "unmarshal errors:\n", "")
)

// grammar explains why a text cannot be read.
func grammar(text string, err error) Problem {
	p := Problem{Line: 1, Message: strings.TrimSpace(problem.Replace(err.Error())), Severity: Error}
	if m := lineIn.FindStringSubmatch(p.Message); m != nil {
		p.Line, _ = strconv.Atoi(m[1])
		p.Message = strings.TrimSpace(strings.TrimPrefix(p.Message, m[0]+":"))
		if strings.HasPrefix(p.Message, "did not find expected") && !strings.Contains(p.Message, "comment or line break") {
			p.Line++ // the library counts from 0 in what its parser finds, from 1 in what its scanner does
		}
	}
	lines := strings.Split(text, "\n")
	if tab := slices.IndexFunc(lines, tabbed); tab >= 0 && (tab+1 <= p.Line+1 || strings.Contains(p.Message, "tab") || strings.Contains(p.Message, "token")) {
		p.Line, p.Column = tab+1, 1+strings.IndexByte(lines[tab], '\t')
		p.Message = "A line is indented with a tab, which YAML forbids: use spaces. “Tabs to spaces” changes all of them."
		return p
	}
	p.Line = min(p.Line, len(lines))
	p.Message = "This is no YAML: " + p.Message + "."
	return p
}

// tabbed reports whether a tab stands among the blanks that a line begins with.
func tabbed(line string) bool {
	for _, r := range line {
		switch r {
		case '\t':
			return strings.TrimSpace(line) != ""
		case ' ':
		default:
			return false
		}
	}
	return false
}

// Untab replaces the tabs of indentation with two spaces each.
func Untab(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		rest := strings.TrimLeft(line, " \t")
		lines[i] = strings.ReplaceAll(line[:len(line)-len(rest)], "\t", "  ") + rest
	}
	return strings.Join(lines, "\n")
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

// child returns the key (nil in a list) and the value one step below n.
func child(n *yaml.Node, step string) (key, value *yaml.Node) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i], n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return nil, n.Content[i]
		}
	}
	return nil, nil
}
