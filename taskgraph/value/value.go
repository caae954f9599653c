// Package value works on the plain values that tasks are made of while the generator shapes
// them: map[string]any, []any, string, int64, float64, bool and nil. Values are shared between
// tasks and therefore never changed in place: each function that changes something returns a new
// value that shares with the old one whatever stayed the same.
package value

import (
	"fmt"
	"maps"
	"strings"
)

// Get returns what stands at the dotted path in m, and whether anything does.
func Get(m map[string]any, path string) (any, bool) {
	for {
		head, rest, more := strings.Cut(path, ".")
		v, ok := m[head]
		if !ok || !more {
			return v, ok
		}
		if m, ok = v.(map[string]any); !ok {
			return nil, false
		}
		path = rest
	}
}

// String returns m[key] if it is a string, else "".
func String(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}

// Map returns m[key] if it is a map, else nil.
func Map(m map[string]any, key string) map[string]any {
	v, _ := m[key].(map[string]any)
	return v
}

// List returns m[key] if it is a list, else nil.
func List(m map[string]any, key string) []any {
	v, _ := m[key].([]any)
	return v
}

// Strings returns v as strings if it is a list of strings only.
func Strings(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, len(list))
	for i, e := range list {
		if out[i], ok = e.(string); !ok {
			return nil, false
		}
	}
	return out, true
}

// Anys returns strings as a list value.
func Anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// Append returns list with more behind it and leaves list as it is.
func Append(list []any, more ...any) []any {
	return append(list[:len(list):len(list)], more...)
}

// Truthy says what a condition makes of v: false, null, 0 and everything empty are false.
func Truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case int64:
		return v != 0
	case float64:
		return v != 0
	case map[string]any:
		return len(v) > 0
	case []any:
		return len(v) > 0
	}
	return true
}

// Equal reports whether two values are the same; 1 and 1.0 are.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !Equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case int64:
		if f, ok := b.(float64); ok {
			return float64(a) == f
		}
	case float64:
		if i, ok := b.(int64); ok {
			return a == float64(i)
		}
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// Kind names the type of v for people.
func Kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case int64, int:
		return "an integer"
	case float64:
		return "a number"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	}
	return fmt.Sprintf("a %T", v)
}

// IsKeyedBy reports whether v is a choice by an attribute: a mapping whose only key starts
// with "by-". It returns the attribute and the alternatives.
func IsKeyedBy(v any) (attribute string, alternatives any, ok bool) {
	m, isMap := v.(map[string]any)
	if !isMap || len(m) != 1 {
		return "", nil, false
	}
	for key, alternatives := range m {
		if attribute, ok = strings.CutPrefix(key, "by-"); ok {
			return attribute, alternatives, true
		}
	}
	return "", nil, false
}

// Merge lays child over parent by the rules of task-defaults (taskgraph-map 3): mappings are
// merged key by key, lists appended, a choice ("by-…") and everything of different type
// replaced. Neither is changed.
func Merge(parent, child map[string]any) map[string]any {
	out := maps.Clone(parent)
	if out == nil {
		out = make(map[string]any, len(child))
	}
	for key, v := range child {
		out[key] = mergeValue(out[key], v)
	}
	return out
}

func mergeValue(old, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, _, choice := IsKeyedBy(v); choice {
			return v
		}
		if old, ok := old.(map[string]any); ok {
			return Merge(old, v)
		}
	case []any:
		if old, ok := old.([]any); ok {
			return Append(old, v...)
		}
	}
	return v
}
