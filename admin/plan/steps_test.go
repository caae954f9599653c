package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
)

var at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// states draws two states of a few roles and clients, without circles.
func states(t *rapid.T) (was, is resource.Set) {
	ids := []string{"a", "b", "p:x", "p:y", "p:*", "p:x*", "q:*", "q:z", "top"}
	scopes := []string{"s:1", "s:2", "s:*", "u", "v:x", "v:y", "assume:a", "assume:b", "assume:p:x", "assume:p:y", "assume:p:*", "assume:q:z", "assume:q:*", "w:<..>", "w:<..>:e", "assume:q:<..>", "assume:p:<..>"}
	draw := func(name string) resource.Set {
		set := resource.Set{}
		var roles []expand.Role
		for _, id := range ids {
			if !rapid.Bool().Draw(t, name+id) {
				continue
			}
			r := expand.Role{ID: id, Scopes: resource.Scopes(rapid.SliceOfN(rapid.SampledFrom(scopes), 0, 4).Draw(t, name+"scopes of "+id))}
			if expand.Check(append(slices.Clone(roles), r)) == nil {
				roles = append(roles, r)
			}
		}
		for _, r := range roles {
			add(t, set, resource.Role, r.ID, resource.RoleBody{Scopes: r.Scopes})
		}
		for _, id := range []string{"one", "two"} {
			if rapid.Bool().Draw(t, name+id) {
				add(t, set, resource.Client, id, resource.ClientBody{
					Scopes:  resource.Scopes(rapid.SliceOfN(rapid.SampledFrom(scopes[:13]), 0, 3).Draw(t, name+"scopes of "+id)),
					Expires: rapid.SampledFrom([]string{"2020-01-01T00:00:00.000Z", "3000-01-01T00:00:00.000Z"}).Draw(t, name+"expires"), Disabled: rapid.Bool().Draw(t, name+"disabled"),
				})
			}
		}
		return set
	}
	return draw("before "), draw("after ")
}

type fataler interface{ Fatal(args ...any) }

func add(t fataler, set resource.Set, kind resource.Kind, id string, body any) {
	r, err := resource.New(kind, id, body, "")
	if err != nil {
		t.Fatal(err)
	}
	set[r.Key] = r
}

var everything = resource.Patterns{{Kind: resource.Role, ID: "*"}, {Kind: resource.Client, ID: "*"}, {Kind: resource.Hook, ID: "*"}, {Kind: resource.Secret, ID: "*"}}

// within reports what of a state exceeds another: for roles, for clients, and for whoever assumes a role
// that only a prefix role answers to.
func within(t *rapid.T, small, large *world) string {
	could, can := large.powers(), small.powers()
	for _, k := range principals(small, large) {
		set, err := could.set(k)
		if err != nil {
			t.Fatal(err)
		}
		list, err := can.list(k)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if !set.Has(s) {
				return fmt.Sprintf("%s has %s", k, s)
			}
		}
	}
	for _, s := range []string{"assume:p:other", "assume:p:xx", "assume:q:other", "assume:p:*"} {
		mine, err := can.resolver.Expand([]string{s})
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := could.resolver.Expand([]string{s})
		if err != nil {
			t.Fatal(err)
		}
		set := scope.NewSet(theirs)
		for _, m := range mine {
			if !set.Has(m) {
				return fmt.Sprintf("holders of %s have %s", s, m)
			}
		}
	}
	return ""
}

// TestNobodyIsWiderThanEitherState makes the steps one by one, in any order within a phase, and looks at
// every state on the way.
func TestNobodyIsWiderThanEitherState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was, is := states(t)
		p, err := Make(is, was, everything, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		phases, err := p.Phases()
		if err != nil {
			t.Fatal(err)
		}
		now := p.before.clone()
		check := func(where string) {
			var roles []expand.Role
			for id, r := range now.roles {
				roles = append(roles, expand.Role{ID: id, Scopes: r.Scopes})
			}
			if err := expand.Check(roles); err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			overOld, overNew := within(t, now, p.before), within(t, now, p.after)
			if overOld != "" && overNew != "" {
				t.Fatalf("%s: wider than before (%s) and than after (%s)", where, overOld, overNew)
			}
			if len(p.Growth) > 0 {
				return
			}
			if overOld != "" {
				t.Fatalf("%s: nothing grows, and yet %s", where, overOld)
			}
			if lost := within(t, p.after, now); lost != "" {
				t.Fatalf("%s: it lacks what it is to keep: %s", where, lost)
			}
		}
		for _, phase := range phases {
			for _, s := range rapid.Permutation(phase.Steps).Draw(t, phase.Name) {
				if err := now.put(s.Key, s.Body); err != nil {
					t.Fatal(err)
				}
				check(phase.Name + ": " + s.String())
			}
		}
		if fmt.Sprint(now.roles, now.clients) != fmt.Sprint(p.after.roles, p.after.clients) {
			t.Fatalf("the steps lead to %v %v, not to %v %v", now.roles, now.clients, p.after.roles, p.after.clients)
		}
	})
}

// TestGrowth shows what counts as growth; strings alone would get these wrong.
func TestGrowth(t *testing.T) {
	type roles = map[string][]string
	for _, tt := range []struct {
		name    string
		was, is roles
		want    string
	}{
		{"nothing", roles{"a": {"x"}}, roles{"a": {"x"}}, "[]"},
		{"a scope that a star covered", roles{"a": {"x:*"}}, roles{"a": {"x:1"}}, "[]"},
		{"a star where there was one", roles{"a": {"x:1"}}, roles{"a": {"x:*"}}, "[role a: [x:*]]"},
		{"a scope that came by another role", roles{"a": {"assume:b"}, "b": {"x"}}, roles{"a": {"assume:b", "x"}, "b": {"x"}}, "[]"},
		{"a scope that comes by another role", roles{"a": {"assume:b"}, "b": {}}, roles{"a": {"assume:b"}, "b": {"x"}}, "[role a: [x] role b: [x]]"},
		{"a role where its scopes were", roles{"a": {"x", "assume:b"}, "b": {}}, roles{"a": {"assume:b"}, "b": {"x"}}, "[role b: [x]]"},
		{"a prefix role that a longer one excused", roles{"p:*": {"x"}, "p:a": {"x", "y"}}, roles{"p:*": {"x", "y"}, "p:a": {"x", "y"}}, "[role p:*: [y]]"},
		{"what a prefix role gives already", roles{"p:*": {"x"}, "p:a": {}}, roles{"p:*": {"x"}, "p:a": {"x"}}, "[]"},
		{"another use of the parameter", roles{"p:*": {"s:<..>:t"}}, roles{"p:*": {"s:<..>:u"}}, "[role p:*: [s:<..>:u]]"},
		{"a parameter under a star", roles{"p:*": {"s:*"}}, roles{"p:*": {"s:<..>:u"}}, "[]"},
		{"a role that is new", roles{}, roles{"a": {"x"}}, "[role a: [x]]"},
		{"a role that goes", roles{"a": {"x"}}, roles{}, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set := func(all roles) resource.Set {
				out := resource.Set{}
				for id, scopes := range all {
					add(t, out, resource.Role, id, resource.RoleBody{Scopes: resource.Scopes(scopes)})
				}
				return out
			}
			p, err := Make(set(tt.is), set(tt.was), everything, at, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range p.Growth {
				got = append(got, fmt.Sprintf("%s: %v", g.Key, g.Added))
			}
			if fmt.Sprint(got) != tt.want {
				t.Errorf("%v, want %s", got, tt.want)
			}
		})
	}
	t.Run("a client that is enabled, or lives again", func(t *testing.T) {
		client := func(disabled bool, expires string) resource.Set {
			out := resource.Set{}
			add(t, out, resource.Client, "c", resource.ClientBody{Scopes: []string{"x"}, Disabled: disabled, Expires: expires})
			return out
		}
		const past, future = "2020-01-01T00:00:00.000Z", "3000-01-01T00:00:00.000Z"
		for _, was := range []resource.Set{client(true, future), client(false, past)} {
			p, err := Make(client(false, future), was, everything, at, nil)
			if err != nil || len(p.Growth) != 1 {
				t.Error(p, err)
			}
		}
	})
}
