package gauge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how a task queue stands, for those who draw it over time.
type Figures struct {
	TaskQueueID               string
	Pending, Claimed          int
	Oldest                    time.Duration // how long the one waits that waits longest
	Workers                   int           // asked for work within SeenWithin, or quarantined
	Running, Idle, Quarantine int           // of these
	Capacity                  int           // by the last sample
}

// Figures tells of the task queues that hold work or have workers, in one statement that reads nothing that grows with what
// was done before.
func (g *Gauge) Figures(ctx context.Context) ([]Figures, error) {
	return rows(ctx, g, figuresSQL, func(row pgx.CollectableRow) (f Figures, err error) {
		var seen int
		err = row.Scan(&f.TaskQueueID, &f.Pending, &f.Oldest, &f.Claimed, &f.Running, &seen, &f.Quarantine, &f.Capacity)
		f.Workers = max(seen, f.Running) + f.Quarantine
		f.Idle = max(0, seen-f.Running)
		return f, err
	}, SeenWithin)
}

// Unscheduled counts the tasks that wait for other tasks, by task queue. It looks at every task that is not resolved.
func (g *Gauge) Unscheduled(ctx context.Context) (map[string]int, error) {
	type line struct {
		ID string
		N  int
	}
	list, err := rows(ctx, g, unscheduledSQL, pgx.RowToStructByPos[line])
	out := make(map[string]int, len(list))
	for _, l := range list {
		out[l.ID] = l.N
	}
	return out, err
}

var (
	figuresSQL = pg.Statement{Name: "queue.gauge-figures", Text: `
WITH p AS (SELECT task_queue_id, count(*)::int AS n, clock_timestamp() - min(inserted) AS oldest FROM pending GROUP BY task_queue_id),
    c AS (SELECT task_queue_id, count(*)::int AS n, count(DISTINCT (worker_group, worker_id))::int AS busy FROM claims GROUP BY task_queue_id),
    w AS (
        SELECT task_queue_id, count(*) FILTER (WHERE w.last_active > now() - $1::interval AND coalesce(d.quarantine_until, '-infinity') <= now())::int AS seen,
            count(*) FILTER (WHERE d.quarantine_until > now())::int AS held
        FROM queue_workers w LEFT JOIN worker_details d USING (task_queue_id, worker_group, worker_id)
        WHERE greatest(w.last_active + interval '1 day', d.expires) > now()
        GROUP BY task_queue_id),
    s AS (SELECT task_queue_id, capacity FROM queue_samples WHERE task_queue_id <> '' AND at = (SELECT max(at) FROM queue_samples WHERE task_queue_id = ''))
SELECT task_queue_id, coalesce(p.n, 0), greatest(coalesce(p.oldest, '0'), '0'), coalesce(c.n, 0), coalesce(c.busy, 0), coalesce(w.seen, 0), coalesce(w.held, 0), coalesce(s.capacity, 0)
FROM p FULL JOIN c USING (task_queue_id) FULL JOIN w USING (task_queue_id) FULL JOIN s USING (task_queue_id)`}

	unscheduledSQL = pg.Statement{Name: "queue.gauge-unscheduled", Text: `
SELECT t.task_queue_id, count(*)::int FROM deadlines d JOIN tasks t USING (task_id) WHERE t.state = 'unscheduled' GROUP BY 1`}
)
