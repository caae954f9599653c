package graph

// Nearest returns the candidate that differs least from word, or "" when none is near enough
// to be what was meant. Among equals the first in the order of candidates wins.
func Nearest(word string, candidates []string) string {
	limit := max(1, min(len(word)/3, 4))
	best, bestAt := limit+1, ""
	for _, c := range candidates {
		if diff := len(c) - len(word); diff >= best || -diff >= best || c == word {
			continue
		}
		if d := distance(word, c, best); d < best {
			best, bestAt = d, c
		}
	}
	return bestAt
}

// distance is Levenshtein's over bytes, given up once it cannot be below limit.
func distance(a, b string, limit int) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, smallest := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
			smallest = min(smallest, row[j+1])
		}
		if smallest >= limit {
			return limit
		}
	}
	return row[len(b)]
}
