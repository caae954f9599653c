// Package resource says what can be administered as code: clients, roles, hooks, worker pools, the
// notify denylist, and secrets by their names. A resource is a kind, an id and a body: the JSON that the
// services take, without what they alone decide. Bodies are canonical, so that equal ones have equal
// bytes. Nothing here holds a secret.
package resource

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
)

// Kind is what a resource is.
type Kind string

// The kinds.
const (
	Role     Kind = "role"
	Client   Kind = "client"
	Hook     Kind = "hook"        // id: <hookGroupId>/<hookId>
	Pool     Kind = "worker-pool" // id: <provisionerId>/<workerType>
	Secret   Kind = "secret"      // its name alone: the body is empty
	Denylist Kind = "denylist"    // id: <notificationType>/<notificationAddress>
)

// Kinds are all kinds, in the order in which they are listed.
func Kinds() []Kind { return []Kind{Client, Denylist, Hook, Role, Secret, Pool} }

// Key names a resource.
type Key struct {
	Kind Kind   `json:"kind"`
	ID   string `json:"id"`
}

func (k Key) String() string { return string(k.Kind) + " " + k.ID }

// Compare orders keys by kind and id.
func Compare(a, b Key) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID)) }

// Resource is one thing as it is, or as it is to be.
type Resource struct {
	Key
	Body json.RawMessage `json:"body"`
	At   string          `json:"at,omitempty"` // where the directory says so, such as roles.yml:12; "" for what a server has
}

// RoleBody is the body of a role.
type RoleBody struct {
	Scopes      []string `json:"scopes"` // sorted, each once
	Description string   `json:"description"`
}

// ClientBody is the body of a client.
type ClientBody struct {
	Scopes             []string `json:"scopes"` // sorted, each once
	Description        string   `json:"description"`
	Expires            string   `json:"expires"` // as task.Time writes it
	DeleteOnExpiration bool     `json:"deleteOnExpiration"`
	Disabled           bool     `json:"disabled"`
}

// TimeLayout is how times stand in bodies, in UTC.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// New makes a resource; value is written as its body.
func New(kind Kind, id string, value any, at string) (Resource, error) {
	body, err := Canonical(value)
	if err != nil {
		return Resource{}, fmt.Errorf("%s %s: %w", kind, id, err)
	}
	return Resource{Key{kind, id}, body, at}, nil
}

// Canonical writes a value as JSON with the members of all objects in order and numbers as they stand.
func Canonical(value any) (json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(numbered(plain)); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// numbered writes equal numbers in one way: whole ones without a point or exponent.
func numbered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = numbered(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbered(e)
		}
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return v
		}
		const whole = 1 << 53
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < whole {
			return int64(f)
		} else if err == nil {
			return f
		}
	}
	return v
}

// Scopes returns scopes in order, each once, and never nil.
func Scopes(list []string) []string {
	out := append([]string{}, list...)
	slices.SortFunc(out, scope.Compare)
	return slices.Compact(out)
}

// Set is resources by their keys.
type Set map[Key]Resource

// Sorted returns the resources in order.
func (s Set) Sorted() []Resource {
	list := make([]Resource, 0, len(s))
	for _, r := range s {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Resource) int { return Compare(a.Key, b.Key) })
	return list
}

// Pattern names resources: a kind, a colon and an id in which a star stands for any text.
type Pattern struct {
	Kind Kind
	ID   string
	Not  bool // what it names is taken from what others name
}

// ParsePattern reads a pattern such as role:repo:github.com/acme/*; one that begins with ! takes away.
func ParsePattern(text string) (Pattern, error) {
	rest, not := strings.CutPrefix(text, "!")
	kind, id, ok := strings.Cut(rest, ":")
	if !ok || id == "" || !slices.Contains(Kinds(), Kind(kind)) {
		return Pattern{}, fmt.Errorf("%.200q is no pattern of resources: write kind:id, such as role:repo:github.com/acme/*, with one of the kinds %s", text, kindNames())
	}
	return Pattern{Kind(kind), id, not}, nil
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func (p Pattern) String() string {
	text := string(p.Kind) + ":" + p.ID
	if p.Not {
		return "!" + text
	}
	return text
}

// Match reports whether a resource is one that the pattern names.
func (p Pattern) Match(k Key) bool { return k.Kind == p.Kind && Glob(p.ID, k.ID) }

// Glob reports whether a text is as a pattern says, in which a star stands for any text.
func Glob(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(text, part)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], more
	}
}

// Patterns are patterns together: what one of them names and none takes away.
type Patterns []Pattern

// Match reports whether the patterns name the resource.
func (ps Patterns) Match(k Key) bool {
	named := false
	for _, p := range ps {
		if p.Match(k) {
			if p.Not {
				return false
			}
			named = true
		}
	}
	return named
}

// Kind reports whether resources of a kind are named.
func (ps Patterns) Kind(k Kind) bool {
	return slices.ContainsFunc(ps, func(p Pattern) bool { return p.Kind == k && !p.Not })
}
