package gauge

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

// Worker is one that asks for a task queue's work, with what it did lately.
type Worker struct {
	Group, ID   string
	First, Last time.Time // when it asked for work first, and last
	Quarantine  time.Time // until when it gets none; zero: it is not in quarantine
	Running     int       // tasks it has now
	Latest      Latest    // its last run that was claimed; zero: there was none, or its task has expired
	Outcomes    Outcomes  // of its last runs, at most 20
}

// Latest is a run with the name of its task.
type Latest struct {
	roster.Run
	Name  string
	State task.State
}

// Outcomes counts runs by what a worker can be blamed for: those that failed, or that ended as an exception for which
// the task is not known to be the reason; tasks that were canceled, came too late or cannot be done count for nothing.
type Outcomes struct{ Runs, Failed int }

// Workers lists the workers of a task queue by group and id, those in quarantine too.
func (g *Gauge) Workers(ctx context.Context, taskQueueID string) ([]Worker, error) {
	return rows(ctx, g, workersSQL, func(row pgx.CollectableRow) (w Worker, err error) {
		var (
			held     *time.Time
			id, name *string
			state    *string
			run      *int
		)
		err = row.Scan(&w.Group, &w.ID, &w.First, &w.Last, &held, &w.Running, &id, &run, &state, &name, &w.Outcomes.Runs, &w.Outcomes.Failed)
		if held != nil {
			w.Quarantine = *held
		}
		if id != nil && run != nil && state != nil {
			w.Latest.TaskID, w.Latest.RunID, w.Latest.State = *id, *run, task.State(*state)
		}
		if name != nil {
			w.Latest.Name = *name
		}
		return w, err
	}, taskQueueID)
}

// Past is a run that a worker did, or does.
type Past struct {
	Latest
	Reason            string // it ended for
	Started, Resolved time.Time
	Blamed, Counted   bool // see Outcomes
}

// Strip lists the last runs of a worker, the latest first; those whose tasks have expired are missing.
func (g *Gauge) Strip(ctx context.Context, k roster.Key) ([]Past, error) {
	return rows(ctx, g, stripSQL, func(row pgx.CollectableRow) (p Past, err error) {
		var started, resolved *time.Time
		err = row.Scan(&p.TaskID, &p.RunID, &p.Name, &p.State, &p.Reason, &started, &resolved, &p.Counted, &p.Blamed)
		if started != nil {
			p.Started = *started
		}
		if resolved != nil {
			p.Resolved = *resolved
		}
		return p, err
	}, k.TaskQueueID, k.WorkerGroup, k.WorkerID)
}

const (
	blamed  = `(r.state = 'failed' OR r.state = 'exception' AND r.reason_resolved IN ('internal-error', 'claim-expired', 'intermittent-task', 'resource-unavailable', 'worker-shutdown'))`
	counted = `(r.state = 'completed' OR ` + blamed + `)`
)

var (
	// The runs of all the workers are looked up in one go.
	workersSQL = pg.Statement{Name: "queue.gauge-workers", Text: `
WITH w AS MATERIALIZED (
    SELECT worker_group, worker_id, w.first_claim, w.last_active, d.quarantine_until, d.recent
    FROM queue_workers w LEFT JOIN worker_details d USING (task_queue_id, worker_group, worker_id)
    WHERE task_queue_id = $1 AND greatest(w.last_active + interval '1 day', d.expires) > now()),
past AS (
    SELECT w.worker_group, w.worker_id, count(*) FILTER (WHERE ` + counted + `)::int AS runs, count(*) FILTER (WHERE ` + blamed + `)::int AS failed
    FROM w, unnest(w.recent) x JOIN runs r ON r.task_id = split_part(x, '/', 1) AND r.run_id = split_part(x, '/', 2)::smallint
    GROUP BY w.worker_group, w.worker_id),
c AS (SELECT worker_group, worker_id, count(*)::int AS n FROM claims WHERE task_queue_id = $1 GROUP BY worker_group, worker_id)
SELECT w.worker_group, w.worker_id, w.first_claim, w.last_active, CASE WHEN w.quarantine_until > now() THEN w.quarantine_until END, coalesce(c.n, 0),
    r.task_id, r.run_id, r.state, d.metadata->>'name', coalesce(past.runs, 0), coalesce(past.failed, 0)
FROM w LEFT JOIN past USING (worker_group, worker_id) LEFT JOIN c USING (worker_group, worker_id)
LEFT JOIN runs r ON r.task_id = split_part(w.recent[cardinality(w.recent)], '/', 1) AND r.run_id = split_part(w.recent[cardinality(w.recent)], '/', 2)::smallint
LEFT JOIN definitions d ON d.task_id = r.task_id
ORDER BY w.worker_group, w.worker_id`}

	stripSQL = pg.Statement{Name: "queue.gauge-strip", Text: `
SELECT r.task_id, r.run_id, coalesce(m.metadata->>'name', ''), r.state, coalesce(r.reason_resolved, ''), r.started, r.resolved, ` + counted + `, ` + blamed + `
FROM worker_details d, unnest(d.recent) WITH ORDINALITY x (run, place)
JOIN runs r ON r.task_id = split_part(x.run, '/', 1) AND r.run_id = split_part(x.run, '/', 2)::smallint
LEFT JOIN definitions m ON m.task_id = r.task_id
WHERE d.task_queue_id = $1 AND d.worker_group = $2 AND d.worker_id = $3
ORDER BY x.place DESC`}
)
