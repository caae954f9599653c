// Package roster knows who asks the queue for work: the workers, the task queues they serve, what
// each worker did lately, and which workers are in quarantine (taskcluster-map 5.11). It decides
// nothing about tasks.
package roster

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
)

// Key names a worker: the same group and id may stand for another machine in another task queue.
type Key struct{ TaskQueueID, WorkerGroup, WorkerID string }

// Run is one run of a task.
type Run struct {
	TaskID string `json:"taskId"`
	RunID  int    `json:"runId"`
}

// maxRecent is how many of its last runs are known of a worker.
const maxRecent = 20

// Roster keeps the record. Any number of them may work on one database, and all methods can be
// called concurrently.
type Roster struct {
	// Audit records who put which worker in quarantine, in the transaction of the order; its error ends that. nil: nobody
	// keeps a trail. It is set before the first use.
	Audit func(ctx context.Context, tx pgx.Tx, o Order) error
	// Wake is called after orders, for the feed to look. nil: it looks by itself. It is set before the first use.
	Wake func()

	pool *pgxpool.Pool
	seen line.Sightings

	mu     sync.Mutex
	took   map[Key][]string // runs that Flush has to write, as taskId/runId
	queues map[string]bool  // task queues that Flush has to write

	held    atomic.Pointer[heldWorkers]
	refresh sync.Mutex // one look at the quarantines at a time
}

// New returns a Roster on the database.
func New(pool *pgxpool.Pool) *Roster {
	return &Roster{pool: pool, took: map[Key][]string{}, queues: map[string]bool{}}
}

// Saw notes that a worker asks for work; it writes at most once a minute and worker.
func (r *Roster) Saw(ctx context.Context, k Key) error {
	now := time.Now()
	if r.seen.Due(line.Sighting{Queue: k.TaskQueueID}, now) {
		r.mu.Lock()
		r.queues[k.TaskQueueID] = true
		r.mu.Unlock()
	}
	if !r.seen.Due(line.Sighting{Queue: k.TaskQueueID, Group: k.WorkerGroup, Worker: k.WorkerID}, now) {
		return nil
	}
	if _, err := r.pool.Exec(ctx, sawSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID); err != nil {
		return fmt.Errorf("queue: note worker %s/%s: %w", k.WorkerGroup, k.WorkerID, pg.Classify(err))
	}
	return nil
}

// maxUnwritten bounds the workers whose runs wait for Flush.
const maxUnwritten = 50000

// Took notes that a worker has claimed a run. It is in the database after the next Flush; a process
// that dies before loses the note, which nothing depends on.
func (r *Roster) Took(k Key, taskID string, runID int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := append(r.took[k], fmt.Sprintf("%s/%d", taskID, runID))
	if len(runs) > maxRecent {
		runs = runs[1:]
	}
	if len(runs) > 1 || len(r.took) < maxUnwritten {
		r.took[k] = runs
	}
}

// unwritten has the columns of what Flush writes.
type unwritten struct{ queues, groups, workers, runs, active []string }

func (r *Roster) unwritten() (u unwritten) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, runs := range r.took {
		u.queues, u.groups, u.workers = append(u.queues, k.TaskQueueID), append(u.groups, k.WorkerGroup), append(u.workers, k.WorkerID)
		u.runs = append(u.runs, strings.Join(runs, ","))
	}
	for q := range r.queues {
		u.active = append(u.active, q)
	}
	clear(r.took)
	clear(r.queues)
	return u
}

// Flush writes what was noted since the last one. What cannot be written is forgotten.
func (r *Roster) Flush(ctx context.Context) error {
	u := r.unwritten()
	if len(u.runs) > 0 {
		if _, err := r.pool.Exec(ctx, tookSQL.Text, u.queues, u.groups, u.workers, u.runs, maxRecent); err != nil {
			return fmt.Errorf("queue: %s: %w", tookSQL.Name, pg.Classify(err))
		}
	}
	if len(u.active) > 0 {
		if _, err := r.pool.Exec(ctx, activeSQL.Text, u.active); err != nil {
			return fmt.Errorf("queue: %s: %w", activeSQL.Name, pg.Classify(err))
		}
	}
	return nil
}

// NoteLines notes the task queues that have pending tasks, whether or not a worker asks for them. Its
// cost grows with the number of such queues, not of tasks.
func (r *Roster) NoteLines(ctx context.Context) error {
	if _, err := r.pool.Exec(ctx, linesSQL.Text); err != nil {
		return fmt.Errorf("queue: %s: %w", linesSQL.Name, pg.Classify(err))
	}
	return nil
}

// Remove deletes workers that have expired, a day after they were seen last unless they were declared
// for longer or are in quarantine, and task queues not used for five days: at most batch rows of each
// in one transaction. It returns how many rows that were.
func (r *Roster) Remove(ctx context.Context, batch int) (total int64, err error) {
	for _, s := range []pg.Statement{removeWorkersSQL, removeDetailsSQL, removeQueuesSQL} {
		n, err := pg.Prune(ctx, r.pool, s, batch)
		if total += n; err != nil {
			return total, fmt.Errorf("queue: %w", err)
		}
	}
	return total, nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{
	sawSQL, tookSQL, activeSQL, linesSQL, removeWorkersSQL, removeDetailsSQL, removeQueuesSQL,
	workerSQL, lockDetailsSQL, quarantineSQL, heldSQL, declareSQL, declaredSQL, listWorkersSQL,
	queuesSQL, queueSQL, provisionersSQL, provisionerSQL, waitingSQL, workingSQL,
}

var (
	sawSQL = pg.Statement{Name: "queue.saw", Text: `
INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ($1, $2, $3)
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET last_active = now()`}

	// The order keeps two processes from waiting for each other.
	tookSQL = pg.Statement{Name: "queue.took", Text: `
INSERT INTO worker_details AS d (task_queue_id, worker_group, worker_id, recent)
SELECT q, g, w, string_to_array(r, ',') FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (q, g, w, r) ORDER BY q, g, w
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET
    recent = (d.recent || excluded.recent)[greatest(1, cardinality(d.recent || excluded.recent) + 1 - $5::int):]`}

	activeSQL = pg.Statement{Name: "queue.active", Text: `
INSERT INTO task_queues AS t (task_queue_id) SELECT q FROM unnest($1::text[]) AS u (q) ORDER BY q
ON CONFLICT (task_queue_id) DO UPDATE SET last_active = now(), expires = greatest(t.expires, excluded.expires)`}

	// One look into the index of pending tasks for each queue.
	linesSQL = pg.Statement{Name: "queue.active-lines", Text: `
WITH RECURSIVE lines (q) AS (
    (SELECT task_queue_id FROM pending ORDER BY task_queue_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.task_queue_id FROM pending p WHERE p.task_queue_id > lines.q ORDER BY p.task_queue_id LIMIT 1)
    FROM lines WHERE lines.q IS NOT NULL
)
INSERT INTO task_queues AS t (task_queue_id) SELECT q FROM lines WHERE q IS NOT NULL ORDER BY q
ON CONFLICT (task_queue_id) DO UPDATE SET last_active = now(), expires = greatest(t.expires, excluded.expires)`}

	removeWorkersSQL = pg.Statement{Name: "queue.remove-workers", Text: `
DELETE FROM queue_workers WHERE ctid = ANY(ARRAY(
    SELECT w.ctid FROM queue_workers w
    WHERE w.last_active < now() - interval '1 day' AND NOT EXISTS (
        SELECT FROM worker_details d
        WHERE d.task_queue_id = w.task_queue_id AND d.worker_group = w.worker_group AND d.worker_id = w.worker_id AND d.expires > now())
    LIMIT $1 FOR UPDATE OF w SKIP LOCKED))`}

	removeDetailsSQL = pg.Statement{Name: "queue.remove-details", Text: `
DELETE FROM worker_details WHERE ctid = ANY(ARRAY(
    SELECT d.ctid FROM worker_details d
    WHERE d.expires < now() AND NOT EXISTS (
        SELECT FROM queue_workers w
        WHERE d.task_queue_id = w.task_queue_id AND d.worker_group = w.worker_group AND d.worker_id = w.worker_id)
    LIMIT $1 FOR UPDATE OF d SKIP LOCKED))`}

	removeQueuesSQL = pg.Statement{Name: "queue.remove-queues", Text: `
DELETE FROM task_queues WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM task_queues WHERE expires < now() LIMIT $1 FOR UPDATE SKIP LOCKED))`}
)
