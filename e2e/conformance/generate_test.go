package conformance_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// library is a set of schemas, from which instances are made and by which they are judged.
type library struct {
	docs     map[string]map[string]any // by path, such as /schemas/queue/v1/task.json
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
	probed   map[string]bool // what $ref leads to that was probed in full
}

const origin = "made-up://"

func newLibrary(t testing.TB, b bundle) *library {
	t.Helper()
	l := &library{docs: map[string]map[string]any{}, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}, probed: map[string]bool{}}
	l.compiler.DefaultDraft(jsonschema.Draft6)
	l.compiler.AssertFormat()
	for name, text := range b {
		if !strings.HasPrefix(name, "schemas/") || strings.HasPrefix(name, "schemas/common/") {
			continue
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l.docs["/"+name] = doc
		bare := maps.Clone(doc)
		delete(bare, "$id")
		delete(bare, "$schema")
		if err := l.compiler.AddResource(origin+"/"+name, bare); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return l
}

// accepts reports whether a value fits the schema of a path.
func (l *library) accepts(t testing.TB, schema string, value any) bool {
	t.Helper()
	s := l.compiled[schema]
	if s == nil {
		var err error
		if s, err = l.compiler.Compile(origin + schema); err != nil {
			t.Fatal(err)
		}
		l.compiled[schema] = s
	}
	return s.Validate(value) == nil
}

// node is a place in a schema, and the document it stands in.
type node struct {
	doc string
	m   map[string]any
}

func (l *library) root(schema string) node { return l.resolve(node{schema, l.docs[schema]}) }

// resolve follows $ref.
func (l *library) resolve(n node) node {
	for range 20 {
		ref, ok := n.m["$ref"].(string)
		if !ok {
			return n
		}
		file, pointer, _ := strings.Cut(ref, "#")
		doc := n.doc
		if strings.HasPrefix(file, "/") {
			doc = file
		} else if file != "" {
			doc = path.Join(path.Dir(n.doc), file)
		}
		at := any(l.docs[doc])
		for _, step := range strings.Split(pointer, "/")[1:] {
			m, _ := at.(map[string]any)
			at = m[step]
		}
		m, _ := at.(map[string]any)
		n = node{doc, m}
	}
	return n
}

// parts are a schema and the alternatives in it.
func (l *library) parts(n node) []node {
	list := []node{n}
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		branches, _ := n.m[word].([]any)
		for _, b := range branches {
			if m, ok := b.(map[string]any); ok {
				list = append(list, l.parts(l.resolve(node{n.doc, m}))...)
			}
		}
	}
	return list
}

// kind is the first type that a schema names.
func kind(m map[string]any) string {
	switch v := m["type"].(type) {
	case string:
		return v
	case []any:
		s, _ := v[0].(string)
		return s
	}
	if m["properties"] != nil || m["required"] != nil {
		return "object"
	}
	return ""
}

const maxNesting = 10

// samples are values that fit a schema, at least one for each of its alternatives.
func (l *library) samples(n node, depth int) []any {
	n = l.resolve(n)
	if v, ok := n.m["const"]; ok {
		return []any{v}
	}
	if list, ok := n.m["enum"].([]any); ok {
		return list[:1]
	}
	if list := l.alternatives(n, depth); list != nil {
		return list
	}
	switch kind(n.m) {
	case "object":
		return l.objects(n, depth)
	case "array":
		return l.arrays(n, depth)
	case "string":
		return []any{text(n.m)}
	case "integer", "number":
		return []any{min(max(number(n.m, "minimum", 1), 1), number(n.m, "maximum", 1e9))}
	case "boolean":
		return []any{true}
	case "null":
		return []any{nil}
	}
	return []any{map[string]any{}}
}

// alternatives are the samples of oneOf and anyOf, with the properties that stand beside them.
func (l *library) alternatives(n node, depth int) []any {
	var out []any
	for _, word := range []string{"oneOf", "anyOf"} {
		branches, _ := n.m[word].([]any)
		for _, b := range branches {
			m, _ := b.(map[string]any)
			branch := l.resolve(node{n.doc, m})
			merged := maps.Clone(branch.m)
			for _, same := range []string{"type", "additionalProperties"} {
				if merged[same] == nil && n.m[same] != nil {
					merged[same] = n.m[same]
				}
			}
			if beside, ok := n.m["properties"].(map[string]any); ok && branch.doc == n.doc {
				all := maps.Clone(beside)
				own, _ := merged["properties"].(map[string]any)
				maps.Copy(all, own)
				merged["properties"] = all
			}
			out = append(out, l.samples(node{branch.doc, merged}, depth)...)
		}
	}
	return out
}

func (l *library) objects(n node, depth int) []any {
	first := map[string]any{}
	out := []any{first}
	if depth > maxNesting {
		return out
	}
	properties, _ := n.m["properties"].(map[string]any)
	var more []map[string]any
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		m, _ := properties[name].(map[string]any)
		values := l.samples(node{n.doc, m}, depth+1)
		first[name] = values[0]
		for _, v := range values[1:] {
			more = append(more, map[string]any{name: v})
		}
	}
	if free, ok := n.m["additionalProperties"].(map[string]any); ok {
		first["some-key"] = l.samples(node{n.doc, free}, depth+1)[0]
	}
	for _, m := range more {
		other := maps.Clone(first)
		maps.Copy(other, m)
		out = append(out, other)
	}
	return out
}

func (l *library) arrays(n node, depth int) []any {
	items, ok := n.m["items"].(map[string]any)
	if !ok || depth > maxNesting {
		return []any{[]any{}}
	}
	var out []any
	for _, v := range l.samples(node{n.doc, items}, depth+1) {
		out = append(out, []any{v})
	}
	return out
}

func number(m map[string]any, word string, otherwise float64) float64 {
	if v, ok := m[word].(float64); ok {
		return v
	}
	return otherwise
}

// What samples have for any time, and for any slugid.
const (
	sampleTime = "2026-01-02T03:04:05.678Z"
	sampleSlug = "aaaaaaaaQaaaaaaaaaaaaA"
)

// text is a string that fits a schema.
func text(m map[string]any) string {
	s := "text"
	if pattern, ok := m["pattern"].(string); ok {
		if re, err := syntax.Parse(pattern, syntax.Perl); err == nil {
			s = matching(re)
		}
	}
	switch m["format"] {
	case "date-time":
		s = sampleTime
	case "uri":
		s = "https://example.com/x"
	case "ipv4":
		s = "127.0.0.1"
	case "ipv6":
		s = "::1"
	case "email":
		s = "who@example.com"
	}
	for least := int(number(m, "minLength", 0)); len(s) < least; {
		s += cmp.Or(s, "x")[max(len(s)-1, 0):]
	}
	return s
}

// matching is a string that fits a regular expression.
func matching(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		for _, r := range "aA1_-/." {
			for i := 0; i < len(re.Rune); i += 2 {
				if r >= re.Rune[i] && r <= re.Rune[i+1] {
					return string(r)
				}
			}
		}
		return string(re.Rune[0])
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return "a"
	case syntax.OpCapture, syntax.OpPlus, syntax.OpStar:
		return matching(re.Sub[0])
	case syntax.OpRepeat:
		return strings.Repeat(matching(re.Sub[0]), max(re.Min, 1))
	case syntax.OpConcat:
		var b strings.Builder
		for _, sub := range re.Sub {
			b.WriteString(matching(sub))
		}
		return b.String()
	case syntax.OpAlternate:
		return matching(re.Sub[0])
	}
	return "" // anchors, and what may be absent
}

// probes are values to put at a place of an instance, by the keywords of the schema there; the path
// is a JSON pointer.
type probes struct {
	values map[string][]any
	seen   map[string]bool
	brief  bool // in a schema that was probed where it stood first
}

func newProbes() *probes { return &probes{values: map[string][]any{}, seen: map[string]bool{}} }

func (p *probes) add(at string, values ...any) {
	for _, v := range values {
		if key := at + " " + encoded(v); !p.seen[key] {
			p.seen[key] = true
			p.values[at] = append(p.values[at], v)
		}
	}
}

func encoded(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(out)
}

// probe gathers the probes for an instance.
func (l *library) probe(n node, at string, instance any, p *probes) {
	if at != "" {
		p.add(at, absent{})
	}
	if ref, ok := n.m["$ref"].(string); ok && !p.brief {
		full := path.Join(path.Dir(n.doc), ref)
		if l.probed[full] {
			p.brief = true
			defer func() { p.brief = false }()
		}
		l.probed[full] = true
	}
	if p.brief {
		p.add(at, nil, "x", 1.5)
		for _, part := range l.parts(l.resolve(n)) {
			l.descend(part, at, instance, p)
		}
		return
	}
	p.add(at, nil, true, 0.0, 1.5, "", "x", []any{}, map[string]any{})
	for _, part := range l.parts(l.resolve(n)) {
		l.probePart(part, at, instance, p)
	}
	switch v := instance.(type) {
	case map[string]any:
		p.add(at+"/some-extra", 1.0)
	case []any:
		if len(v) > 0 {
			p.add(at, counted{1, v[0]}, counted{2, v[0]}, []any{v[0], v[0]})
		}
	case string:
		p.add(at, v+"\n", v+" ", " "+v, v+"ü", v+"/x", v+".x", "/"+v, strings.ToUpper(v), v[min(1, len(v)):], v+"x", "a\x00b")
	case float64:
		p.add(at, v+0.5, -v, v+1, strconv.Itoa(int(v)), 1e300)
	}
}

// probePart gathers what one schema's own keywords suggest, and goes down the instance.
func (l *library) probePart(n node, at string, instance any, p *probes) {
	list, _ := n.m["enum"].([]any)
	p.add(at, list...)
	if v, ok := n.m["const"]; ok {
		p.add(at, v)
	}
	around := map[string]func(float64) any{
		"minLength": func(n float64) any { return repeated{int(n)} }, "maxLength": func(n float64) any { return repeated{int(n)} },
		"minimum": func(n float64) any { return n }, "maximum": func(n float64) any { return n },
		"minItems": func(n float64) any { return manyOf(instance, int(n)) }, "maxItems": func(n float64) any { return manyOf(instance, int(n)) },
		"minProperties": func(n float64) any { return members{int(n)} }, "maxProperties": func(n float64) any { return members{int(n)} },
	}
	for _, word := range slices.Sorted(maps.Keys(around)) {
		if limit, ok := n.m[word].(float64); ok {
			for _, value := range []float64{limit - 1, limit, limit + 1} {
				if value >= 0 || strings.HasPrefix(word, "m") && strings.HasSuffix(word, "imum") {
					p.add(at, around[word](value))
				}
			}
		}
	}
	if kind(n.m) == "string" {
		p.add(at, repeated{300}, repeated{5000}, "a/b", "a b", "a-b", "A_b", "a.b", "a:b", "1", "-")
	}
	if n.m["format"] == "date-time" {
		p.add(at, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+01:00", "2026-01-02", "2026-01-02 03:04:05Z", "2026-13-02T03:04:05Z", "soon")
	}
	if n.m["format"] == "uri" {
		p.add(at, "http://example.com", "ftp://x/y", "example.com", "//example.com", "https://example.com/a b", "mailto:a@b.c")
	}
	l.descend(n, at, instance, p)
}

func (l *library) descend(n node, at string, instance any, p *probes) {
	switch v := instance.(type) {
	case map[string]any:
		properties, _ := n.m["properties"].(map[string]any)
		free, _ := n.m["additionalProperties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			m, ok := properties[name].(map[string]any)
			if !ok && free != nil {
				m, ok = free, true
			}
			if ok {
				l.probe(node{n.doc, m}, at+"/"+name, v[name], p)
			}
		}
	case []any:
		if items, ok := n.m["items"].(map[string]any); ok && len(v) > 0 {
			l.probe(node{n.doc, items}, at+"/0", v[0], p)
		}
	}
}
