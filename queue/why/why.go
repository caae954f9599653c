// Package why says what a task waits for: its dependencies, or its place in line and the workers that
// serve the line. It only reads.
package why

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Answer says what a task waits for.
type Answer struct {
	Status   task.Status `json:"status"`
	Sentence string      `json:"sentence"` // all of it in short, in English
	// Unmet are the dependencies that hold an unscheduled task, at most MaxListed of UnmetCount.
	Unmet      []Unmet `json:"unmet"`
	UnmetCount int     `json:"unmetCount"`
	Line       *Line   `json:"line,omitempty"` // of a pending task
}

// Unmet is a dependency that is not satisfied.
type Unmet struct {
	TaskID   string        `json:"taskId"`
	State    task.State    `json:"state,omitempty"` // "" when the task has expired: it will never be satisfied
	Requires task.Requires `json:"requires"`
}

// Line is how a pending task stands in the line of its task queue, and who serves the line.
type Line struct {
	// Place is 1 for the next to be claimed. It is as the line stands now: tasks that come later go
	// before it if their priority is higher, or their group's turn is earlier.
	Place int `json:"place"`
	// More says that Place was not counted to its end: it is higher than MaxCounted.
	More bool `json:"more"`
	// Groups are those of which tasks are before it, the most tasks first, at most MaxGroups.
	Groups       []Group `json:"groups"`
	PendingTasks int     `json:"pendingTasks"` // in the task queue; not counted beyond MaxCounted
	ClaimedTasks int     `json:"claimedTasks"`
	// Workers asked for this task queue's work in the last hour; the latest first, at most MaxListed.
	Workers     []Worker `json:"workers"`
	BusyWorkers int      `json:"busyWorkers"` // have claims of the task queue
	IdleWorkers int      `json:"idleWorkers"` // have none, and asked for work in the last three minutes
	// QuarantinedWorkers asked for work in the last hour, but get none.
	QuarantinedWorkers int `json:"quarantinedWorkers"`
}

// Group is a task group's part of what is before a task.
type Group struct {
	TaskGroupID string        `json:"taskGroupId"`
	Priority    task.Priority `json:"priority"`
	Weight      int           `json:"weight"`
	Tasks       int           `json:"tasks"`
}

// Worker is one that asked for work.
type Worker struct {
	WorkerGroup string    `json:"workerGroup"`
	WorkerID    string    `json:"workerId"`
	LastActive  task.Time `json:"lastActive"` // true to a minute
	Claims      int       `json:"claims"`     // of this task queue
	Quarantined bool      `json:"quarantined"`
}

// Limits of an answer.
const (
	MaxListed  = 100
	MaxGroups  = 10
	MaxCounted = 10000
)

// Read says why the task with the given status does not run yet. For a running or resolved one there
// is nothing to say but that.
func Read(ctx context.Context, db interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}, status task.Status) (Answer, error) {
	var (
		a     = Answer{Status: status, Unmet: []Unmet{}}
		batch pgx.Batch
	)
	switch status.State {
	case task.Unscheduled:
		a.askUnmet(&batch)
	case task.Pending:
		a.askLine(&batch)
	}
	if batch.Len() > 0 {
		if err := db.SendBatch(ctx, &batch).Close(); err != nil {
			return Answer{}, fmt.Errorf("queue: why %s: %w", status.TaskID, pg.Classify(err))
		}
	}
	if a.Line != nil && a.Line.Place == 0 {
		a.Line = nil
	}
	a.Sentence = a.sentence()
	return a, nil
}

func (a *Answer) askUnmet(batch *pgx.Batch) {
	batch.Queue(unmetCountSQL.Text, a.Status.TaskID).QueryRow(func(row pgx.Row) error { return row.Scan(&a.UnmetCount) })
	batch.Queue(unmetSQL.Text, a.Status.TaskID, MaxListed).Query(func(rows pgx.Rows) (err error) {
		a.Unmet, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Unmet])
		return err
	})
}

func (a *Answer) askLine(batch *pgx.Batch) {
	l := &Line{Groups: []Group{}}
	a.Line = l
	batch.Queue(placeSQL.Text, a.Status.TaskID, MaxCounted, MaxGroups).Query(func(rows pgx.Rows) error {
		var (
			g    Group
			rank int
		)
		_, err := pgx.ForEachRow(rows, []any{&g.TaskGroupID, &rank, &g.Weight, &g.Tasks}, func() error {
			if rank == 0 { // the first row counts what is before the task
				l.Place, l.More = g.Tasks+1, g.Tasks >= MaxCounted
				return nil
			}
			all := task.Priorities()
			g.Priority = all[len(all)-rank]
			l.Groups = append(l.Groups, g)
			return nil
		})
		return err
	})
	queue := a.Status.TaskQueueID
	batch.Queue(loadSQL.Text, queue, MaxCounted).QueryRow(func(row pgx.Row) error {
		return row.Scan(&l.PendingTasks, &l.ClaimedTasks, &l.BusyWorkers, &l.IdleWorkers, &l.QuarantinedWorkers)
	})
	batch.Queue(workersSQL.Text, queue, MaxListed).Query(func(rows pgx.Rows) (err error) {
		l.Workers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (w Worker, err error) {
			var at time.Time
			err = row.Scan(&w.WorkerGroup, &w.WorkerID, &at, &w.Claims, &w.Quarantined)
			w.LastActive = task.At(at)
			return w, err
		})
		return err
	})
}

// sentence says it all in short.
func (a *Answer) sentence() string {
	switch l := a.Line; {
	case a.Status.State == task.Unscheduled:
		return fmt.Sprintf("It waits for %s.", many(a.UnmetCount, "dependency", "dependencies"))
	case a.Status.State == task.Running:
		return "It runs."
	case a.Status.State.Resolved():
		return "It is resolved."
	case l == nil:
		return "A worker took it just now."
	default:
		return l.before() + " " + l.served(a.Status.TaskQueueID)
	}
}

func (l *Line) before() string {
	switch {
	case l.Place == 1:
		return "It is next in line."
	case l.More:
		return fmt.Sprintf("More than %d tasks are before it.", MaxCounted)
	case len(l.Groups) == 1:
		return fmt.Sprintf("%s before it, all of task group %s.", are(l.Place-1), l.Groups[0].TaskGroupID)
	}
	return are(l.Place-1) + " before it."
}

func (l *Line) served(queue string) string {
	switch {
	case l.IdleWorkers > 0:
		return fmt.Sprintf("%s for work of %s now, %s at work.", waits(l.IdleWorkers), queue, are2(l.BusyWorkers))
	case l.BusyWorkers > 0:
		return fmt.Sprintf("All of %s seen lately %s at work.", many(l.BusyWorkers, "worker", "workers"), verb(l.BusyWorkers, "is", "are"))
	case l.QuarantinedWorkers > 0:
		return fmt.Sprintf("%s asked for work of %s in the last hour, but %s in quarantine.",
			many(l.QuarantinedWorkers, "worker", "workers"), queue, verb(l.QuarantinedWorkers, "is", "are"))
	case len(l.Workers) > 0:
		return fmt.Sprintf("No worker asks for work of %s now; the last one did at %s.", queue, l.Workers[0].LastActive)
	}
	return fmt.Sprintf("No worker asked for work of %s in the last hour.", queue)
}

func many(n int, one, more string) string { return fmt.Sprintf("%d %s", n, verb(n, one, more)) }

func verb(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}

func are(n int) string   { return many(n, "task is", "tasks are") }
func are2(n int) string  { return many(n, "is", "are") }
func waits(n int) string { return many(n, "worker waits", "workers wait") }

// held says of a row w of queue_workers whether the worker is in quarantine.
const held = `EXISTS (
        SELECT FROM worker_details d
        WHERE d.task_queue_id = w.task_queue_id AND d.worker_group = w.worker_group AND d.worker_id = w.worker_id AND d.quarantine_until > now())`

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{unmetCountSQL, unmetSQL, placeSQL, loadSQL, workersSQL}

var (
	unmetCountSQL = pg.Statement{Name: "queue.unmet-count", Text: `SELECT count(*) FROM dependencies WHERE task_id = $1 AND NOT satisfied`}

	unmetSQL = pg.Statement{Name: "queue.unmet", Text: `
SELECT d.required_id, coalesce(t.state, ''), d.requires
FROM dependencies d LEFT JOIN tasks t ON t.task_id = d.required_id
WHERE d.task_id = $1 AND NOT d.satisfied ORDER BY d.required_id LIMIT $2`}

	// No row when the task was claimed meanwhile. Rows that an older program added do not name their group.
	placeSQL = pg.Statement{Name: "queue.place", Text: `
WITH me AS MATERIALIZED (
    SELECT task_queue_id, priority, seq FROM pending WHERE task_id = $1
), ahead AS MATERIALIZED (
    SELECT * FROM (
        (SELECT p.task_id, p.task_group_id, p.priority FROM me JOIN pending p ON p.task_queue_id = me.task_queue_id AND p.priority > me.priority LIMIT $2)
        UNION ALL
        (SELECT p.task_id, p.task_group_id, p.priority FROM me
         JOIN pending p ON p.task_queue_id = me.task_queue_id AND p.priority = me.priority AND p.seq < me.seq LIMIT $2)
    ) AS both_parts LIMIT $2
), named AS (
    SELECT CASE WHEN task_group_id <> '' THEN task_group_id
           ELSE (SELECT t.task_group_id FROM tasks t WHERE t.task_id = ahead.task_id) END AS task_group_id, priority
    FROM ahead
), most AS (
    SELECT task_group_id, priority, count(*)::int AS tasks FROM named
    GROUP BY task_group_id, priority ORDER BY tasks DESC, task_group_id LIMIT $3
)
SELECT * FROM (
    SELECT '' AS task_group_id, 0::smallint AS priority, 0::smallint AS weight, (SELECT count(*)::int FROM ahead) AS tasks FROM me
    UNION ALL
    SELECT coalesce(m.task_group_id, ''), m.priority, coalesce(g.weight, 1::smallint), m.tasks
    FROM most m LEFT JOIN task_groups g ON g.task_group_id = m.task_group_id
) AS all_rows ORDER BY priority > 0, tasks DESC, task_group_id`}

	loadSQL = pg.Statement{Name: "queue.load", Text: `
WITH busy AS MATERIALIZED (
    SELECT worker_group, worker_id, count(*) AS claims FROM claims WHERE task_queue_id = $1 GROUP BY worker_group, worker_id
), seen AS MATERIALIZED (
    SELECT worker_group, worker_id, last_active, ` + held + ` AS held
    FROM queue_workers w WHERE w.task_queue_id = $1 AND w.last_active > now() - interval '1 hour'
)
SELECT (SELECT count(*)::int FROM (SELECT FROM pending WHERE task_queue_id = $1 LIMIT $2) AS p),
    (SELECT coalesce(sum(claims), 0)::int FROM busy), (SELECT count(*)::int FROM busy),
    (SELECT count(*)::int FROM seen w WHERE NOT held AND last_active > now() - interval '3 minutes'
        AND NOT EXISTS (SELECT FROM busy b WHERE b.worker_group = w.worker_group AND b.worker_id = w.worker_id)),
    (SELECT count(*)::int FROM seen WHERE held)`}

	workersSQL = pg.Statement{Name: "queue.workers", Text: `
SELECT w.worker_group, w.worker_id, w.last_active, (
    SELECT count(*)::int FROM claims c WHERE c.task_queue_id = $1 AND c.worker_group = w.worker_group AND c.worker_id = w.worker_id), ` + held + `
FROM (
    SELECT task_queue_id, worker_group, worker_id, last_active FROM queue_workers
    WHERE task_queue_id = $1 AND last_active > now() - interval '1 hour' ORDER BY last_active DESC LIMIT $2) AS w
ORDER BY w.last_active DESC`}
)
