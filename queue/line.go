package queue

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// lines has the claimers that wait in this process, by task queue, first come first served. Being woken
// is a hint to look at the database, no promise of work.
type lines struct {
	mu      sync.Mutex
	waiting map[string][]*waiter
}

type waiter struct {
	woken chan struct{} // holds at most one wake-up
}

func (l *lines) join(queue string) *waiter {
	w := &waiter{woken: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		l.waiting = map[string][]*waiter{}
	}
	l.waiting[queue] = append(l.waiting[queue], w)
	return w
}

// leave takes a waiter out of its line; a wake-up that it did not use goes to the next.
func (l *lines) leave(queue string, w *waiter) {
	l.mu.Lock()
	line := l.waiting[queue]
	if i := slices.Index(line, w); i >= 0 {
		line = slices.Delete(line, i, i+1)
	}
	if len(line) == 0 {
		delete(l.waiting, queue)
	} else {
		l.waiting[queue] = line
	}
	l.mu.Unlock()
	select {
	case <-w.woken:
		l.wake(queue, 1)
	default:
	}
}

// wake wakes the first n waiters that are not awake already.
func (l *lines) wake(queue string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.waiting[queue]
	for i := 0; i < len(line) && n > 0; i++ {
		select {
		case line[i].woken <- struct{}{}:
			n--
		default:
		}
	}
}

// queues returns the task queues for which somebody waits, and how many do.
func (l *lines) queues() (names []string, waiting []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, line := range l.waiting {
		names, waiting = append(names, name), append(waiting, len(line))
	}
	return names, waiting
}

// wakeWaiting looks, with one statement for all task queues, whether work is there for those who
// wait: other replicas and hands that write to the database cannot wake them.
func (q *Queue) wakeWaiting(ctx context.Context) error {
	names, waiting := q.lines.queues()
	if len(names) == 0 {
		return nil
	}
	rows, err := q.deps.Pool.Query(ctx, linesSQL.Text, names, waiting)
	if err != nil {
		return fmt.Errorf("queue: %s: %w", linesSQL.Name, pg.Classify(err))
	}
	var (
		name  string
		count int
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &count}, func() error {
		if count > 0 {
			q.marks.drop(name)
			q.lines.wake(name, count)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: %s: %w", linesSQL.Name, pg.Classify(err))
	}
	return nil
}

var linesSQL = pg.Statement{Name: "queue.lines", Text: `
SELECT u.task_queue_id, (SELECT count(*)::int FROM (SELECT FROM pending p WHERE p.task_queue_id = u.task_queue_id LIMIT u.waiting) AS x)
FROM unnest($1::text[], $2::int[]) AS u (task_queue_id, waiting)`}
