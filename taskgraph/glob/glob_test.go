package glob_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/taskgraph/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"docs", "docs/x", true}, {"docs", "docs", true}, {"docs", "docsx", false}, {"docs/", "docs/x", false}, {"", "x", true},
		{"*", "a", true}, {"*", "a/b", true}, {"a/*", "a/b/c", true}, {"a/*.py", "a/b.py", true}, {"a/*.py", "a/b/c.py", false},
		{"**", "a/b", true}, {"**/x.py", "x.py", true}, {"**/x.py", "a/b/x.py", true}, {"a/**/x", "a/x", true}, {"a/**/x", "a/b/c/x", true},
		{"a/**", "a", true}, {"a/**", "a/b/c", true}, {"a/**", "ab", false}, {"a?", "ab", false}, {"[a]", "a", false}, {"*", ".hidden", true},
		{"src/**", "src/a.py", true}, {"never/**", "src/a.py", false}, {"a*b", "axxb", true}, {"a*b", "ax/xb", false}, {"a.c", "abc", false},
	} {
		if got := glob.Match(c.pattern, c.path); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a/**/b*", "a/x/bc")
	f.Add("**/**", "a")
	f.Fuzz(func(t *testing.T, pattern, path string) {
		if glob.Match(pattern, path) && path != "" && !glob.Match("", path) {
			t.Error("the empty pattern matches everything")
		}
		if !strings.Contains(pattern, "*") && pattern != "" && !strings.HasSuffix(pattern, "/") && !glob.Match(pattern, pattern) {
			t.Error("a plain pattern matches itself")
		}
	})
}
