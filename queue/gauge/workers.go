package gauge

import (
	"context"
	"strconv"
	"strings"
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

// Workers lists the workers of a task queue by group and id, those in quarantine too. Of the run that each claimed last it
// tells only which that is; Latest tells more.
func (g *Gauge) Workers(ctx context.Context, taskQueueID string) ([]Worker, error) {
	return rows(ctx, g, workersSQL, func(row pgx.CollectableRow) (w Worker, err error) {
		var held *time.Time
		var last string
		err = row.Scan(&w.Group, &w.ID, &w.First, &w.Last, &held, &w.Running, &last)
		if held != nil {
			w.Quarantine = *held
		}
		if id, run, ok := strings.Cut(last, "/"); ok && err == nil {
			w.Latest.TaskID = id
			w.Latest.RunID, err = strconv.Atoi(run)
		}
		return w, err
	}, taskQueueID)
}

// Latest reads the name of the task and the state of each worker's last run, in place; a run that has expired becomes none.
func (g *Gauge) Latest(ctx context.Context, workers []*Worker) error {
	ids, runs := make([]string, len(workers)), make([]int, len(workers))
	for i, w := range workers {
		ids[i], runs[i] = w.Latest.TaskID, w.Latest.RunID
		w.Latest = Latest{}
	}
	found, err := g.Pool.Query(ctx, latestSQL.Text, ids, runs)
	if err != nil {
		return failed(latestSQL, err)
	}
	var place int
	var l Latest
	_, err = pgx.ForEachRow(found, []any{&place, &l.TaskID, &l.RunID, &l.State, &l.Name}, func() error {
		workers[place-1].Latest = l
		return nil
	})
	if err != nil {
		return failed(latestSQL, err)
	}
	return nil
}

// Name names a worker within its task queue.
func (w *Worker) Name() string { return w.Group + "/" + w.ID }

// Record is what the workers of a task queue did lately: by group and id with a slash between, of the last runs of each, at
// most 20, and of all.
type Record struct {
	Of  map[string]Outcomes
	All Outcomes
}

const (
	// recordAge is how old a record may be, and knownAge how old one that is better than none.
	recordAge = 15 * time.Second
	knownAge  = 10 * time.Minute
)

// Record reads what workers did. For many of them that takes seconds: it is read once for all who ask meanwhile, and kept.
func (g *Gauge) Record(ctx context.Context, taskQueueID string) (*Record, error) {
	if r, at := g.known(taskQueueID); r != nil && g.Age >= 0 && time.Since(at) < recordAge {
		return r, nil
	}
	// Who asked first may leave, and the others still want it.
	got := g.reads.DoChan(taskQueueID, func() (any, error) { return g.record(context.WithoutCancel(ctx), taskQueueID) })
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case x := <-got:
		r, _ := x.Val.(*Record)
		return r, x.Err
	}
}

// Known is the last record that was read, nil when there is none that is of use.
func (g *Gauge) Known(taskQueueID string) *Record {
	r, at := g.known(taskQueueID)
	if time.Since(at) > knownAge {
		return nil
	}
	return r
}

type kept struct {
	*Record
	at time.Time
}

func (g *Gauge) known(taskQueueID string) (*Record, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := g.records[taskQueueID]
	return k.Record, k.at
}

func (g *Gauge) record(ctx context.Context, taskQueueID string) (*Record, error) {
	asked := time.Now()
	found, err := g.Pool.Query(ctx, outcomesSQL.Text, taskQueueID)
	if err != nil {
		return nil, failed(outcomesSQL, err)
	}
	r := &Record{Of: map[string]Outcomes{}}
	var group, id string
	var o Outcomes
	_, err = pgx.ForEachRow(found, []any{&group, &id, &o.Runs, &o.Failed}, func() error {
		r.Of[group+"/"+id] = o
		r.All = r.All.Add(o)
		return nil
	})
	if err != nil {
		return nil, failed(outcomesSQL, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.records == nil || len(g.records) > maxRecords {
		g.records = map[string]kept{}
	}
	g.records[taskQueueID] = kept{r, asked}
	return r, nil
}

// maxRecords is how many task queues' records are kept.
const maxRecords = 1000

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
	workersSQL = pg.Statement{Name: "queue.gauge-workers", Text: `
WITH w AS MATERIALIZED (
    SELECT worker_group, worker_id, w.first_claim, w.last_active, d.quarantine_until, d.recent[cardinality(d.recent)] AS latest
    FROM queue_workers w LEFT JOIN worker_details d USING (task_queue_id, worker_group, worker_id)
    WHERE task_queue_id = $1 AND greatest(w.last_active + interval '1 day', d.expires) > now()),
c AS (SELECT worker_group, worker_id, count(*)::int AS n FROM claims WHERE task_queue_id = $1 GROUP BY worker_group, worker_id)
SELECT w.worker_group, w.worker_id, w.first_claim, w.last_active, CASE WHEN w.quarantine_until > now() THEN w.quarantine_until END, coalesce(c.n, 0), coalesce(w.latest, '')
FROM w LEFT JOIN c USING (worker_group, worker_id)
ORDER BY w.worker_group, w.worker_id`}

	latestSQL = pg.Statement{Name: "queue.gauge-latest", Text: `
SELECT x.place, r.task_id, r.run_id, r.state, coalesce(d.metadata->>'name', '')
FROM unnest($1::text[], $2::int[]) WITH ORDINALITY x (task_id, run_id, place)
JOIN runs r ON r.task_id = x.task_id AND r.run_id = x.run_id
LEFT JOIN definitions d ON d.task_id = r.task_id`}

	outcomesSQL = pg.Statement{Name: "queue.gauge-outcomes", Text: `
SELECT d.worker_group, d.worker_id, count(*) FILTER (WHERE ` + counted + `)::int, count(*) FILTER (WHERE ` + blamed + `)::int
FROM worker_details d, unnest(d.recent) x JOIN runs r ON r.task_id = split_part(x, '/', 1) AND r.run_id = split_part(x, '/', 2)::smallint
WHERE d.task_queue_id = $1
GROUP BY d.worker_group, d.worker_id`}

	stripSQL = pg.Statement{Name: "queue.gauge-strip", Text: `
SELECT r.task_id, r.run_id, coalesce(m.metadata->>'name', ''), r.state, coalesce(r.reason_resolved, ''), r.started, r.resolved, ` + counted + `, ` + blamed + `
FROM worker_details d, unnest(d.recent) WITH ORDINALITY x (run, place)
JOIN runs r ON r.task_id = split_part(x.run, '/', 1) AND r.run_id = split_part(x.run, '/', 2)::smallint
LEFT JOIN definitions m ON m.task_id = r.task_id
WHERE d.task_queue_id = $1 AND d.worker_group = $2 AND d.worker_id = $3
ORDER BY x.place DESC`}
)
