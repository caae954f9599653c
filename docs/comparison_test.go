package docs_test

import (
	"strings"
	"testing"
)

// TestTheComparisonIsHonest holds the page to what it says of itself: what Treeline can do leads to the page that shows it
// (that there is such a page, another test sees), and what it cannot do stands there too, as it does of others.
func TestTheComparisonIsHonest(t *testing.T) {
	columns, not, limits := 0, 0, 0
	for _, line := range strings.Split(read(t, "explanation/comparison.md"), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if strings.Contains(cells[1], " Treeline ") {
			columns = len(cells)
			continue
		}
		if len(cells) != columns {
			t.Errorf("%s has %d cells, not %d", cells[0], len(cells), columns)
		}
		ours := strings.TrimSpace(cells[1])
		switch {
		case strings.HasPrefix(ours, "–"):
			not++
		case !strings.Contains(ours, "]("):
			t.Errorf("%s: %q leads nowhere", cells[0], ours)
		case strings.Contains(ours, "~"):
			limits++
		}
		for i, cell := range cells {
			if strings.TrimSpace(cell) == "" {
				t.Errorf("%s: cell %d is empty", cells[0], i)
			}
		}
	}
	if columns < 6 || not+limits < 2 {
		t.Errorf("of %d columns, Treeline's has %d things that it cannot do and %d with limits", columns, not, limits)
	}
}
