package event

import (
	"slices"
	"sort"
)

// ledger is what the sequencer knows without asking: which seqs have a position. All up to mark
// have, except those in the gaps: a gap is a seq of a transaction that was still open, or rolled
// back, when a higher one was seen. Thanks to it each pass looks at new rows and gaps only, however
// many rows there are and however long an old transaction keeps dead ones alive.
type ledger struct {
	position int64 // the last given
	mark     int64
	gaps     []gap // sorted, disjoint, all at or below mark
}

// gap is a range of seqs without a position.
type gap struct {
	lo, hi  int64
	horizon int64 // every transaction that can own a seq of it has a lower id; 0: not known yet
}

// take records that seq got the next position.
func (l *ledger) take(seq int64) {
	l.position++
	if seq > l.mark {
		if seq > l.mark+1 {
			l.gaps = append(l.gaps, gap{lo: l.mark + 1, hi: seq - 1})
		}
		l.mark = seq
		return
	}
	i := sort.Search(len(l.gaps), func(i int) bool { return l.gaps[i].hi >= seq })
	if i == len(l.gaps) || l.gaps[i].lo > seq {
		return // it was given up: see expire
	}
	g := l.gaps[i]
	var left []gap
	if g.lo < seq {
		left = append(left, gap{g.lo, seq - 1, g.horizon})
	}
	if seq < g.hi {
		left = append(left, gap{seq + 1, g.hi, g.horizon})
	}
	l.gaps = slices.Replace(l.gaps, i, i+1, left...)
}

// unstamped reports whether a gap has no horizon yet.
func (l *ledger) unstamped() bool {
	return slices.ContainsFunc(l.gaps, func(g gap) bool { return g.horizon == 0 })
}

// stamp gives new gaps their horizon: the id of a transaction that began after they were seen.
func (l *ledger) stamp(horizon int64) {
	for i := range l.gaps {
		if l.gaps[i].horizon == 0 {
			l.gaps[i].horizon = horizon
		}
	}
}

// expire drops the gaps whose transactions all had ended before a pass looked at the rows: oldest is
// the lowest id of a transaction that ran before that look.
func (l *ledger) expire(oldest int64) {
	l.gaps = slices.DeleteFunc(l.gaps, func(g gap) bool { return g.horizon != 0 && g.horizon <= oldest })
}

// bounds returns the gaps as two arrays for SQL.
func (l *ledger) bounds() (lo, hi []int64) {
	lo, hi = make([]int64, len(l.gaps)), make([]int64, len(l.gaps))
	for i, g := range l.gaps {
		lo[i], hi[i] = g.lo, g.hi
	}
	return lo, hi
}
