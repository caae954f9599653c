package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
)

// Step is one write.
type Step struct {
	resource.Key
	Body   json.RawMessage // what it is to be; nil: it goes
	Expect json.RawMessage // what must be there before; nil: nothing
	Why    Action
	At     string // where the directory says so; "" for what goes
}

// Phase is steps that can be made in any order, or at once. All of a phase are done before the next.
type Phase struct {
	Name  string
	Steps []Step
}

// Phases are the writes that make the changes, in a safe order. Secrets that are missing have none.
func (p *Plan) Phases() ([]Phase, error) {
	between, err := p.between()
	if err != nil {
		return nil, err
	}
	grows := len(p.Growth) > 0
	first, second := "widen roles and clients", "narrow roles and clients"
	if grows {
		first, second = second, first
	}
	var hooksGone, powersFirst, middle, powersSecond, hooksMade, rest []Step
	for _, c := range p.Changes {
		step := Step{c.Key, c.After, c.Before, c.Action, c.At}
		switch {
		case c.Action == Missing:
		case c.Kind == resource.Role || c.Kind == resource.Client:
			one, two := split(step, between[c.Key], grows)
			powersFirst, powersSecond = append(powersFirst, one...), append(powersSecond, two...)
		case c.Kind == resource.Hook && c.Action == Delete:
			hooksGone = append(hooksGone, step)
		case c.Kind == resource.Hook && c.Action == Create:
			hooksMade = append(hooksMade, step)
		case c.Action == Delete:
			rest = append(rest, step)
		default:
			middle = append(middle, step)
		}
	}
	all := []Phase{
		{"remove hooks", hooksGone}, {first, powersFirst}, {"change hooks, pools and the denylist", middle},
		{second, powersSecond}, {"make hooks", hooksMade}, {"remove the rest", rest},
	}
	return slices.DeleteFunc(all, func(p Phase) bool { return len(p.Steps) == 0 }), nil
}

// split makes one or two writes of a change of a role or client: mid is its body between the two steps.
func split(s Step, mid json.RawMessage, grows bool) (first, second []Step) {
	same := func(a, b json.RawMessage) bool {
		return a == nil && b == nil || a != nil && b != nil && string(a) == string(b)
	}
	switch {
	case same(mid, s.Body):
		return []Step{s}, nil
	case same(mid, s.Expect):
		return nil, []Step{s}
	default:
		return []Step{{s.Key, mid, s.Expect, s.Why, s.At}}, []Step{{s.Key, s.Body, mid, s.Why, s.At}}
	}
}

// between is what each changed role and client is between the two steps.
func (p *Plan) between() (map[resource.Key]json.RawMessage, error) {
	out := map[resource.Key]json.RawMessage{}
	resolver := p.after.resolver()
	for _, c := range p.Changes {
		var err error
		switch {
		case c.Kind != resource.Role && c.Kind != resource.Client:
		case len(p.Growth) == 0:
			out[c.Key], err = p.widest(c)
		default:
			out[c.Key], err = p.narrowest(c, resolver)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Key, err)
		}
	}
	return out, nil
}

// widest has the scopes of both states. Nothing grows, so it is within the old one.
func (p *Plan) widest(c Change) (json.RawMessage, error) {
	switch c.Action {
	case Create:
		return c.After, nil
	case Delete:
		return c.Before, nil
	}
	if c.Kind == resource.Client {
		was, is := p.before.clients[c.ID], p.after.clients[c.ID]
		if p.before.idle(c.ID) || p.after.idle(c.ID) {
			return c.Before, nil
		}
		is.Scopes = resource.Scopes(append(slices.Clone(was.Scopes), is.Scopes...))
		is.Expires = later(was.Expires, is.Expires)
		is.DeleteOnExpiration = was.DeleteOnExpiration && is.DeleteOnExpiration
		return sameOr(is, c)
	}
	is := p.after.roles[c.ID]
	is.Scopes = resource.Scopes(append(slices.Clone(p.before.roles[c.ID].Scopes), is.Scopes...))
	return sameOr(is, c)
}

func later(a, b string) string { return max(a, b) } // RFC 3339 in UTC, of equal length

// narrowest has those scopes of the old state that the new one allows, too.
func (p *Plan) narrowest(c Change, after *expand.Resolver) (json.RawMessage, error) {
	switch c.Action {
	case Create:
		return nil, nil
	case Delete:
		return nil, nil
	}
	if c.Kind == resource.Client {
		was, is := p.before.clients[c.ID], p.after.clients[c.ID]
		if p.after.idle(c.ID) {
			return c.After, nil
		}
		if p.before.idle(c.ID) {
			return c.Before, nil
		}
		kept, err := allowed("", was.Scopes, is.Scopes, after)
		if err != nil {
			return nil, err
		}
		was.Scopes = kept
		return sameOr(was, c)
	}
	was := p.before.roles[c.ID]
	kept, err := allowed(c.ID, was.Scopes, p.after.roles[c.ID].Scopes, after)
	if err != nil {
		return nil, err
	}
	was.Scopes = kept
	return sameOr(was, c)
}

// sameOr writes a body; where it says no more than one of the states about scopes, it is that state.
func sameOr(body any, c Change) (json.RawMessage, error) {
	mid, err := resource.Canonical(body)
	if err != nil {
		return nil, err
	}
	for _, state := range []json.RawMessage{c.After, c.Before} {
		if string(scopesOf(state)) == string(scopesOf(mid)) && effect(state) == effect(mid) {
			return state, nil
		}
	}
	return mid, nil
}

func scopesOf(body json.RawMessage) json.RawMessage {
	var b struct{ Scopes json.RawMessage }
	if json.Unmarshal(body, &b) != nil {
		return nil
	}
	return b.Scopes
}

// effect is what besides scopes decides what a client can do.
func effect(body json.RawMessage) string {
	var b struct {
		Expires  string
		Disabled bool
	}
	if json.Unmarshal(body, &b) != nil {
		return ""
	}
	return fmt.Sprint(b.Expires, b.Disabled)
}

// allowed are those scopes of was that what is leads to in the new state satisfies.
func allowed(roleID string, was, is []string, after *expand.Resolver) ([]string, error) {
	fill := func(s string) string { return s }
	if strings.HasSuffix(roleID, "*") {
		fill = func(s string) string { return strings.Replace(s, expand.Parameter, probe, 1) }
	}
	filled := make([]string, len(is))
	for i, s := range is {
		filled[i] = fill(s)
	}
	all, err := after.Expand(filled)
	if err != nil {
		return nil, err
	}
	can := scope.NewSet(all)
	kept := []string{}
	for _, s := range was {
		if can.Has(fill(s)) {
			kept = append(kept, s)
		}
	}
	return kept, nil
}
