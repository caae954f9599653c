package expand

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

// roles writes roles as "id: scope scope".
func roles(lines ...string) []Role {
	var list []Role
	for _, line := range lines {
		id, scopes, _ := strings.Cut(line, ": ")
		list = append(list, Role{ID: id, Scopes: strings.Fields(scopes)})
	}
	return list
}

func TestExpand(t *testing.T) {
	tests := []struct {
		name     string
		roles    []Role
		in, want []string
	}{
		{"without roles scopes are normalized", nil, []string{"b", "a*", "ab"}, []string{"a*", "b"}},
		{"an exact role", roles("x: A", "xy: B"), []string{"assume:x"}, []string{"A", "assume:x"}},
		{"roles lead on", roles("x: assume:y A", "y: assume:z", "z: C"), []string{"assume:x"}, []string{"A", "C", "assume:x", "assume:y", "assume:z"}},
		{"prefix roles, the longer and the shorter", roles("a*: S1", "ab*: S2", "abc*: S3", "*: S0"), []string{"assume:ab"}, []string{"S0", "S1", "S2", "assume:ab"}},
		{"a prefix role next to others", roles("a*: S1", "aa*: no", "aab*: no", "b*: no"), []string{"assume:ac"}, []string{"S1", "assume:ac"}},
		{"a prefix role matches its bare prefix", roles("a*: S1"), []string{"assume:a"}, []string{"S1", "assume:a"}},
		{"a star assumes every role that starts so", roles("ab: A", "abc: B", "a: no", "b: no"), []string{"assume:ab*"}, []string{"A", "B", "assume:ab*"}},
		{"a star assumes longer and shorter prefix roles", roles("a*: S1:<..>", "abcd*: S2:<..>:x", "b*: no"), []string{"assume:ab*"}, []string{"S1:b*", "S2:*", "assume:ab*"}},
		{"a role whose id is the scope", roles("a*: S:<..>"), []string{"assume:a*"}, []string{"S:*", "assume:a*"}},
		{"a star inside is a letter", roles("a*b: A", "a*bc: no", "ab: no", "a*: S"), []string{"assume:a*b"}, []string{"A", "S", "assume:a*b"}},
		{"a short star assumes all", roles("x: A", "y*: B:<..>"), []string{"as*"}, []string{"A", "B:*", "as*"}},
		{"assume* assumes all", roles("x: A"), []string{"assume*"}, []string{"A", "assume*"}},
		{"assume:* assumes all", roles("x: A"), []string{"assume:*"}, []string{"A", "assume:*"}},
		{"the lone star swallows all", roles("x: A"), []string{"*"}, []string{"*"}},
		{"assume without a colon assumes nothing", roles("x: A", "*: B"), []string{"assume"}, []string{"assume"}},
		{"the parameter", roles("repo:*: r:<..>:x assume:r2:<..>", "r2:gh/*: got:<..>"), []string{"assume:repo:gh/o"}, []string{"assume:r2:gh/o", "assume:repo:gh/o", "got:o", "r:gh/o:x"}},
		{"a parameter with a star cuts off the rest", roles("repo:*: queue:route:index.<..>.x"), []string{"assume:repo:github.com/o/*"}, []string{"assume:repo:github.com/o/*", "queue:route:index.github.com/o/*"}},
		{"in an exact role the parameter is plain text", roles("x: a:<..>"), []string{"assume:x"}, []string{"a:<..>", "assume:x"}},
		{"a parameter that completes assume", roles("b*: assum<..>", "x: A"), []string{"assume:be:x"}, []string{"A", "assume:be:x", "assume:x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := New(tt.roles).Expand(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpandEndsAtItsLimit(t *testing.T) {
	var list []Role
	for i := range 30 {
		list = append(list, Role{ID: fmt.Sprintf("l%02d-*", i), Scopes: []string{fmt.Sprintf("assume:l%02d-<..>a", i+1), fmt.Sprintf("assume:l%02d-<..>b", i+1)}})
	}
	if err := Check(list); err != nil {
		t.Fatal(err)
	}
	if _, err := New(list).Expand([]string{"assume:l00-x"}); !errors.Is(err, fault.Invalid) {
		t.Errorf("a doubling chain of thirty roles: %v", err)
	}
}

func TestCheckRoles(t *testing.T) {
	tests := []struct {
		name  string
		roles []Role
		text  string // part of the message, "" when the roles are fine
	}{
		{"a chain", roles("a: assume:c", "b: assume:c", "c: assume:e"), ""},
		{"a circle", roles("a: assume:b", "b: assume:c", "c: assume:a"), "assume:a -> assume:b -> assume:c -> assume:a"},
		{"itself", roles("abc: assume:abc"), "assume:abc -> assume:abc"},
		{"itself by a star", roles("abc: assume:ab*"), "lead back"},
		{"itself by its own star", roles("ab*: assume:abc"), "lead back"},
		{"the lone star assumes itself", roles("root: *"), "lead back"},
		{"parameters that lead on", roles("a*: assume:c<..>A", "b*: assume:c<..>B*", "c*: assume:e<..>"), ""},
		{"parameters in a circle", roles("a*: assume:b<..>x", "b*: assume:a<..>"), "lead back"},
		{"the scope is a prefix of the role", roles("a*: assume:b<..>x", "bstuff*: assume:a<..>"), "lead back"},
		{"the role is a prefix of the scope", roles("a*: assume:bstuff<..>x", "b*: assume:a<..>"), "lead back"},
		{"a parameter that might complete assume", roles("b*: as<..>"), "lead back"},
		{"any role by parameter", roles("c*: assume:<..>"), "lead back"},
		{"near misses", roles("bb*: assume:cd<..>", "cde*: assume:de<..>x", "d*: assume:b"), ""},
		{"near misses that meet", roles("b*: assume:cd<..>", "cde*: assume:de<..>x", "d*: assume:bx"), "lead back"},
		{"two parameters", roles("a*: b<..>c<..>"), "more than once"},
		{"two parameters in an exact role are text", roles("a: b<..>c<..>"), ""},
		{"an ambiguous star", roles("a*: b*<..>"), "two things"},
		{"a star before more text", roles("a*: b*<..>c"), ""},
		{"two stars at the end", roles("a: b**"), "must not end in **"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(tt.roles)
			if tt.text == "" && err != nil {
				t.Error(err)
			}
			if tt.text != "" && (!errors.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), tt.text)) {
				t.Errorf("got %v, want %q in it", err, tt.text)
			}
		})
	}
}

// slowExpand is the definition of taskcluster-map 4.5 written down plainly.
func slowExpand(list []Role, scopes []string) []string {
	all := slices.Clone(scopes)
	for i := 0; i < len(all); i++ {
		s := all[i]
		for _, role := range list {
			for _, got := range slowGrant(role, s) {
				if !slices.Contains(all, got) {
					all = append(all, got)
				}
			}
		}
	}
	return scope.Normalize(all)
}

func slowGrant(role Role, s string) []string {
	pattern := "assume:" + role.ID
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	have, kleene := strings.CutSuffix(s, "*")
	param, matched := "", false
	switch {
	case isPrefix && strings.HasPrefix(have, prefix): // the scope is at least as long
		param, matched = s[len(prefix):], true
	case kleene && strings.HasPrefix(strings.TrimSuffix(pattern, "*"), have):
		param, matched = "*", true
	case s == pattern:
		matched = true
	}
	if !matched {
		return nil
	}
	var out []string
	for _, g := range role.Scopes {
		if before, after, ok := strings.Cut(g, "<..>"); ok && isPrefix {
			if strings.HasSuffix(param, "*") {
				after = ""
			}
			g = before + param + after
		}
		out = append(out, g)
	}
	return out
}

func drawRoles(t *rapid.T) []Role {
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab]{0,3}\*?`), 0, 6, rapid.ID).Draw(t, "ids")
	var list []Role
	for _, id := range ids {
		if id == "" {
			continue
		}
		s := rapid.SliceOfN(rapid.OneOf(
			rapid.StringMatching(`assume:[ab]{0,3}(<\.\.>)?[ab]?\*?`), rapid.StringMatching(`[xas]{0,2}(<\.\.>)?[y]?\*?`),
		), 0, 3).Draw(t, "scopes of "+id)
		role := Role{ID: id, Scopes: slices.DeleteFunc(s, func(s string) bool { return !scope.Valid(s) })}
		if more := append(slices.Clone(list), role); Check(more) == nil {
			list = more
		}
	}
	return list
}

func drawScopes(t *rapid.T, name string) []string {
	return rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`assume:[ab]{0,4}\*?`), rapid.StringMatching(`[xas]{0,3}\*?`)), 0, 4).Draw(t, name)
}

func TestExpansionLaws(t *testing.T) {
	t.Run("it equals the plain definition", rapid.MakeCheck(func(t *rapid.T) {
		list, in := drawRoles(t), drawScopes(t, "in")
		got, err := New(list).Expand(in)
		if err != nil {
			t.Fatal(err)
		}
		// The two may differ in scopes that others cover, so it is their power that is compared.
		want := slowExpand(list, in)
		if !scope.Satisfies(got, scope.Strings(want...)) || !scope.Satisfies(want, scope.Strings(got...)) {
			t.Fatalf("roles %v: %q expand to %q, not to %q", list, in, got, want)
		}
	}))
	t.Run("it is idempotent and keeps what was there", rapid.MakeCheck(func(t *rapid.T) {
		list, in := drawRoles(t), drawScopes(t, "in")
		r := New(list)
		once, err := r.Expand(in)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := r.Expand(once)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once, twice); diff != "" || !scope.Satisfies(once, scope.Strings(in...)) {
			t.Fatalf("roles %v: %q: %s", list, in, diff)
		}
	}))
	t.Run("it is monotone: more power in, more power out", rapid.MakeCheck(func(t *rapid.T) {
		list, a, b := drawRoles(t), drawScopes(t, "a"), drawScopes(t, "b")
		r := New(list)
		small, err := r.Expand(a)
		if err != nil {
			t.Fatal(err)
		}
		large, err := r.Expand(append(slices.Clone(a), b...))
		if err != nil {
			t.Fatal(err)
		}
		if !scope.Satisfies(large, scope.Strings(small...)) {
			t.Fatalf("roles %v: %q gives %q, but with %q only %q", list, a, small, b, large)
		}
	}))
}

func FuzzExpand(f *testing.F) {
	f.Add("a*", "assume:b<..>x", "b*", "S:<..>", "assume:abc*")
	f.Add("repo:*", "q:<..>.y", "repo:a", "assume:x", "as*")
	f.Fuzz(func(t *testing.T, id1, s1, id2, s2, in string) {
		list := []Role{{ID: id1, Scopes: []string{s1}}, {ID: id2, Scopes: []string{s2}}}
		if id1 == id2 || Check(list) != nil {
			return
		}
		got, err := New(list).Expand([]string{in})
		if err != nil {
			t.Fatal(err)
		}
		if want := slowExpand(list, []string{in}); !scope.Satisfies(got, scope.Strings(want...)) || !scope.Satisfies(want, scope.Strings(got...)) {
			t.Fatalf("%v: %q expands to %q, not to %q", list, in, got, want)
		}
	})
}

// bigRoles makes n roles in the manner of large deployments: repositories and projects that assume
// levels, with parameters.
func bigRoles(n int) []Role {
	list := roles("repo:*: queue:route:index.<..>.* secrets:get:<..>", "level:1: queue:create-task:low:* assume:base", "base: queue:status:* index:*")
	for i := 0; len(list) < n; i++ {
		list = append(list,
			Role{ID: fmt.Sprintf("project:p%d", i), Scopes: []string{"assume:level:1", fmt.Sprintf("queue:route:p%d", i)}},
			Role{ID: fmt.Sprintf("repo:github.com/org%d/*", i), Scopes: []string{fmt.Sprintf("assume:project:p%d", i), fmt.Sprintf("object:upload:org%d:<..>", i)}},
		)
	}
	return list[:n]
}

func BenchmarkExpand(b *testing.B) {
	list := bigRoles(5000)
	r := New(list)
	in := make([]string, 0, 10_000)
	for i := range 10_000 {
		in = append(in, fmt.Sprintf("assume:repo:github.com/org%d/repo%d:branch:main", i%2500, i))
	}
	for name, scopes := range map[string][]string{"10000scopes": in, "assume-all": {"assume:*"}, "one": in[:1]} {
		b.Run("5000roles/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := r.Expand(scopes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("5000roles/prepare", func(b *testing.B) {
		for b.Loop() {
			New(list)
		}
	})
	b.Run("5000roles/check", func(b *testing.B) {
		for b.Loop() {
			if err := Check(list); err != nil {
				b.Fatal(err)
			}
		}
	})
}
