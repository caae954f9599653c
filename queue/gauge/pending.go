package gauge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

// Waiting is a run in the line of its task queue.
type Waiting struct {
	roster.Run
	Name        string
	TaskGroupID string
	Priority    task.Priority
	Since       time.Time // when it became pending
	Created     string    // the reason for which there is this run, such as "scheduled" or "rerun"
	Higher      int       // of those before it, how many have a higher priority
	Own         int       // of those before it with its priority, how many are of its group
}

// Pending lists runs in the order in which workers get them, limit from the one at from (0 is the next): by priority,
// then by their groups' turns. It is the order of this instant: what comes later may go before.
func (g *Gauge) Pending(ctx context.Context, taskQueueID string, from, limit int) ([]Waiting, error) {
	all := task.Priorities()
	return rows(ctx, g, pendingSQL, func(row pgx.CollectableRow) (w Waiting, err error) {
		var rank int
		err = row.Scan(&w.TaskID, &w.RunID, &w.Name, &w.TaskGroupID, &rank, &w.Since, &w.Created, &w.Higher, &w.Own)
		w.Priority = all[len(all)-rank]
		return w, err
	}, taskQueueID, from, limit)
}

// Busy is what workers did for tasks of one name.
type Busy struct {
	Name                  string
	WorkerGroup, WorkerID string
	Runs                  int
	For                   time.Duration // all of them together, up to now
	Running               int           // of Runs, how many have not ended
	TaskID                string        // one of them
}

// Busy tells what a task queue's workers did in runs that became pending since so long ago, by the tasks' names and by
// worker.
func (g *Gauge) Busy(ctx context.Context, taskQueueID string, since time.Duration) ([]Busy, error) {
	return rows(ctx, g, busySQL, func(row pgx.CollectableRow) (b Busy, err error) {
		var s float64
		err = row.Scan(&b.Name, &b.WorkerGroup, &b.WorkerID, &b.Runs, &s, &b.Running, &b.TaskID)
		b.For = seconds(s)
		return b, err
	}, taskQueueID, since)
}

var (
	// Rows of the same turn stand in the index, and so in the line, in the order of their places in the table.
	pendingSQL = pg.Statement{Name: "queue.gauge-pending", Text: `
WITH l AS (
    SELECT task_id, run_id, task_group_id, priority, inserted,
        row_number() OVER (ORDER BY priority DESC, seq, ctid) AS place,
        count(*) OVER (ORDER BY priority DESC RANGE UNBOUNDED PRECEDING EXCLUDE GROUP)::int AS higher,
        row_number() OVER (PARTITION BY priority, task_group_id ORDER BY seq, ctid)::int - 1 AS own
    FROM pending WHERE task_queue_id = $1)
SELECT l.task_id, l.run_id, coalesce(d.metadata->>'name', ''), l.task_group_id, l.priority, l.inserted, coalesce(r.reason_created, ''), l.higher, l.own
FROM (SELECT * FROM l ORDER BY place OFFSET $2 LIMIT $3) l
LEFT JOIN definitions d USING (task_id) LEFT JOIN runs r ON r.task_id = l.task_id AND r.run_id = l.run_id
ORDER BY place`}

	busySQL = pg.Statement{Name: "queue.gauge-busy", Text: `
SELECT coalesce(d.metadata->>'name', ''), r.worker_group, r.worker_id, count(*)::int,
    sum(extract(epoch FROM coalesce(r.resolved, now()) - r.started))::float8, count(*) FILTER (WHERE r.resolved IS NULL)::int, max(r.task_id)
FROM runs r JOIN tasks t USING (task_id) LEFT JOIN definitions d USING (task_id)
WHERE t.task_queue_id = $1 AND r.scheduled > now() - $2::interval AND r.started IS NOT NULL AND r.worker_id IS NOT NULL
GROUP BY 1, 2, 3`}
)
