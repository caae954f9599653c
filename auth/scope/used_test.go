package scope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/auth/scope"
)

func TestUsed(t *testing.T) {
	have := []string{"a:*", "b:1", "c"}
	for _, c := range []struct {
		name string
		want scope.Expr
		used []string
	}{
		{"a pattern stands for what it covers", scope.String("a:x"), []string{"a:*"}},
		{"each is named once", scope.Strings("a:x", "a:y", "b:1"), []string{"a:*", "b:1"}},
		{"of alternatives the first that holds", scope.AnyOf(scope.String("z"), scope.Strings("b:1", "z"), scope.String("c"), scope.String("b:1")), []string{"c"}},
		{"what is not satisfied uses nothing", scope.Strings("a:x", "z"), nil},
		{"nor does what everybody has", scope.AllOf(), nil},
		{"nor what was never asked", scope.Expr{}, nil},
		{"no more than asked for", scope.Strings("c", "b:1", "a:1"), []string{"c", "b:1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.used, scope.Used(have, c.want, 2)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
