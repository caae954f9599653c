package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
)

// wakeWaiting looks, with one statement for all task queues, whether work is there for those who
// wait: other replicas and hands that write to the database cannot wake them.
func (q *Queue) wakeWaiting(ctx context.Context) error {
	names, waiting := q.waiters.Queues()
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
			q.marks.Drop(name)
			q.waiters.Wake(name, count)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: %s: %w", linesSQL.Name, pg.Classify(err))
	}
	return nil
}

// refreshMarks sets marks older than age to the first rows of the line that are there, and reports
// whether it found any. It measures its own pace by this process's clock, which decides nothing else.
func (q *Queue) refreshMarks(ctx context.Context, queue string, age time.Duration) (found bool, err error) {
	began := time.Now()
	if !q.marks.Stale(queue, began, age) {
		return false, nil
	}
	rows, err := q.deps.Pool.Query(ctx, marksSQL.Text, queue)
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p line.Place, err error) {
		return p, row.Scan(&p.Priority, &p.Seq)
	})
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	q.marks.Set(queue, places, time.Since(began))
	return len(places) > 0, nil
}

var (
	linesSQL = pg.Statement{Name: "queue.lines", Text: `
SELECT u.task_queue_id, (SELECT count(*)::int FROM (SELECT FROM pending p WHERE p.task_queue_id = u.task_queue_id LIMIT u.waiting) AS x)
FROM unnest($1::text[], $2::int[]) AS u (task_queue_id, waiting)`}

	marksSQL = pg.Statement{Name: "queue.marks", Text: `
SELECT p.priority, l.seq
FROM generate_series(1, 7) AS p (priority),
LATERAL (
    SELECT seq FROM pending WHERE task_queue_id = $1 AND priority = p.priority ORDER BY seq LIMIT 1) AS l`}
)
