package line

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// WakeForWork looks, with one statement for all task queues, whether work is there for those who wait: other
// replicas and hands that write to the database cannot wake them. It drops the marks of task queues with work.
func (l *Waiters) WakeForWork(ctx context.Context, pool *pgxpool.Pool, marks *Marks) error {
	names, waiting := l.Queues()
	if len(names) == 0 {
		return nil
	}
	rows, err := pool.Query(ctx, workSQL.Text, names, waiting)
	if err != nil {
		return fmt.Errorf("queue: %s: %w", workSQL.Name, pg.Classify(err))
	}
	var (
		name  string
		count int
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &count}, func() error {
		if count > 0 {
			marks.Drop(name)
			l.Wake(name, count)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: %s: %w", workSQL.Name, pg.Classify(err))
	}
	return nil
}

// Refresh sets marks older than age to the first rows of the lines that are there, and reports whether it found
// any. It measures its own pace by this process's clock, which decides nothing else.
func (m *Marks) Refresh(ctx context.Context, pool *pgxpool.Pool, queue string, age time.Duration) (found bool, err error) {
	began := time.Now()
	if !m.Stale(queue, began, age) {
		return false, nil
	}
	rows, err := pool.Query(ctx, marksSQL.Text, queue)
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	places, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Place, err error) {
		return p, row.Scan(&p.Priority, &p.Seq)
	})
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", marksSQL.Name, pg.Classify(err))
	}
	m.Set(queue, places, time.Since(began))
	return len(places) > 0, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{LookSQL, workSQL, marksSQL}

var (
	workSQL = pg.Statement{Name: "queue.lines", Text: `
SELECT u.task_queue_id, (SELECT count(*)::int FROM (SELECT FROM pending p WHERE p.task_queue_id = u.task_queue_id LIMIT u.waiting) AS x)
FROM unnest($1::text[], $2::int[]) AS u (task_queue_id, waiting)`}

	marksSQL = pg.Statement{Name: "queue.marks", Text: `
SELECT p.priority, l.seq
FROM generate_series(1, 7) AS p (priority),
LATERAL (
    SELECT seq FROM pending WHERE task_queue_id = $1 AND priority = p.priority ORDER BY seq LIMIT 1) AS l`}
)
