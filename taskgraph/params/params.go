// Package params reads, checks and completes the parameters of a generation (taskgraph-map 12):
// what was pushed, by whom, to which project, at which trust level, and how the graph should be
// selected and optimized.
//
// Parameters never change after they are made; methods that change one return a copy. They are
// safe for concurrent use. Values are string, int64, float64, bool, nil, []any and
// map[string]any; callers must not write into values they get.
//
// Strict parameters (decision, action) hold exactly the known keys with exact types. Parameters
// that are not strict (command line) have gaps filled by Defaults and may hold further keys.
package params

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parameters are one complete set.
type Parameters struct {
	values map[string]any
	strict bool
}

// FromMap makes parameters of values, which it copies at the top level. With strict, values must
// hold every key and no unknown one, with exact types; else Defaults(Facts{}) fills gaps and
// unknown keys are kept. All problems are reported in one error.
func FromMap(values map[string]any, strict bool) (*Parameters, error) {
	v := make(map[string]any, len(values)+8)
	for k, x := range values {
		v[k] = normal(x)
	}
	if !strict {
		for k, x := range Defaults(Facts{}) {
			if _, has := v[k]; !has {
				v[k] = x
			}
		}
	}
	if problems := check(v, strict); len(problems) > 0 {
		return nil, fmt.Errorf("parameters: %s", strings.Join(problems, "; "))
	}
	return &Parameters{values: v, strict: strict}, nil
}

// Strict reports whether p was checked strictly.
func (p *Parameters) Strict() bool { return p.strict }

// Lookup returns the value of key and whether it is there.
func (p *Parameters) Lookup(key string) (any, bool) {
	v, ok := p.values[key]
	return v, ok
}

// Get returns the value of key, nil when it is absent.
func (p *Parameters) Get(key string) any { return p.values[key] }

// String returns the text of key, "" when it is absent, null or no text.
func (p *Parameters) String(key string) string {
	s, _ := p.values[key].(string)
	return s
}

// Int returns the integer of key, 0 when it is absent or no integer.
func (p *Parameters) Int(key string) int64 {
	n, _ := p.values[key].(int64)
	return n
}

// Bool returns the boolean of key, false when it is absent or no boolean.
func (p *Parameters) Bool(key string) bool {
	b, _ := p.values[key].(bool)
	return b
}

// Strings returns the texts in the list at key; other elements are left out.
func (p *Parameters) Strings(key string) []string {
	list, _ := p.values[key].([]any)
	out := make([]string, 0, len(list))
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Map returns a copy of all values; nested values are shared and must not be written.
func (p *Parameters) Map() map[string]any { return maps.Clone(p.values) }

// Keys returns the names of all parameters, sorted.
func (p *Parameters) Keys() []string { return slices.Sorted(maps.Keys(p.values)) }

// With returns a copy of p with key set to value.
func (p *Parameters) With(key string, value any) (*Parameters, error) {
	v := p.Map()
	v[key] = value
	return FromMap(v, p.strict)
}

// Merge returns a copy of p with all of over set.
func (p *Parameters) Merge(over map[string]any) (*Parameters, error) {
	v := p.Map()
	maps.Copy(v, over)
	return FromMap(v, p.strict)
}

// ExistingTasks returns the parameter existing_tasks: label to task id.
func (p *Parameters) ExistingTasks() map[string]string {
	m, _ := p.values["existing_tasks"].(map[string]any)
	out := make(map[string]string, len(m))
	for label, id := range m {
		if s, ok := id.(string); ok {
			out[label] = s
		}
	}
	return out
}

// AlwaysTarget reports whether tasks of kind that are marked always_target join the target graph:
// enable_always_target is true, or a list that names the kind (taskgraph-map 13).
func (p *Parameters) AlwaysTarget(kind string) bool {
	switch v := p.values["enable_always_target"].(type) {
	case bool:
		return v
	case []any:
		return slices.Contains(v, any(kind))
	}
	return false
}

// IsPullRequest reports whether the event is a pull request of GitHub, trusted or not.
func (p *Parameters) IsPullRequest() bool {
	return strings.HasPrefix(p.String("tasks_for"), "github-pull-request")
}

// ID is the first 12 hex digits of the sha256 of the sorted compact JSON of all values.
func (p *Parameters) ID() string {
	text, err := p.MarshalJSON()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:12]
}

// MarshalJSON writes all values with sorted keys.
func (p *Parameters) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p.values); err != nil {
		return nil, fmt.Errorf("parameters: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// normal brings Go's other spellings of the same values into the ones this package promises.
func normal(x any) any {
	switch v := x.(type) {
	case int:
		return int64(v)
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = s
		}
		return out
	case map[string]string:
		out := make(map[string]any, len(v))
		for k, s := range v {
			out[k] = s
		}
		return out
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return x
}
