package expand

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
)

// Grant is what a scope gives by one role.
type Grant struct {
	Role   string   // its id
	With   string   // what stands for Parameter in a prefix role; "" in others
	Scopes []string // what the role gives, Parameter filled in, sorted
}

// Grants lists the roles that a scope assumes, and what each gives directly, by id.
func (r *Resolver) Grants(s string) []Grant {
	var list []Grant
	r.match(s, func(g *grants, param string) {
		out := Grant{Role: g.id, With: param, Scopes: slices.Clone(g.fixed)}
		for _, h := range g.params {
			out.Scopes = append(out.Scopes, h.fill(param))
		}
		slices.SortFunc(out.Scopes, scope.Compare)
		list = append(list, out)
	})
	slices.SortFunc(list, func(a, b Grant) int { return strings.Compare(a.Role, b.Role) })
	return list
}

// Step is one link in a chain of grants: a scope, and the role that gave it, which the scope of the step
// before assumes. The first scope of a chain is held itself and has no role.
type Step struct {
	Scope, Role, With string
}

// Path returns a shortest chain of grants that leads from held scopes to one that satisfies want; nil when
// there is none, or when what is held expands beyond all reason before it is found.
func (r *Resolver) Path(held []string, want string) []Step {
	type node struct {
		Step
		from int
	}
	var all []node
	seen := map[string]bool{}
	add := func(n node) {
		if !seen[n.Scope] {
			seen[n.Scope] = true
			all = append(all, n)
		}
	}
	for _, s := range scope.Normalize(held) {
		add(node{Step{Scope: s}, -1})
	}
	for i := 0; i < len(all) && len(all) < maxExpanded; i++ { // all grows while it is looked at
		if Covers(all[i].Scope, want) {
			var path []Step
			for at := i; at >= 0; at = all[at].from {
				path = append(path, all[at].Step)
			}
			slices.Reverse(path)
			return path
		}
		for _, g := range r.Grants(all[i].Scope) {
			for _, s := range g.Scopes {
				add(node{Step{s, g.Role, g.With}, i})
			}
		}
	}
	return nil
}

// Covers tells whether one held scope gives another.
func Covers(held, want string) bool {
	start, star := strings.CutSuffix(held, "*")
	return held == want || star && strings.HasPrefix(want, start)
}
