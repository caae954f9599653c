package scope

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
)

type op uint8

const (
	opNever op = iota
	opLeaf
	opAll
	opAny
)

// Expr is a scope expression: a single scope, AllOf or AnyOf. The zero Expr is satisfied by nobody,
// so that a forgotten expression refuses instead of allowing. An Expr is immutable.
type Expr struct {
	op   op
	leaf string
	list []Expr
}

// String is the expression that asks for one scope.
func String(s string) Expr { return Expr{op: opLeaf, leaf: s} }

// Strings is the expression that asks for all of the scopes.
func Strings(scopes ...string) Expr {
	list := make([]Expr, len(scopes))
	for i, s := range scopes {
		list[i] = String(s)
	}
	return AllOf(list...)
}

// AllOf asks for every one of list; an empty list is satisfied by everybody.
func AllOf(list ...Expr) Expr { return Expr{op: opAll, list: list} }

// AnyOf asks for at least one of list; an empty list is satisfied by nobody.
func AnyOf(list ...Expr) Expr { return Expr{op: opAny, list: list} }

// Satisfies reports whether the held scopes, which must be expanded already, satisfy want.
func Satisfies(have []string, want Expr) bool { return NewSet(have).Satisfies(want) }

// Satisfies reports whether the set satisfies want.
func (set Set) Satisfies(want Expr) bool {
	switch want.op {
	case opLeaf:
		return set.Has(want.leaf)
	case opAll:
		for _, e := range want.list {
			if !set.Satisfies(e) {
				return false
			}
		}
		return true
	case opAny:
		for _, e := range want.list {
			if set.Satisfies(e) {
				return true
			}
		}
	}
	return false
}

// Missing returns the part of want that the set does not satisfy: satisfied members are removed, and a
// list left with one member becomes that member. ok is false when nothing is missing.
func (set Set) Missing(want Expr) (missing Expr, ok bool) {
	if set.Satisfies(want) {
		return Expr{}, false
	}
	if want.op != opAll && want.op != opAny {
		return want, true
	}
	left := make([]Expr, 0, len(want.list))
	for _, e := range want.list {
		if m, ok := set.Missing(e); ok {
			left = append(left, m)
		}
	}
	if len(left) == 1 {
		return left[0], true
	}
	return Expr{op: want.op, list: left}, true
}

// Check returns nil when the held scopes satisfy want and otherwise a fault of kind Forbidden whose text
// has the structure of taskcluster-map 3.4: who asked, what is missing in a fenced block, then the
// whole expression in a second one. Callers' own scopes are never printed. It is the only place where
// Treeline decides that scopes do not suffice; anonymous callers are told to bring credentials.
func Check(clientID string, anonymous bool, have []string, want Expr) error {
	if want.op == opLeaf && slices.ContainsFunc(have, func(h string) bool { return covers(h, want.leaf) }) {
		return nil // the common case, without preparing a set
	}
	return NewSet(have).Check(clientID, anonymous, want)
}

// Check is the function Check for a prepared set.
func (set Set) Check(clientID string, anonymous bool, want Expr) error {
	missing, ok := set.Missing(want)
	if !ok {
		return nil
	}
	if anonymous {
		return fault.New(fault.Forbidden,
			"This call needs credentials that satisfy the following scope expression, and none were given:\n\n```\n%s\n```",
			want.Pretty())
	}
	return fault.New(fault.Forbidden,
		"Client ID %s does not have sufficient scopes. It is missing the following scopes:\n\n```\n%s\n```\n\n"+
			"The call needs credentials that satisfy the following scope expression:\n\n```\n%s\n```",
		clientID, missing.Pretty(), want.Pretty())
}

// Scopes returns every scope named in the expression, in order, repeated ones repeated.
func (e Expr) Scopes() []string {
	if e.op == opLeaf {
		return []string{e.leaf}
	}
	var all []string
	for _, sub := range e.list {
		all = append(all, sub.Scopes()...)
	}
	return all
}

// Pretty returns the expression for people: a single scope bare, anything else as indented JSON.
func (e Expr) Pretty() string {
	if e.op == opLeaf {
		return e.leaf
	}
	text, err := indented(e)
	if err != nil {
		return fmt.Sprintf("(an expression that cannot be shown: %v)", err)
	}
	return text
}

// MarshalJSON writes the form of the API references: "a:b", {"AllOf": […]} or {"AnyOf": […]}.
func (e Expr) MarshalJSON() ([]byte, error) {
	list := e.list
	if list == nil {
		list = []Expr{}
	}
	switch e.op {
	case opLeaf:
		return encode(e.leaf)
	case opAll:
		return encode(map[string][]Expr{"AllOf": list})
	default:
		return encode(map[string][]Expr{"AnyOf": list})
	}
}

// UnmarshalJSON reads the form MarshalJSON writes.
func (e *Expr) UnmarshalJSON(data []byte) error {
	t, err := ParseTemplate(data)
	if err != nil {
		return err
	}
	parsed, err := fromTemplate(t)
	if err != nil {
		return err
	}
	*e = parsed
	return nil
}

// fromTemplate turns a template that uses no parameters into the expression it stands for.
func fromTemplate(t Template) (Expr, error) {
	switch t := t.(type) {
	case Text:
		return String(string(t)), nil
	case All:
		list, err := fromTemplates(t)
		return AllOf(list...), err
	case Any:
		list, err := fromTemplates(t)
		return AnyOf(list...), err
	default:
		return Expr{}, fault.New(fault.Invalid, "a scope expression is a string, AllOf or AnyOf, not %T", t)
	}
}

func fromTemplates(list []Template) ([]Expr, error) {
	out := make([]Expr, 0, len(list))
	for _, t := range list {
		e, err := fromTemplate(t)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// encode is json.Marshal without the escapes meant for HTML, which make scopes hard to read.
func encode(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

func indented(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
