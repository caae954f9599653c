package why_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/explain/why"
	"github.com/treeline-ci/treeline/taskgraph/glob"
)

func TestAnExampleMatchesItsPattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "*", "**", "*.py", "a*b", "a-*-*", "*"}), 1, 5).Draw(t, "names")
		pattern := strings.Join(names, "/")
		if path := why.Example(pattern); path == "" || !glob.Match(pattern, path) {
			t.Fatalf("%s does not match %q", pattern, path)
		}
	})
}
