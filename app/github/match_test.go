package github

import "testing"

func TestPatternsOfBranches(t *testing.T) {
	for _, c := range []struct {
		pattern, branch string
		want            bool
	}{
		{"main", "main", true}, {"main", "main2", false}, {"main", "mai", false}, {"*", "any/thing", true}, {"topic/*", "topic/a/b", true}, {"topic/*", "topic", false},
		{"*-wip", "my-wip", true}, {"*-wip", "my-wip2", false}, {"a*b*c", "a1b2c", true}, {"a*b*c", "a1c", false}, {"a*a", "a", false}, {"", "main", false},
	} {
		if got := matches(c.pattern, c.branch); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.branch, got)
		}
	}
}
