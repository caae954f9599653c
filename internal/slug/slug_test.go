package slug_test

import (
	"regexp"
	"testing"

	"github.com/treeline-ci/treeline/internal/slug"
)

// The field's own pattern for slugids (taskcluster-map 4.1).
var pattern = regexp.MustCompile(`^[A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]$`)

func TestNew(t *testing.T) {
	seen := map[string]bool{}
	for range 2000 {
		for _, s := range []string{slug.New(), slug.Nice()} {
			if !pattern.MatchString(s) || !slug.Valid(s) || seen[s] {
				t.Fatalf("bad or repeated slugid %q", s)
			}
			seen[s] = true
		}
		if s := slug.Nice(); !regexp.MustCompile(`^[A-Za-f]`).MatchString(s) {
			t.Fatalf("%q is not nice", s)
		}
	}
}

func TestFromBytesIsStable(t *testing.T) {
	if a, b := slug.FromBytes([16]byte{1, 2, 3}), slug.FromBytes([16]byte{1, 2, 3}); a != b || !slug.Valid(a) {
		t.Errorf("%q, %q", a, b)
	}
}

func FuzzValid(f *testing.F) {
	f.Add("fN1SbArXTPSVFNUvaOlinQ")
	f.Add("")
	f.Add("----------------------")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := slug.Valid(s), pattern.MatchString(s); got != want {
			t.Errorf("Valid(%q) = %v, pattern says %v", s, got, want)
		}
	})
}
