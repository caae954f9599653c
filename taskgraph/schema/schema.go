// Package schema checks plain values against types and tells every problem with the path at
// which it stands (taskgraph-map 5). Checking never changes a value: there is no coercion and no
// default. Types are made once, are immutable, and may be used concurrently.
package schema

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Problem is one thing wrong with a value.
type Problem struct {
	// Path leads from the checked value to the place, through keys and indexes.
	Path []string
	// OnKey says that the key itself is wrong, not the value under it.
	OnKey bool
	// Message says what is wrong and, where it is known, what is right.
	Message string
}

// String gives "at path: message".
func (p Problem) String() string {
	if len(p.Path) == 0 {
		return p.Message
	}
	return strings.Join(p.Path, ".") + ": " + p.Message
}

// maxProblems of one value are told; more help nobody.
const maxProblems = 30

// Check returns the problems of v, in a fixed order; nil when v is of type t.
func Check(t Type, v any) []Problem {
	if t.takes(v) { // the common case costs nothing but the look
		return nil
	}
	c := checker{}
	t.check(&c, v)
	return c.problems
}

// Type is a type of values.
type Type interface {
	check(c *checker, v any)
	// takes reports whether check finds nothing.
	takes(v any) bool
	// name says what the type takes, such as "a string".
	name() string
}

type checker struct {
	path     []string
	problems []Problem
}

func (c *checker) report(onKey bool, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{Path: slices.Clone(c.path), OnKey: onKey, Message: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) mismatch(t Type, v any) {
	c.report(false, "must be %s, not %s%s", t.name(), value.Kind(v), remedy(t, v))
}

// remedy tells what to write for the slips that YAML invites.
func remedy(t Type, v any) string {
	if _, ok := t.(simple); !ok || t.name() != "a string" {
		return ""
	}
	switch v.(type) {
	case bool, int64, float64:
		return "; put it in quotes"
	}
	return ""
}

func (c *checker) in(key string, t Type, v any) {
	c.path = append(c.path, key)
	t.check(c, v)
	c.path = c.path[:len(c.path)-1]
}

type simple struct {
	what string
	ok   func(any) bool
}

func (s simple) name() string     { return s.what }
func (s simple) takes(v any) bool { return s.ok(v) }
func (s simple) check(c *checker, v any) {
	if !s.ok(v) {
		c.mismatch(s, v)
	}
}

// String takes strings.
func String() Type {
	return simple{"a string", func(v any) bool { _, ok := v.(string); return ok }}
}

// Int takes integers.
func Int() Type { return simple{"an integer", func(v any) bool { _, ok := v.(int64); return ok }} }

// Bool takes true and false.
func Bool() Type { return simple{"true or false", func(v any) bool { _, ok := v.(bool); return ok }} }

// Any takes everything.
func Any() Type { return simple{"anything", func(any) bool { return true }} }

// Null takes null.
func Null() Type { return simple{"null", func(v any) bool { return v == nil }} }

type list struct{ of Type }

// List takes lists whose elements are of type t.
func List(t Type) Type { return list{t} }

func (l list) name() string { return "a list" }
func (l list) takes(v any) bool {
	elements, ok := v.([]any)
	for _, e := range elements {
		if !l.of.takes(e) {
			return false
		}
	}
	return ok
}
func (l list) check(c *checker, v any) {
	elements, ok := v.([]any)
	if !ok {
		c.mismatch(l, v)
		return
	}
	for i, e := range elements {
		c.in(strconv.Itoa(i), l.of, e)
	}
}

type mapping struct{ of Type }

// Map takes mappings of any keys to values of type t.
func Map(t Type) Type { return mapping{t} }

func (m mapping) name() string { return "a mapping" }
func (m mapping) takes(v any) bool {
	entries, ok := v.(map[string]any)
	for _, e := range entries {
		if !m.of.takes(e) {
			return false
		}
	}
	return ok
}

func (m mapping) check(c *checker, v any) {
	entries, ok := v.(map[string]any)
	if !ok {
		c.mismatch(m, v)
		return
	}
	for _, k := range slices.Sorted(maps.Keys(entries)) {
		c.in(k, m.of, entries[k])
	}
}

type enum struct{ words []string }

// Enum takes the words.
func Enum(words ...string) Type { return enum{words} }

func (e enum) name() string { return "one of " + strings.Join(e.words, ", ") }
func (e enum) takes(v any) bool {
	s, ok := v.(string)
	return ok && slices.Contains(e.words, s)
}

func (e enum) check(c *checker, v any) {
	s, ok := v.(string)
	if !ok {
		c.mismatch(e, v)
		return
	}
	if slices.Contains(e.words, s) {
		return
	}
	hint := ""
	if near := graph.Nearest(s, e.words); near != "" {
		hint = fmt.Sprintf("; is %q meant?", near)
	}
	c.report(false, "must be %s, not %q%s", e.name(), s, hint)
}

type oneOf struct{ types []Type }

// OneOf takes what one of types takes.
func OneOf(types ...Type) Type { return oneOf{types} }

// Optional takes null and what t takes.
func Optional(t Type) Type { return oneOf{[]Type{t, Null()}} }

func (o oneOf) name() string {
	var names []string
	for _, t := range o.types {
		if n := t.name(); n != "null" {
			names = append(names, n)
		}
	}
	return strings.Join(names, " or ")
}

func (o oneOf) takes(v any) bool {
	for _, t := range o.types {
		if t.takes(v) {
			return true
		}
	}
	return false
}

func (o oneOf) check(c *checker, v any) {
	if o.takes(v) {
		return
	}
	for _, t := range o.types { // the problems inside the type that v is meant to be say most
		trial := checker{path: c.path}
		t.check(&trial, v)
		if len(trial.problems) > 0 && (len(trial.problems[0].Path) > len(c.path) || sameShape(t, v)) {
			c.problems = append(c.problems, trial.problems...)
			return
		}
	}
	c.mismatch(o, v)
}

// sameShape reports whether v is of the kind that t takes, so that t's own problems help.
func sameShape(t Type, v any) bool {
	switch t.(type) {
	case *Object, mapping, keyedBy:
		_, ok := v.(map[string]any)
		return ok
	case list:
		_, ok := v.([]any)
		return ok
	case enum:
		_, ok := v.(string)
		return ok
	}
	return false
}

// Reference takes a string or a reference to be resolved when the graph is optimized:
// {task-reference: …} or {artifact-reference: …}.
func Reference() Type {
	return simple{"a string or a reference such as {task-reference: text}", isReference}
}

func isReference(v any) bool {
	switch v := v.(type) {
	case string:
		return true
	case map[string]any:
		if len(v) != 1 {
			return false
		}
		for key, text := range v {
			_, ok := text.(string)
			return ok && (key == "task-reference" || key == "artifact-reference")
		}
	}
	return false
}

type keyedBy struct {
	fields []string
	of     Type
}

// KeyedBy takes what t takes and choices ("by-…") over fields that end in it, nested to any
// depth.
func KeyedBy(t Type, fields ...string) Type { return keyedBy{fields, t} }

func (k keyedBy) name() string {
	return k.of.name() + ", or a choice by-" + strings.Join(k.fields, ", by-")
}
func (k keyedBy) takes(v any) bool {
	attribute, arms, ok := value.IsKeyedBy(v)
	if !ok {
		return k.of.takes(v)
	}
	alternatives, ok := arms.(map[string]any)
	if !ok || !slices.Contains(k.fields, attribute) {
		return false
	}
	for _, a := range alternatives {
		if !k.takes(a) {
			return false
		}
	}
	return true
}

func (k keyedBy) check(c *checker, v any) {
	attribute, arms, ok := value.IsKeyedBy(v)
	if !ok {
		k.of.check(c, v)
		return
	}
	if !slices.Contains(k.fields, attribute) {
		c.report(false, "cannot be chosen by-%s; possible here: by-%s", attribute, strings.Join(k.fields, ", by-"))
		return
	}
	alternatives, ok := arms.(map[string]any)
	if !ok {
		c.report(false, "by-%s must hold a mapping of values to alternatives, not %s", attribute, value.Kind(arms))
		return
	}
	c.path = append(c.path, "by-"+attribute)
	for _, key := range slices.Sorted(maps.Keys(alternatives)) {
		c.in(key, k, alternatives[key])
	}
	c.path = c.path[:len(c.path)-1]
}

type nonEmpty struct{ of Type }

// NonEmpty takes what t takes unless it is empty.
func NonEmpty(t Type) Type { return nonEmpty{t} }

func (n nonEmpty) name() string     { return n.of.name() }
func (n nonEmpty) takes(v any) bool { return (v == nil || value.Truthy(v)) && n.of.takes(v) }
func (n nonEmpty) check(c *checker, v any) {
	if v != nil && !value.Truthy(v) {
		c.report(false, "must not be empty")
		return
	}
	n.of.check(c, v)
}
