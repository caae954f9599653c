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
	own    Own
}

// Options say how a set is checked and completed.
type Options struct {
	// Strict asks for every key that is known and no other, with exact types.
	Strict bool
	// Defaults fill the gaps of a set that is not strict; nil means Defaults(Facts{}).
	Defaults map[string]any
	// Own are the parameters that the tree declares besides the core ones.
	Own Own
}

// FromMap is New with the core parameters alone.
func FromMap(values map[string]any, strict bool) (*Parameters, error) {
	return New(values, Options{Strict: strict})
}

// New makes parameters of values, which it copies at the top level. A set that is not strict has
// its gaps filled and keeps keys that are not known. All problems are reported in one error.
func New(values map[string]any, o Options) (*Parameters, error) {
	p, problems := build(values, o)
	if len(problems) == 0 {
		return p, nil
	}
	texts := make([]string, len(problems))
	for i, x := range problems {
		texts[i] = x.text
	}
	return nil, fmt.Errorf("parameters: %s", strings.Join(texts, "; "))
}

func build(values map[string]any, o Options) (*Parameters, []problem) {
	v := make(map[string]any, len(values)+8)
	for k, x := range values {
		v[k] = normal(x)
	}
	if !o.Strict {
		fill(v, o)
	}
	return &Parameters{values: v, strict: o.Strict, own: o.Own}, check(v, o.Strict, o.Own)
}

// fill gives v the defaults of what it lacks.
func fill(v map[string]any, o Options) {
	defaults := o.Defaults
	if defaults == nil {
		defaults = Defaults(Facts{})
	}
	for k, x := range defaults {
		if _, has := v[k]; !has {
			v[k] = normal(x)
		}
	}
	for k, r := range o.Own {
		if _, has := v[k]; !has && !r.Optional {
			v[k] = normal(r.Default)
		}
	}
}

// Unknown are the keys that neither the core parameters nor the tree's own have, sorted, each
// with the name that may be meant. Only sets that are not strict have some.
func (p *Parameters) Unknown() []string {
	known := p.own.all()
	out := unknown(p.values, known)
	for i, key := range out {
		out[i] = key + meant(key, known)
	}
	return out
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
	return New(v, Options{Strict: p.strict, Own: p.own})
}

// Merge returns a copy of p with all of over set.
func (p *Parameters) Merge(over map[string]any) (*Parameters, error) {
	v := p.Map()
	maps.Copy(v, over)
	return New(v, Options{Strict: p.strict, Own: p.own})
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
	case string:
		return strings.ToValidUTF8(v, "\uFFFD") // names of files may be anything, JSON may not
	case []string:
		out := make([]any, len(v))
		for i, s := range v {
			out[i] = normal(s)
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
