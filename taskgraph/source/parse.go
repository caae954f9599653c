package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Parse parses src, the text of the file called path.
func Parse(path string, src []byte) (*File, error) {
	if len(src) > MaxBytes {
		return nil, &graph.Error{File: path, Message: fmt.Sprintf("is larger than %d MB", MaxBytes>>20)}
	}
	if len(src) >= divideFrom {
		if p := divide(src, runtime.GOMAXPROCS(0)); p != nil {
			if f, ok := p.parse(path); ok {
				return f, nil
			}
		}
	}
	return parseWhole(path, src)
}

func parseWhole(path string, src []byte) (*File, error) {
	f := &File{Path: path}
	root, err := parseText(path, src)
	if err != nil || root == nil {
		return f, err
	}
	f.root = root
	r := reader{file: f, done: map[*yaml.Node]shared{}}
	v, size, err := r.value(f.root, 0)
	if err != nil {
		return nil, err
	}
	if size > MaxNodes {
		return nil, &graph.Error{File: path, Message: fmt.Sprintf("stands for %d values once its aliases are followed; the limit is %d", size, MaxNodes)}
	}
	f.Value = v
	return f, nil
}

// parseText returns the root of the only document in src, nil when src holds none.
func parseText(path string, src []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(src))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, syntaxError(path, err)
	}
	var second yaml.Node
	if err := d.Decode(&second); err == nil {
		return nil, &graph.Error{File: path, Line: second.Line, Message: "holds a second document; only one is allowed"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(path, err)
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntaxError takes the line out of the parser's message.
func syntaxError(path string, err error) error {
	msg := err.Error()
	e := &graph.Error{File: path, Message: "is not valid YAML"}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	e.Message += ": " + strings.TrimSpace(msg)
	return e
}

// parts is a large file in pieces that are parsed at the same time. Empty lines stand for the text
// before a piece, so that every line keeps its number.
type parts struct {
	section string // the last key at the left margin, whose entries are divided
	column  int    // where these entries begin, counted from 1
	first   []byte // the file up to some entry
	rest    [][]byte
}

const divideFrom = 128 << 10 // bytes from which it is worth the while

// divide divides the last mapping of a large file at keys that stand alone on their lines. Where such a
// line is none, but stands within quotes or brackets, the piece before it ends within them and is no
// YAML. It returns nil where there is nothing to divide.
func divide(src []byte, pieces int) *parts {
	if pieces < 2 || keepsLines(src) || breaksLines(src) {
		return nil
	}
	p := &parts{}
	start := p.findSection(src)
	if start == len(src) || p.column < 2 {
		return nil
	}
	entry := regexp.MustCompile(`\n {` + strconv.Itoa(p.column-1) + `}[A-Za-z0-9][A-Za-z0-9_./-]*:\n`)
	from := 0
	for i := 1; i <= pieces; i++ {
		to := len(src)
		if about := start + (len(src)-start)/pieces*i; i < pieces {
			at := entry.FindIndex(src[about:])
			if at == nil {
				continue
			}
			to = about + at[0] + 1
		}
		if from == 0 {
			p.first = src[:to]
		} else if from < to {
			p.rest = append(p.rest, append(blank(src[:from]), src[from:to]...))
		}
		from = to
	}
	if len(p.rest) == 0 {
		return nil
	}
	return p
}

// findSection finds the last key at the left margin, and returns where the text below it begins.
func (p *parts) findSection(src []byte) int {
	end := len(src)
	for {
		at := bytes.LastIndexByte(src[:end], '\n') + 1
		if line := src[at:end]; len(line) > 0 && strings.IndexByte(" #", line[0]) < 0 {
			key, after, ok := strings.Cut(string(line), ":")
			if !ok || after != "" || strings.Trim(key, word) != "" {
				return len(src)
			}
			p.section = key
			text := src[min(end+1, len(src)):]
			p.column = len(text) - len(bytes.TrimLeft(text, " ")) + 1
			return len(src) - len(text)
		}
		if at == 0 {
			return len(src)
		}
		end = at - 1
	}
}

// breaksLines reports whether src has other ends of lines than newlines: YAML knows several.
func breaksLines(src []byte) bool {
	for _, end := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(src, []byte(end)) {
			return true
		}
	}
	return false
}

const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// keepsLines reports whether src may hold a scalar to which empty lines behind it belong: one with a
// header such as |+ or >2+.
func keepsLines(src []byte) bool {
	for from := 0; ; {
		at := bytes.IndexByte(src[from:], '+')
		if at < 0 {
			return false
		}
		from += at + 1
		if bytes.ContainsAny(src[max(from-3, 0):from], "|>") {
			return true
		}
	}
}

// blank returns as many empty lines as text has lines.
func blank(text []byte) []byte {
	return bytes.Repeat([]byte("\n"), bytes.Count(text, []byte("\n")))
}

// parse parses the pieces and puts the file together again. ok is false when that cannot be done as if
// it had never been divided: something is wrong in a piece, or they refer to each other.
func (p *parts) parse(path string) (f *File, ok bool) {
	rest := make([]*File, len(p.rest))
	sizes := make([]int, len(p.rest))
	var parsing sync.WaitGroup
	for i, text := range p.rest {
		parsing.Go(func() { rest[i], sizes[i] = parsePart(path, text, 1) })
	}
	f, size := parsePart(path, p.first, 0)
	parsing.Wait()
	if f == nil {
		return nil, false
	}
	at := f.Root().Child(p.section).yaml
	if !p.block(at) {
		return nil, false
	}
	section := f.Value.(map[string]any)[p.section].(map[string]any)
	for i, part := range rest {
		if part == nil || !p.block(part.root) {
			return nil, false
		}
		for key, v := range part.Value.(map[string]any) {
			if _, twice := section[key]; twice {
				return nil, false // to be warned of, with its line
			}
			section[key] = v
		}
		at.Content = append(at.Content, part.root.Content...)
		size = add(size, sizes[i]-1)
	}
	return f, size <= MaxNodes
}

// block reports whether n is a mapping of entries, one below the other, where they were divided.
func (p *parts) block(n *yaml.Node) bool {
	return n != nil && n.Kind == yaml.MappingNode && len(n.Content) > 0 && n.Style&yaml.FlowStyle == 0 && n.Column == p.column &&
		n.Content[0].Column == p.column // behind a tag the entries may stand elsewhere
}

// parsePart returns a piece and the number of its values; nil when it is in any way special.
func parsePart(path string, text []byte, depth int) (*File, int) {
	root, err := parseText(path, text)
	if err != nil || root == nil {
		return nil, 0
	}
	f := &File{Path: path, root: root}
	r := reader{file: f, done: map[*yaml.Node]shared{}}
	v, size, err := r.value(root, depth)
	if err != nil || len(r.done) > 0 || len(f.Warnings) > 0 {
		return nil, 0
	}
	f.Value = v
	return f, size
}
