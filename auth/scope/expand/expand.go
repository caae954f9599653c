// Package expand works out what scopes come to under a set of roles, and refuses roles that lead back to
// themselves (taskcluster-map 4.5). It is pure: the server asks it with the roles of its database, and
// whoever plans a change with the roles that there are to be.
package expand

import (
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Assume begins the scope that gives a role.
const Assume = "assume:"

// Parameter stands, in the scopes of a prefix role, for what follows the prefix.
const Parameter = "<..>"

const (
	// maxExpanded and maxExpandedBytes bound what a set of scopes may expand to: roles that pass their
	// parameter on in several forms could otherwise fill the memory.
	maxExpanded      = 200_000
	maxExpandedBytes = 64 << 20
)

// Role is a named set of scopes; see auth.Role.
type Role struct {
	ID     string
	Scopes []string
}

// grants is a role prepared for expansion.
type grants struct {
	id     string
	key    string   // the id, without its star for a prefix role
	fixed  []string // scopes given as they stand
	params []hole   // scopes made from what follows the prefix
	parent int      // prefix roles: index of the longest shorter prefix role that is a prefix; -1: none
}

// hole is a scope with one "<..>" in it.
type hole struct{ before, after string }

// fill puts the parameter in; one that ends in a star cuts off the rest (taskcluster-map 4.5).
func (h hole) fill(param string) string {
	if strings.HasSuffix(param, "*") {
		return h.before + param
	}
	return h.before + param + h.after
}

// Resolver expands scopes by a fixed set of roles. It is immutable and safe for concurrent use.
type Resolver struct {
	exact    []grants // sorted by key
	prefixes []grants // sorted by key
}

// New prepares roles; ids must be different.
func New(roles []Role) *Resolver {
	r := &Resolver{}
	for _, role := range roles {
		if key, star := strings.CutSuffix(role.ID, "*"); star {
			r.prefixes = append(r.prefixes, prefixGrants(role, key))
		} else {
			r.exact = append(r.exact, grants{id: role.ID, key: role.ID, fixed: role.Scopes})
		}
	}
	byKey := func(a, b grants) int { return strings.Compare(a.key, b.key) }
	slices.SortFunc(r.exact, byKey)
	slices.SortFunc(r.prefixes, byKey)
	for i := range r.prefixes {
		p := i - 1
		for p >= 0 && !strings.HasPrefix(r.prefixes[i].key, r.prefixes[p].key) {
			p = r.prefixes[p].parent
		}
		r.prefixes[i].parent = p
	}
	return r
}

func prefixGrants(role Role, key string) grants {
	g := grants{id: role.ID, key: key}
	for _, s := range role.Scopes {
		if before, after, ok := strings.Cut(s, Parameter); ok {
			g.params = append(g.params, hole{before, after})
		} else {
			g.fixed = append(g.fixed, s)
		}
	}
	return g
}

// assumed tells whether a scope assumes roles: rest is the role id, or with kleene the common start of
// all role ids assumed. A star anywhere in front of the end of "assume:" assumes every role.
func assumed(s string) (rest string, kleene, ok bool) {
	s, kleene = strings.CutSuffix(s, "*")
	if rest, ok := strings.CutPrefix(s, Assume); ok {
		return rest, kleene, true
	}
	return "", kleene, kleene && strings.HasPrefix(Assume, s)
}

// match calls yield for every role that the scope assumes, with the parameter for prefix roles.
func (r *Resolver) match(s string, yield func(g *grants, param string)) {
	rest, kleene, ok := assumed(s)
	if !ok {
		return
	}
	star := ""
	if kleene {
		star = "*"
	}
	find := func(list []grants, key string) (int, bool) {
		return slices.BinarySearchFunc(list, key, func(g grants, key string) int { return strings.Compare(g.key, key) })
	}
	at, found := find(r.prefixes, rest)
	below := at - 1 // the last prefix role at or before rest: all that are prefixes of rest are its ancestors
	if found {
		below = at
	}
	for i := below; i >= 0; i = r.prefixes[i].parent {
		if p := &r.prefixes[i]; strings.HasPrefix(rest, p.key) {
			yield(p, rest[len(p.key):]+star)
		}
	}
	i, hit := find(r.exact, rest)
	if !kleene {
		if hit {
			yield(&r.exact[i], "")
		}
		return
	}
	for ; i < len(r.exact) && strings.HasPrefix(r.exact[i].key, rest); i++ {
		yield(&r.exact[i], "")
	}
	for i = below + 1; i < len(r.prefixes) && strings.HasPrefix(r.prefixes[i].key, rest); i++ {
		yield(&r.prefixes[i], "*")
	}
}

// Expand returns the normalized closure of scopes under the roles. A set that grows beyond all reason
// is a fault of kind Invalid.
func (r *Resolver) Expand(scopes []string) ([]string, error) {
	all := scope.Normalize(scopes)
	if !slices.ContainsFunc(all, func(s string) bool { _, _, ok := assumed(s); return ok }) {
		return all, nil // as those of most tasks
	}
	seen := make(map[string]struct{}, 2*len(all))
	bytes := 0
	for _, s := range all {
		seen[s] = struct{}{}
	}
	add := func(s string) {
		if _, ok := seen[s]; !ok {
			seen[s] = struct{}{}
			all = append(all, s)
			bytes += len(s)
		}
	}
	for i := 0; i < len(all); i++ { // all grows while its scopes are looked at
		r.match(all[i], func(g *grants, param string) {
			for _, s := range g.fixed {
				add(s)
			}
			for _, h := range g.params {
				add(h.fill(param))
			}
		})
		if len(all) > maxExpanded+len(scopes) || bytes > maxExpandedBytes {
			return nil, fault.New(fault.Invalid, "the roles assumed expand to more than %d scopes; simplify the parameterized roles", maxExpanded)
		}
	}
	return scope.Normalize(all), nil
}

// Check reports as a fault of kind Invalid a scope whose parameter cannot be filled in one way
// only, and a chain of roles that leads back to itself, each role taken with the parameter "*".
func Check(roles []Role) error {
	for _, role := range roles {
		if err := checkParameters(role); err != nil {
			return err
		}
	}
	r := New(roles)
	c := cycles{resolver: r, state: make(map[*grants]visit, len(roles))}
	for _, list := range [][]grants{r.exact, r.prefixes} {
		for i := range list {
			if err := c.walk(&list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkParameters(role Role) error {
	for _, s := range role.Scopes {
		if !scope.Valid(s) {
			return fault.New(fault.Invalid, "role %q: scope %q must be printable, not empty and must not end in **", role.ID, s)
		}
		before, after, ok := strings.Cut(s, Parameter)
		switch {
		case !ok || !strings.HasSuffix(role.ID, "*"):
		case strings.Contains(after, Parameter):
			return fault.New(fault.Invalid, "role %q: the parameterized scope %q contains %s more than once", role.ID, s, Parameter)
		case after == "" && strings.HasSuffix(before, "*"):
			return fault.New(fault.Invalid, "role %q: the parameterized scope %q ends in *%s, which could mean two things", role.ID, s, Parameter)
		}
	}
	return nil
}

type visit uint8

const (
	unseen visit = iota
	open
	done
)

// cycles is a depth-first search over "this role's scopes assume that role".
type cycles struct {
	resolver *Resolver
	state    map[*grants]visit
	path     []*grants
}

func (c *cycles) walk(g *grants) error {
	switch c.state[g] {
	case done:
		return nil
	case open:
		from := slices.Index(c.path, g)
		chain := make([]string, 0, len(c.path)-from+1)
		for _, p := range append(c.path[from:], g) {
			chain = append(chain, Assume+p.id)
		}
		return fault.New(fault.Invalid, "roles must not lead back to themselves, but these do: %s", strings.Join(chain, " -> "))
	}
	c.state[g] = open
	c.path = append(c.path, g)
	next := func(to *grants, err *error) {
		if *err == nil {
			*err = c.walk(to)
		}
	}
	var err error
	for _, s := range g.fixed {
		c.resolver.match(s, func(to *grants, _ string) { next(to, &err) })
	}
	for _, h := range g.params {
		c.resolver.match(h.fill("*"), func(to *grants, _ string) { next(to, &err) })
	}
	c.path = c.path[:len(c.path)-1]
	c.state[g] = done
	return err
}
