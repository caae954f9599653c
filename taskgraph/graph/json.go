package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
	"strconv"
	"unicode/utf8"
)

// MarshalIndent returns the graph as one JSON object, key to task, with sorted keys, two
// spaces of indent and everything outside ASCII escaped: the bytes that the well-known graph
// artifacts have (taskgraph-map 1.1). There is no newline at the end.
func (g *Graph) MarshalIndent() ([]byte, error) {
	b := make([]byte, 0, 4096*len(g.keys)+2)
	b = append(b, '{')
	for i, key := range g.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n  "...)
		b = appendString(b, key)
		b = append(b, ": "...)
		var err error
		if b, err = appendValue(b, g.tasks[i].JSON(), 1); err != nil {
			return nil, fmt.Errorf("graph: write task %s: %w", key, err)
		}
	}
	if len(g.keys) > 0 {
		b = append(b, '\n')
	}
	return append(b, '}'), nil
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
		return appendMap(b, v, depth)
	case []any:
		return appendList(b, v, depth)
	case []string:
		return appendList(b, stringsToAny(v), depth)
	case map[string]string:
		m := make(map[string]any, len(v))
		for k, s := range v {
			m[k] = s
		}
		return appendMap(b, m, depth)
	}
	return nil, fmt.Errorf("a value of type %T has no JSON form", v)
}

func appendMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	if len(m) == 0 {
		return append(b, "{}"...), nil
	}
	var few [16]string
	keys := few[:0]
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIndent(b, depth+1)
		b = appendString(b, k)
		b = append(b, ": "...)
		var err error
		if b, err = appendValue(b, m[k], depth+1); err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
	}
	b = appendIndent(b, depth)
	return append(b, '}'), nil
}

func appendList(b []byte, list []any, depth int) ([]byte, error) {
	if len(list) == 0 {
		return append(b, "[]"...), nil
	}
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendIndent(b, depth+1)
		var err error
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	b = appendIndent(b, depth)
	return append(b, ']'), nil
}

func appendIndent(b []byte, depth int) []byte {
	b = append(b, '\n')
	for range depth {
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
