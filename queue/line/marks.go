package line

import (
	"sync"
	"time"
)

// Marks remembers for each task queue and priority where its line starts, so that claims do not
// walk over rows that are deleted but, while somebody's old transaction lasts, not yet removed.
//
// A mark may be too high for a moment: a row whose transaction commits late has a lower number. So
// marks are set anew from the database when they are older than MarkAge, at once when this
// process adds rows, and dropped when waiting claimers and pending rows are seen together.
type Marks struct {
	mu sync.Mutex
	of map[string]*mark
}

// Place is a row in the line of a task queue.
type Place struct {
	Priority int   // rank, 1 to 7
	Seq      int64 // its turn
}

type mark struct {
	low  [priorities + 1]int64 // by rank
	at   time.Time             // of the last look at the database
	took time.Duration         // that look
}

const (
	priorities = 7
	// MarkAge is how old marks may become.
	MarkAge = 300 * time.Millisecond
	// EmptyAge is how old marks may be behind which nothing was found.
	EmptyAge = 20 * time.Millisecond
	maxMarks = 10000 // task queues; more of them, and the marks start over
	// lookShare is how many times what a look took is waited before the next: where much is dead at the head
	// of a line, each look passes it.
	lookShare = 50
	maxWait   = time.Second // whatever it took
)

// Get returns the ranks, highest first, with their marks.
func (m *Marks) Get(queue string) (ranks []int, lows []int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of[queue]
	for rank := priorities; rank >= 1; rank-- {
		ranks = append(ranks, rank)
		if k == nil {
			lows = append(lows, 0)
		} else {
			lows = append(lows, k.low[rank])
		}
	}
	return ranks, lows
}

// Low returns the mark of one line; 0 when there is none.
func (m *Marks) Low(l Line) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[l.Queue]; k != nil {
		return k.low[l.Priority]
	}
	return 0
}

// Raise sets the marks to where a claim found the line's first rows.
func (m *Marks) Raise(queue string, first []Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		for _, p := range first {
			k.low[p.Priority] = max(k.low[p.Priority], p.Seq)
		}
	}
}

// Lower makes sure that the marks are not above the given new rows.
func (m *Marks) Lower(queue string, first []Place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		for _, p := range first {
			k.low[p.Priority] = min(k.low[p.Priority], p.Seq)
		}
	}
}

// Drop forgets the marks of a task queue.
func (m *Marks) Drop(queue string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, queue)
}

// Stale reports whether the marks are older than age and must be set anew; one caller at a time is
// told so. After a long look they may be older.
func (m *Marks) Stale(queue string, now time.Time, age time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil || len(m.of) >= maxMarks {
		m.of = map[string]*mark{}
	}
	k := m.of[queue]
	if k == nil {
		k = &mark{}
		m.of[queue] = k
	}
	if now.Sub(k.at) < max(age, min(lookShare*k.took, maxWait)) {
		return false
	}
	k.at = now
	return true
}

// Set sets the marks to the first rows that a look found, which took so long.
func (m *Marks) Set(queue string, found []Place, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		k.took = took
		for _, p := range found {
			k.low[p.Priority] = p.Seq
		}
	}
}
