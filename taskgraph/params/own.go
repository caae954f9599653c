package params

import (
	"fmt"
	"maps"
	"slices"
)

// Rule is what a tree says of a parameter of its own: the counterpart of the rules of the core
// parameters for what taskgraph.register of config.yml declares.
type Rule struct {
	Type     string // one of Types; "" means any
	Default  any    // of sets that are not strict; null is then allowed too
	Optional bool   // may be absent even from strict sets
}

// Own are the parameters that a tree declares besides the core ones, by name. It is not to be
// changed once it is used.
type Own map[string]Rule

// Types are the types of a Rule.
func Types() []string {
	return []string{"any", "boolean", "integer", "list", "object", "string", "strings"}
}

// ReadOwn reads declarations: name to {type, default, optional}.
func ReadOwn(declared map[string]any) (Own, error) {
	out := make(Own, len(declared))
	core := rules()
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if _, taken := core[name]; taken {
			return nil, fmt.Errorf("parameter %s: is one of the core parameters; a tree cannot declare it anew", name)
		}
		m, ok := declared[name].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("parameter %s: is declared by %s; expected {type, default, optional}", name, show(declared[name]))
		}
		var r Rule
		for _, key := range slices.Sorted(maps.Keys(m)) {
			var ok bool
			switch key {
			case "type":
				r.Type, ok = m[key].(string)
				ok = ok && slices.Contains(Types(), r.Type)
			case "default":
				r.Default, ok = m[key], true
			case "optional":
				r.Optional, ok = m[key].(bool)
			default:
				return nil, fmt.Errorf("parameter %s: the key %q is not known; known are type, default and optional", name, key)
			}
			if !ok {
				return nil, fmt.Errorf("parameter %s: %s is %s; type is one of %v, optional true or false", name, key, show(m[key]), Types())
			}
		}
		if own := r.rule(); !own.ok(normal(r.Default)) {
			return nil, fmt.Errorf("parameter %s: its default is %s, expected %s", name, show(r.Default), own.want)
		}
		out[name] = r
	}
	return out, nil
}

// rule is r in the form of the core ones.
func (r Rule) rule() rule {
	known := map[string]rule{
		"any": {want: "anything", ok: func(any) bool { return true }}, "": {want: "anything", ok: func(any) bool { return true }},
		"boolean": {want: "true or false", ok: boolean}, "integer": {want: "an integer", ok: integer},
		"list":   {want: "a list", ok: func(x any) bool { _, ok := x.([]any); return ok }},
		"object": {want: "an object", ok: func(x any) bool { _, ok := x.(map[string]any); return ok }},
		"string": {want: "a string", ok: text}, "strings": {want: "a list of strings", ok: texts},
	}[r.Type]
	known.optional = r.Optional
	if r.Default == nil {
		strictly := known.ok
		known.want += " or null"
		known.ok = func(x any) bool { return x == nil || strictly(x) }
	}
	return known
}

// Check says what is wrong with a value that is to be the parameter of that name, "" for nothing.
func (o Own) Check(name string, v any) string {
	known := o.all()
	r, ok := known[name]
	if !ok {
		return name + " is not a known parameter" + meant(name, known)
	}
	if v = normal(v); !r.ok(v) {
		return fmt.Sprintf("%s is %s, expected %s", name, show(v), r.want)
	}
	return ""
}

// all are the rules of the core parameters and the tree's own.
func (o Own) all() map[string]rule {
	out := rules()
	maps.Copy(out, tryRules())
	for name, r := range o {
		out[name] = r.rule()
	}
	return out
}
