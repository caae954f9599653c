package explain

import (
	"cmp"
	"slices"
	"strings"
)

// MaxDrops is how many drops of one kind are kept: a matrix can exclude very many cells.
const MaxDrops = 10_000

// Dropped appends what became of no task of one kind, in an order that depends on the drops alone; a
// nil log takes nothing.
func (l *Log) Dropped(list []Drop) {
	if l == nil || len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b Drop) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, strings.Compare(a.Label, b.Label), strings.Compare(a.By, b.By), strings.Compare(a.Reason, b.Reason))
	})
	l.Drops = append(l.Drops, list[:min(len(list), MaxDrops)]...)
}
