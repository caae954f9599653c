package roster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// Worker is what is known of a worker.
type Worker struct {
	ProvisionerID     string       `json:"provisionerId"`
	WorkerType        string       `json:"workerType"`
	TaskQueueID       string       `json:"taskQueueId"`
	WorkerGroup       string       `json:"workerGroup"`
	WorkerID          string       `json:"workerId"`
	FirstClaim        task.Time    `json:"firstClaim"`                // when it asked for work first
	LastDateActive    task.Time    `json:"lastDateActive"`            // about when it asked for work last
	QuarantineUntil   *task.Time   `json:"quarantineUntil,omitempty"` // nil when it never was in quarantine
	QuarantineDetails []Quarantine `json:"quarantineDetails"`         // the latest last, at most maxDetails
	RecentTasks       []Run        `json:"recentTasks"`               // the latest last, at most maxRecent
	Expires           task.Time    `json:"expires"`                   // when it is forgotten, unless it is seen again
}

// Entry is a worker in a listing.
type Entry struct {
	WorkerGroup     string     `json:"workerGroup"`
	WorkerID        string     `json:"workerId"`
	FirstClaim      task.Time  `json:"firstClaim"`
	LastDateActive  task.Time  `json:"lastDateActive"`
	LatestTask      *Run       `json:"latestTask,omitempty"`
	QuarantineUntil *task.Time `json:"quarantineUntil,omitempty"`
}

// WorkersPage is a page of the workers of a task queue, sorted by group and id.
type WorkersPage struct {
	Workers []Entry `json:"workers"`
	Next    string  `json:"continuationToken,omitempty"`
}

// Workers lists the workers of a task queue: all, or with quarantined those that are in quarantine
// now or those that are not. A task queue that is not known has none.
func (r *Roster) Workers(ctx context.Context, taskQueueID string, quarantined *bool, limit int, token string) (WorkersPage, error) {
	var group, id string
	if err := paging.Read(token, &group, &id); err != nil {
		return WorkersPage{}, err
	}
	if err := r.Flush(ctx); err != nil {
		return WorkersPage{}, err
	}
	limit = paging.Size(limit)
	list, err := rows(ctx, r, listWorkersSQL, func(row pgx.CollectableRow) (e Entry, err error) {
		var (
			until  *time.Time
			latest *string
		)
		err = row.Scan(&e.WorkerGroup, &e.WorkerID, &e.FirstClaim.Time, &e.LastDateActive.Time, &until, &latest)
		e.FirstClaim, e.LastDateActive, e.QuarantineUntil = task.At(e.FirstClaim.Time), task.At(e.LastDateActive.Time), instant(until)
		if latest != nil {
			run := runOf(*latest)
			e.LatestTask = &run
		}
		return e, err
	}, taskQueueID, group, id, quarantined, limit+1)
	if err != nil {
		return WorkersPage{}, err
	}
	var page WorkersPage
	page.Workers, page.Next, err = paging.Cut(list, limit, func(e Entry) []any { return []any{e.WorkerGroup, e.WorkerID} })
	return page, err
}

func instant(t *time.Time) *task.Time {
	if t == nil {
		return nil
	}
	at := task.At(*t)
	return &at
}

// runOf reads a run from the form in which the database has it.
func runOf(text string) Run {
	id, number, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		return Run{TaskID: id} // the database has what Took wrote
	}
	return Run{id, n}
}

// Worker returns a worker; one that never asked for work, or has expired, is fault.NotFound.
func (r *Roster) Worker(ctx context.Context, k Key) (Worker, error) {
	if err := r.Flush(ctx); err != nil {
		return Worker{}, err
	}
	return readWorker(ctx, r.pool, k)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func readWorker(ctx context.Context, db querier, k Key) (Worker, error) {
	rows, err := db.Query(ctx, workerSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID)
	if err != nil {
		return Worker{}, fmt.Errorf("queue: %s: %w", workerSQL.Name, pg.Classify(err))
	}
	w, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (Worker, error) { return k.scan(row) })
	if errors.Is(err, pgx.ErrNoRows) {
		return Worker{}, fault.New(fault.NotFound, "Worker %s/%s of task queue %s is not known: it has not asked for work lately.", k.WorkerGroup, k.WorkerID, k.TaskQueueID)
	}
	if err != nil {
		return Worker{}, fmt.Errorf("queue: %s: %w", workerSQL.Name, pg.Classify(err))
	}
	return w, nil
}

func (k Key) scan(row pgx.CollectableRow) (Worker, error) {
	var (
		w                    = Worker{TaskQueueID: k.TaskQueueID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID, RecentTasks: []Run{}}
		first, last, expires time.Time
		until                *time.Time
		details              []byte
		recent               []string
	)
	if err := row.Scan(&first, &last, &until, &details, &recent, &expires); err != nil {
		return Worker{}, err
	}
	w.ProvisionerID, w.WorkerType, _ = strings.Cut(k.TaskQueueID, "/")
	w.FirstClaim, w.LastDateActive, w.Expires, w.QuarantineUntil = task.At(first), task.At(last), task.At(expires), instant(until)
	for _, text := range recent {
		w.RecentTasks = append(w.RecentTasks, runOf(text))
	}
	return w, json.Unmarshal(details, &w.QuarantineDetails)
}

// Declare notes a worker, whether or not it has asked for work, and when it expires.
func (r *Roster) Declare(ctx context.Context, k Key, expires task.Time) (w Worker, err error) {
	err = pg.Tx(ctx, r.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, declareSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, declaredSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID, expires.Time); err != nil {
			return err
		}
		w, err = readWorker(ctx, tx, k)
		return err
	})
	if err != nil {
		return Worker{}, fmt.Errorf("queue: declare worker %s/%s: %w", k.WorkerGroup, k.WorkerID, err)
	}
	return w, nil
}

const (
	// A worker stands with its details, if it has any.
	workerTables  = `queue_workers w LEFT JOIN worker_details d USING (task_queue_id, worker_group, worker_id)`
	workerExpires = `greatest(w.last_active + interval '1 day', d.expires)`
)

var (
	workerSQL = pg.Statement{Name: "queue.worker", Text: `
SELECT w.first_claim, w.last_active, d.quarantine_until, coalesce(d.quarantine_details, '[]'), d.recent, ` + workerExpires + `
FROM ` + workerTables + `
WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3 AND ` + workerExpires + ` > now()`}

	listWorkersSQL = pg.Statement{Name: "queue.list-workers", Text: `
SELECT worker_group, worker_id, w.first_claim, w.last_active, d.quarantine_until, d.recent[cardinality(d.recent)]
FROM ` + workerTables + `
WHERE task_queue_id = $1 AND (worker_group, worker_id) > ($2, $3) AND ` + workerExpires + ` > now()
  AND ($4::boolean IS NULL OR coalesce(d.quarantine_until > now(), false) = $4)
ORDER BY worker_group, worker_id LIMIT $5`}

	declareSQL = pg.Statement{Name: "queue.declare-worker", Text: `
INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`}

	declaredSQL = pg.Statement{Name: "queue.declared", Text: `
INSERT INTO worker_details (task_queue_id, worker_group, worker_id, expires) VALUES ($1, $2, $3, $4)
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET expires = excluded.expires`}
)
