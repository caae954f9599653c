package expand

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/auth/scope"
)

func TestPath(t *testing.T) {
	r := New(roles("team:*: assume:project:<..> hooks:trigger:<..>/*", "project:web: queue:create:*", "project:*: secrets:get:project/<..>/*"))
	tests := []struct {
		name, want string
		held       []string
		path       []Step
	}{
		{"held itself", "a:b", []string{"a:*"}, []Step{{Scope: "a:*"}}},
		{"by a role", "queue:create:x", []string{"assume:project:web"}, []Step{{Scope: "assume:project:web"}, {"queue:create:*", "project:web", ""}}},
		{"by a role of a role, with what it is given", "secrets:get:project/web/key", []string{"assume:team:web"}, []Step{
			{Scope: "assume:team:web"}, {"assume:project:web", "team:*", "web"}, {"secrets:get:project/web/*", "project:*", "web"},
		}},
		{"not at all", "secrets:get:project/api/key", []string{"assume:team:web"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.path, r.Path(tt.held, tt.want)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestPathAgreesWithExpand holds the chains against what scopes expand to.
func TestPathAgreesWithExpand(t *testing.T) {
	words := rapid.SampledFrom([]string{"assume:a", "assume:b*", "assume:bc", "assume:c", "x", "x*", "xy", "y:<..>", "assume:a<..>", "*"})
	rapid.Check(t, func(t *rapid.T) {
		var list []Role
		for _, id := range []string{"a", "b*", "bc", "c*"} {
			list = append(list, Role{ID: id, Scopes: rapid.SliceOfN(words, 0, 3).Draw(t, id)})
		}
		held := rapid.SliceOfN(words, 0, 3).Draw(t, "held")
		want := words.Draw(t, "want")
		r := New(list)
		all, err := r.Expand(held)
		if err != nil {
			t.Skip("too many")
		}
		path := r.Path(held, want)
		if got := path != nil; got != scope.NewSet(all).Has(want) {
			t.Fatalf("path %v, expansion %v", path, all)
		}
		if path != nil && !slices.Contains(scope.Normalize(held), path[0].Scope) {
			t.Fatalf("the path begins with %q, which is not held", path[0].Scope)
		}
	})
}
