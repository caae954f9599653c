package graph

import "github.com/treeline-ci/treeline/internal/near"

// Nearest returns the candidate that differs least from word, or "" when none is near enough
// to be what was meant. Among equals the first in the order of candidates wins.
func Nearest(word string, candidates []string) string {
	limit := max(1, min(len(word)/3, 4))
	best, bestAt := limit+1, ""
	for _, c := range candidates {
		if diff := len(c) - len(word); diff >= best || -diff >= best || c == word {
			continue
		}
		if d := near.Distance(word, c, best); d < best {
			best, bestAt = d, c
		}
	}
	return bestAt
}
