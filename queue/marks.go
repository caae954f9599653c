package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// marks remembers for each task queue and priority where its line starts, so that claims do not
// walk over rows that are deleted but, while somebody's old transaction lasts, not yet removed.
//
// A mark may be too high for a moment: a row whose transaction commits late has a lower number. So
// marks are set anew from the database when they are older than markAge, at once when this
// process adds rows, and dropped when waiting claimers and pending rows are seen together.
type marks struct {
	mu sync.Mutex
	of map[string]*mark
}

type mark struct {
	low [priorities + 1]int64 // by rank
	at  time.Time             // of the last look at the database
}

const (
	priorities = 7
	markAge    = 300 * time.Millisecond
	emptyAge   = 20 * time.Millisecond // of marks behind which nothing was found
	maxMarks   = 10000                 // task queues; more of them, and the marks start over
)

// get returns the ranks, highest first, with their marks.
func (m *marks) get(queue string) (ranks []int, lows []int64) {
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

// raise sets the marks to where a claim found the line's first rows.
func (m *marks) raise(queue string, first []place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		for _, p := range first {
			k.low[p.priority] = max(k.low[p.priority], p.seq)
		}
	}
}

// lower makes sure that the marks are not above the given new rows.
func (m *marks) lower(queue string, first []place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		for _, p := range first {
			k.low[p.priority] = min(k.low[p.priority], p.seq)
		}
	}
}

// drop forgets the marks of a task queue.
func (m *marks) drop(queue string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, queue)
}

// stale reports whether the marks are older than age and must be set anew; one caller at a time is
// told so.
func (m *marks) stale(queue string, now time.Time, age time.Duration) bool {
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
	if now.Sub(k.at) < age {
		return false
	}
	k.at = now
	return true
}

// refreshMarks sets marks older than age to the first rows of the line that are there, and reports
// whether it found any. It measures its own pace by this process's clock, which decides nothing else.
func (q *Queue) refreshMarks(ctx context.Context, queue string, age time.Duration) (found bool, err error) {
	if !q.marks.stale(queue, time.Now(), age) {
		return false, nil
	}
	rows, err := q.deps.Pool.Query(ctx, marksSQL.Text, queue)
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p place, err error) {
		return p, row.Scan(&p.priority, &p.seq)
	})
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	q.marks.set(queue, places)
	return len(places) > 0, nil
}

func (m *marks) set(queue string, found []place) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of[queue]; k != nil {
		for _, p := range found {
			k.low[p.priority] = p.seq
		}
	}
}

var marksSQL = pg.Statement{Name: "queue.marks", Text: `
SELECT p.priority, l.seq
FROM generate_series(1, 7) AS p (priority),
LATERAL (
    SELECT seq FROM pending WHERE task_queue_id = $1 AND priority = p.priority ORDER BY seq LIMIT 1) AS l`}
