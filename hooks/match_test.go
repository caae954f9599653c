package hooks

import (
	"strings"
	"testing"
	"time"
)

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern, key string
		want         bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.b", "a.b.c", false}, {"a", "a.b", false},
		{"#", "", true}, {"#", "a.b.c", true}, {"a.#", "a", true}, {"a.#", "a.b.c", true}, {"a.#", "b.a", false},
		{"*", "a", true}, {"*", "a.b", false}, {"*.*", "a", false}, {"a.*.c", "a.b.c", true}, {"a.*.c", "a.c", false},
		{"#.c", "a.b.c", true}, {"#.c", "c", true}, {"#.c", "c.d", false}, {"a.#.b.#.c", "a.x.b.y.z.c", true}, {"a.#.b.#.c", "a.x.y.c", false},
		{"#.b.c", "b.c.b.c", true}, {"#.*", "", true}, {"#.#", "a", true}, {"primary.#.win.#", "primary.x.win", true},
		{"route.index.#", "route.index.a.b", true}, {"*.*.*", "a..c", true},
	} {
		if got := matches(tt.pattern, tt.key); got != tt.want {
			t.Errorf("%q and %q: %v", tt.pattern, tt.key, got)
		}
	}
}

func TestAPatternThatIsHardToMatchTakesNoTime(t *testing.T) {
	began := time.Now()
	matches(strings.Repeat("#.a.", 60)+"b", strings.Repeat("a.", 120)+"c")
	if took := time.Since(began); took > time.Second {
		t.Error(took)
	}
}
