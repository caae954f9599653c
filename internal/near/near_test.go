package near_test

import (
	"testing"

	"github.com/treeline-ci/treeline/internal/near"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "abc", 3}, {"worker", "worker", 0}, {"worker", "wroker", 1}, {"worker", "workers", 1},
		{"kitten", "sitting", 3}, {"abcdef", "uvwxyz", 5}, {"a", "abcdefghij", 5},
	} {
		if got := near.Distance(tt.a, tt.b, 5); got != tt.want {
			t.Errorf("%q and %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestWord(t *testing.T) {
	known := []string{"scopes", "scope", "routes"}
	for word, want := range map[string]string{"scop": "scope", "scopse": "scopes", "rotes": "routes", "xyz": "", "scope": "scope"} {
		if got := near.Word(word, known, 3); got != want {
			t.Errorf("%q is %q, want %q", word, got, want)
		}
	}
}
