// Package near tells how much two words differ, to guess which one was meant.
package near

// Distance counts the bytes to insert, drop, change or swap with a neighbour to make b of a. What is not below limit is
// limit, and soon given up.
func Distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
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
	return min(last[len(b)], limit)
}

// Word is the known word that differs least from word, by fewer than limit bytes; "" when none does. Among equals the
// first wins.
func Word(word string, known []string, limit int) string {
	best := ""
	for _, k := range known {
		if d := Distance(word, k, limit); d < limit {
			best, limit = k, d
		}
	}
	return best
}
