// Package source reads the YAML files of a tree into plain values and remembers where each of
// them stands, so that a fault can be told with file and line.
//
// Values are map[string]any, []any, string, int64, float64, bool and nil. Scalars are read by the
// rules of YAML 1.1 as the field's kind files expect (taskgraph-map 28, trap 31): yes, no, on and
// off are booleans, 010 is octal, 1:30 is sexagesimal. Values that an alias names twice are
// shared, so nobody may write to what a File holds. A File is safe for concurrent reading.
package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Limits of one file.
const (
	MaxBytes = 64 << 20  // bytes of text
	MaxNodes = 8_000_000 // values, those that aliases repeat counted each time
	MaxDepth = 100       // lists and maps inside each other
)

// File is one YAML document.
type File struct {
	// Path is the file's path in the tree.
	Path string
	// Value is the document: usually a map[string]any.
	Value any
	// Warnings are oddities that have a meaning, such as a key given twice.
	Warnings []*graph.Error

	root *yaml.Node
}

// Read reads and parses the file of that path in tree. The error is a *graph.Error; that the
// file does not exist is fs.ErrNotExist inside it.
func Read(tree fs.FS, path string) (*File, error) {
	f, err := tree.Open(path)
	if err != nil {
		return nil, &graph.Error{File: path, Message: "cannot be read", Err: bare(err)}
	}
	defer f.Close() //nolint:errcheck // it was only read
	var src bytes.Buffer
	if info, err := f.Stat(); err == nil && info.Size() < MaxBytes {
		src.Grow(int(info.Size()) + bytes.MinRead) // one piece of memory, also for a large file
	}
	if _, err = src.ReadFrom(io.LimitReader(f, MaxBytes+1)); err != nil {
		return nil, &graph.Error{File: path, Message: "cannot be read", Err: bare(err)}
	}
	return Parse(path, src.Bytes())
}

// bare takes the path out of an error that will be shown beside the path.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Map returns the document's map, nil for an empty document, and an error when it is neither.
func (f *File) Map() (map[string]any, error) {
	switch v := f.Value.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	}
	return nil, &graph.Error{File: f.Path, Line: f.Root().Line(), Message: "must be a mapping of keys to values"}
}

// Root is the node of the whole document.
func (f *File) Root() Node { return Node{file: f, yaml: f.root} }

// LineOf is the line of what stands nearest to the path from the root: of the value, or of its key.
func (f *File) LineOf(at []string, onKey bool) int {
	n := f.Root()
	line := n.Line()
	for i, key := range at {
		if k := n.Key(key); k.OK() && onKey && i == len(at)-1 {
			return k.Line()
		}
		if n = n.Child(key); !n.OK() {
			return line
		}
		line = n.Line()
	}
	return line
}

// Node is a place in a file. The zero Node is nowhere: it has no keys, no children, line 0.
type Node struct {
	file *File
	yaml *yaml.Node
}

// OK reports whether n is somewhere.
func (n Node) OK() bool { return n.yaml != nil }

// File is the path of the file, "" for nowhere.
func (n Node) File() string {
	if n.file == nil {
		return ""
	}
	return n.file.Path
}

// Line is the line on which the value starts, counted from 1; 0 for nowhere.
func (n Node) Line() int {
	if n.yaml == nil {
		return 0
	}
	return n.yaml.Line
}

// Errorf makes an error that points at n.
func (n Node) Errorf(format string, args ...any) *graph.Error {
	return &graph.Error{File: n.File(), Line: n.Line(), Message: fmt.Sprintf(format, args...)}
}

func (n Node) resolved() *yaml.Node {
	y := n.yaml
	for y != nil && y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	return y
}

// Entry is one entry of a mapping.
type Entry struct {
	Key string
	// At is the place of the key, Value that of the value.
	At, Value Node
}

// Entries returns the entries of the mapping at n in the order of the file; those that a merge
// brings in come first.
func (n Node) Entries() []Entry {
	y := n.resolved()
	if y == nil || y.Kind != yaml.MappingNode {
		return nil
	}
	out := make([]Entry, 0, len(y.Content)/2)
	const many = 32
	var at map[string]int // of more than many
	find := func(key string) (int, bool) {
		if at != nil {
			i, ok := at[key]
			return i, ok
		}
		i := slices.IndexFunc(out, func(e Entry) bool { return e.Key == key })
		return i, i >= 0
	}
	put := func(e Entry) {
		if i, ok := find(e.Key); ok {
			out[i].At, out[i].Value = e.At, e.Value
			return
		}
		out = append(out, e)
		switch {
		case at != nil:
			at[e.Key] = len(out) - 1
		case len(out) > many:
			at = make(map[string]int, max(len(y.Content)/2, 2*many))
			for i, e := range out {
				at[e.Key] = i
			}
		}
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if isMerge(y.Content[i]) {
			from := merged(y.Content[i+1])
			for j := range from { // the first of a list counts most, yet its keys come first
				for _, e := range (Node{n.file, from[j]}).Entries() {
					if _, ok := find(e.Key); !ok {
						put(e)
					}
				}
			}
		}
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if key, ok := keyText(y.Content[i]); ok && !isMerge(y.Content[i]) {
			put(Entry{key, Node{n.file, y.Content[i]}, Node{n.file, y.Content[i+1]}})
		}
	}
	return out
}

// Keys returns the keys of Entries.
func (n Node) Keys() []string {
	entries := n.Entries()
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Key
	}
	return out
}

// Child returns the node of the value under key, or of the element whose index key is.
func (n Node) Child(key string) Node {
	_, v := n.pair(key)
	return v
}

// Key returns the node of the key itself, which for a value over several lines is where people
// look.
func (n Node) Key(key string) Node {
	k, _ := n.pair(key)
	return k
}

func (n Node) pair(key string) (k, v Node) {
	y := n.resolved()
	if y == nil {
		return Node{}, Node{}
	}
	if y.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(y.Content) {
			at := Node{n.file, y.Content[i]}
			return at, at
		}
		return Node{}, Node{}
	}
	if y.Kind != yaml.MappingNode {
		return Node{}, Node{}
	}
	for i := len(y.Content) - 2; i >= 0; i -= 2 { // the last of several wins
		if keyIs(y.Content[i], key) && !isMerge(y.Content[i]) {
			return Node{n.file, y.Content[i]}, Node{n.file, y.Content[i+1]}
		}
	}
	for i := 0; i+1 < len(y.Content); i += 2 {
		if isMerge(y.Content[i]) {
			for _, from := range merged(y.Content[i+1]) {
				if k, v := (Node{n.file, from}).pair(key); v.OK() {
					return k, v
				}
			}
		}
	}
	return Node{}, Node{}
}
