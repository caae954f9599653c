package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MarshalIndent returns the graph as one JSON object, key to task, with sorted keys, two
// spaces of indent and everything outside ASCII escaped: the bytes that the well-known graph
// artifacts have (taskgraph-map 1.1). There is no newline at the end.
func (g *Graph) MarshalIndent() ([]byte, error) {
	var b bytes.Buffer
	if len(g.keys) > 0 {
		b.Grow(4096 * len(g.keys))
	}
	err := g.WriteIndent(&b)
	return b.Bytes(), err
}

// part is how many tasks one goroutine writes at a time.
const part = 64

// WriteIndent writes what MarshalIndent returns, some tasks at a time: memory does not grow with the
// graph. Tasks are put into form by several goroutines, and written by the caller's.
func (g *Graph) WriteIndent(w io.Writer) error {
	if len(g.keys) == 0 {
		_, err := io.WriteString(w, "{}")
		return err
	}
	n := (len(g.keys) + part - 1) / part
	ahead := 2 * runtime.GOMAXPROCS(0)
	parts := make([]chan piece, min(ahead, n)) // by part modulo their number
	for i := range parts {
		parts[i] = make(chan piece, 1)
		go func() { parts[i] <- g.piece(nil, i) }()
	}
	for i := range n {
		p := <-parts[i%len(parts)]
		if p.err == nil {
			_, p.err = w.Write(p.text)
		}
		if p.err != nil {
			return p.err
		}
		if next := i + len(parts); next < n {
			go func() { parts[i%len(parts)] <- g.piece(p.text[:0], next) }()
		}
	}
	_, err := io.WriteString(w, "\n}")
	return err
}

// piece is the text of some tasks.
type piece struct {
	text []byte
	err  error
}

func (g *Graph) piece(b []byte, n int) piece {
	for i := n * part; i < min((n+1)*part, len(g.keys)); i++ {
		lead := ",\n  "
		if i == 0 {
			lead = "{\n  "
		}
		b = appendString(append(b, lead...), g.keys[i])
		b = append(b, ": "...)
		var err error
		if b, err = appendTask(b, g.tasks[i], 1); err != nil {
			return piece{err: fmt.Errorf("graph: write task %s: %w", g.keys[i], err)}
		}
	}
	return piece{text: b}
}

// appendTask appends t in the form of JSON, whose keys stand here in their order.
func appendTask(b []byte, t *Task, depth int) ([]byte, error) {
	var err error
	lead := byte('{')
	field := func(name string, v any) {
		if err != nil {
			return
		}
		b = appendIndent(append(b, lead), depth+1)
		b = append(appendString(b, name), ": "...)
		b, err = appendValue(b, v, depth+1)
		lead = ','
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}
	field("attributes", t.Attributes)
	field("dependencies", t.Dependencies)
	field("description", t.Description)
	field("if_dependencies", t.IfDependencies)
	field("kind", t.Kind)
	field("label", t.Label)
	if t.Optimization == nil {
		field("optimization", nil)
	} else {
		field("optimization", t.Optimization)
	}
	field("soft_dependencies", t.SoftDependencies)
	field("task", t.Definition)
	if t.TaskID != "" {
		field("task_id", t.TaskID)
	}
	if err != nil {
		return nil, err
	}
	return append(appendIndent(b, depth), '}'), nil
}

// AppendJSON appends v, a value made of maps, slices, strings, numbers, bools and nil, in the
// form of MarshalIndent.
func AppendJSON(b []byte, v any) ([]byte, error) { return appendValue(b, v, 0) }

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case float64:
		return appendFloat(b, v)
	case json.Number:
		return append(b, v...), nil
	case map[string]any:
		return appendMap(b, v, depth, appendValue)
	case []any:
		return appendList(b, v, depth, appendValue)
	case []string:
		return appendList(b, v, depth, appendText)
	case map[string]string:
		return appendMap(b, v, depth, appendText)
	}
	return nil, fmt.Errorf("a value of type %T has no JSON form", v)
}

func appendText(b []byte, s string, _ int) ([]byte, error) { return appendString(b, s), nil }

func appendMap[V any](b []byte, m map[string]V, depth int, value func([]byte, V, int) ([]byte, error)) ([]byte, error) {
	if len(m) == 0 {
		return append(b, "{}"...), nil
	}
	type entry struct {
		key   string
		value V
	}
	var few [24]entry
	entries := few[:0]
	for k, v := range m {
		at := len(entries)
		entries = append(entries, entry{k, v})
		if len(m) > len(few) {
			continue // sorted below
		}
		for ; at > 0 && entries[at-1].key > k; at-- {
			entries[at] = entries[at-1]
		}
		entries[at] = entry{k, v}
	}
	if len(m) > len(few) {
		slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	}
	lead := byte('{')
	for i := range entries {
		b = appendIndent(append(b, lead), depth+1)
		b = append(appendString(b, entries[i].key), ": "...)
		var err error
		if b, err = value(b, entries[i].value, depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", entries[i].key, err)
		}
		lead = ','
	}
	return append(appendIndent(b, depth), '}'), nil
}

func appendList[V any](b []byte, list []V, depth int, value func([]byte, V, int) ([]byte, error)) ([]byte, error) {
	if len(list) == 0 {
		return append(b, "[]"...), nil
	}
	lead := byte('[')
	for i, v := range list {
		b = appendIndent(append(b, lead), depth+1)
		var err error
		if b, err = value(b, v, depth+1); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		lead = ','
	}
	return append(appendIndent(b, depth), ']'), nil
}

const indents = "\n                                                                "

func appendIndent(b []byte, depth int) []byte {
	if 2*depth < len(indents) {
		return append(b, indents[:1+2*depth]...)
	}
	b = append(b, indents...)
	for range depth - (len(indents)-1)/2 {
		b = append(b, "  "...)
	}
	return b
}

// appendFloat writes the shortest form that reads back the same, always as a float.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("a number that is infinite or none has no JSON form")
	}
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		format = 'e'
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, format, -1, 64)
	if !bytes.ContainsAny(b[start:], ".e") {
		b = append(b, ".0"...)
	}
	return b, nil
}

const hexDigits = "0123456789abcdef"

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		if c < utf8.RuneSelf {
			b = appendEscape(b, c)
			i++
		} else {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = appendRune(b, r)
			i += size
		}
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}

func appendRune(b []byte, r rune) []byte {
	hex := func(u rune) {
		b = append(b, '\\', 'u', hexDigits[u>>12&15], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
	}
	if r >= 0x10000 {
		r -= 0x10000
		hex(0xd800 + r>>10)
		hex(0xdc00 + r&0x3ff)
		return b
	}
	hex(r)
	return b
}

// Parse reads the form that MarshalIndent writes. Numbers become int64 where they are whole,
// float64 otherwise. Edges to tasks outside the object are left out: replaced tasks are not in
// the graph that names them.
func Parse(r io.Reader) (*Graph, error) {
	d := json.NewDecoder(r)
	d.UseNumber()
	var raw map[string]map[string]any
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("graph: read JSON: %w", err)
	}
	tasks := make(map[string]*Task, len(raw))
	for key, m := range raw {
		t, err := FromJSON(plainNumbers(m).(map[string]any))
		if err != nil {
			return nil, err
		}
		tasks[key] = t
	}
	var edges []Edge
	for key, t := range tasks {
		for name, to := range t.Dependencies {
			if tasks[to] != nil {
				edges = append(edges, Edge{From: key, To: to, Name: name})
			}
		}
	}
	return New(tasks, edges)
}

func plainNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumbers(e)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	}
	return v
}
