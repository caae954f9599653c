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

// distance counts the bytes to insert, drop, change or swap with a neighbour to make b of a. It
// is given up once it cannot be below limit.
func distance(a, b string, limit int) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		smallest := row[0]
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cost = min(cost, before[j-1]+1)
			}
			row[j+1] = min(cost, row[j]+1, last[j+1]+1)
			smallest = min(smallest, row[j+1])
		}
		if smallest > limit {
			return limit
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
