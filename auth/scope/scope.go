// Package scope is the algebra of scopes: which scopes satisfy which expression, how an endpoint's
// scope template becomes an expression, and the one error people see when scopes are missing.
//
// A scope is a string. A held scope that ends in "*" stands for every string that starts with the
// part before the star; a star anywhere else, or in a required scope, means only itself
// (taskcluster-map 4.4). The package is pure: no clock, no database, no network; everything in it is
// safe for concurrent use. Roles are expanded by the auth package, before scopes come here.
package scope

import (
	"slices"
	"strings"
)

// Printable reports whether s consists of printable ASCII only, which every scope must.
func Printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// Valid reports whether s may be stored as a scope of a client, a role or a task: printable ASCII, not
// empty and not ending in "**", which people write by mistake (taskcluster-map 4.1).
func Valid(s string) bool {
	return s != "" && Printable(s) && !strings.HasSuffix(s, "**")
}

// covers reports whether holding the scope have gives the scope want.
func covers(have, want string) bool {
	if prefix, star := strings.CutSuffix(have, "*"); star {
		return strings.HasPrefix(want, prefix)
	}
	return have == want
}

// Compare orders scopes so that "x*" comes before "x" and before every longer string starting with x.
func Compare(a, b string) int {
	pa, starA := strings.CutSuffix(a, "*")
	pb, starB := strings.CutSuffix(b, "*")
	if c := strings.Compare(pa, pb); c != 0 || starA == starB {
		return c
	}
	if starA {
		return -1
	}
	return 1
}

// Normalize returns the shortest list that gives the same scopes, in the order of Compare. The
// argument is left as it is; the result is never nil.
func Normalize(scopes []string) []string {
	sorted := slices.Clone(scopes)
	slices.SortFunc(sorted, Compare)
	kept := make([]string, 0, len(sorted))
	for _, s := range sorted {
		// Strings with a common prefix are neighbours, and a pattern precedes all it covers, so only
		// the last one kept can cover s.
		if n := len(kept); n > 0 && covers(kept[n-1], s) {
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// Set is a list of held scopes prepared for many questions: Has costs a hash lookup and a binary
// search, whatever the number of scopes. The zero Set holds nothing. A Set is immutable.
type Set struct {
	exact    map[string]struct{}
	prefixes []string // without their star, sorted, none a prefix of another
}

// NewSet prepares scopes.
func NewSet(scopes []string) Set {
	set := Set{exact: make(map[string]struct{}, len(scopes))}
	var patterns []string
	for _, s := range scopes {
		if strings.HasSuffix(s, "*") {
			patterns = append(patterns, s)
		} else {
			set.exact[s] = struct{}{}
		}
	}
	for _, p := range Normalize(patterns) {
		set.prefixes = append(set.prefixes, strings.TrimSuffix(p, "*"))
	}
	slices.Sort(set.prefixes)
	return set
}

// Has reports whether the set gives the scope s.
func (set Set) Has(s string) bool {
	if _, ok := set.exact[s]; ok {
		return true
	}
	at, found := slices.BinarySearch(set.prefixes, s)
	// No prefix starts with another, so the greatest one that is not above s is the only candidate.
	return found || at > 0 && strings.HasPrefix(s, set.prefixes[at-1])
}
