// Package timing reads when the tasks of a group did what, and what else went on in their task queues: what traces are made
// of. It only reads, in a fixed number of statements however many tasks there are.
package timing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Task is when a task did what.
type Task struct {
	ID, Queue, Name, Kind string
	Priority              int // its rank, 7 is the highest
	State                 task.State
	Requires              task.Requires
	Created               time.Time // as its definition says
	Needs                 []string
	Runs                  []Run
}

// Run is an attempt at a task; times that have not come are zero.
type Run struct {
	ID                           int
	State                        task.State
	Created                      task.ReasonCreated
	Reason                       task.ReasonResolved
	WorkerGroup, WorkerID        string
	Scheduled, Started, Resolved time.Time
}

// Artifact is what a run left.
type Artifact struct {
	TaskID, Name, ContentType string
	Run                       int
	Size                      int64 // -1 when it is not known
	Stored                    bool
	Created                   time.Time
}

// Outside is a task of another group that one of the group needs; Resolved is zero while it goes on.
type Outside struct {
	ID, Name string
	Resolved time.Time
}

// Start is the beginning of a run of another group, in one of the task queues.
type Start struct {
	Queue                 string
	Priority              int
	WorkerGroup, WorkerID string
	Started, Resolved     time.Time
}

// Worker is a worker of one of the task queues.
type Worker struct {
	Queue, Group, ID string
	FirstClaim       time.Time
}

// Group is what is known of a group.
type Group struct {
	Now, Created time.Time // by the database's clock; Created is zero for a group that does not exist
	Tasks        []Task
	Artifacts    []Artifact
	Outside      []Outside
	Others       []Start
	Workers      []Worker
}

// Of what others did no more is read than this; and of their runs only those that could run so long before the first of the
// group that began.
const (
	maxOthers = 100_000
	before    = 3 * time.Hour
)

// Read reads a group. Two round trips: what others did is asked when it is known when.
func Read(ctx context.Context, pool *pgxpool.Pool, group string) (*Group, error) {
	g := &Group{}
	var batch pgx.Batch
	batch.Queue(groupSQL.Text, group).QueryRow(func(row pgx.Row) error { return row.Scan(&g.Now, timeInto(&g.Created)) })
	batch.Queue(tasksSQL.Text, group).Query(g.scanTasks)
	batch.Queue(artifactsSQL.Text, group).Query(collect(&g.Artifacts))
	if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("queue: timing of group %s: %w", group, pg.Classify(err))
	}
	queues, from, to := g.window()
	batch = pgx.Batch{}
	batch.Queue(outsideSQL.Text, g.needed()).Query(collect(&g.Outside))
	batch.Queue(othersSQL.Text, group, queues, from, to, before, maxOthers).Query(collect(&g.Others))
	batch.Queue(workersSQL.Text, queues).Query(collect(&g.Workers))
	if err := pool.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("queue: timing of the queues of group %s: %w", group, pg.Classify(err))
	}
	return g, nil
}

// needed are the tasks of other groups that tasks of this one need.
func (g *Group) needed() []string {
	own, out := make(map[string]bool, len(g.Tasks)), []string{}
	for i := range g.Tasks {
		own[g.Tasks[i].ID] = true
	}
	for i := range g.Tasks {
		for _, id := range g.Tasks[i].Needs {
			if !own[id] {
				own[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}

// window is in which task queues, and from when to when, runs of the group waited for workers.
func (g *Group) window() (queues []string, from, to time.Time) {
	seen := map[string]bool{}
	for i := range g.Tasks {
		t := &g.Tasks[i]
		for k := range t.Runs {
			r := &t.Runs[k]
			end := r.Started
			if end.IsZero() {
				end = r.Resolved
			}
			if end.IsZero() {
				end = g.Now
			}
			if from.IsZero() || r.Scheduled.Before(from) {
				from = r.Scheduled
			}
			if end.After(to) {
				to = end
			}
			if !seen[t.Queue] {
				seen[t.Queue] = true
				queues = append(queues, t.Queue)
			}
		}
	}
	return queues, from, to
}

// timeInto scans a time that may be null, which is zero then.
func timeInto(t *time.Time) *zeroTime { return (*zeroTime)(t) }

type zeroTime time.Time

// ScanTimestamptz is for pgx.
func (z *zeroTime) ScanTimestamptz(v pgtype.Timestamptz) error {
	*z = zeroTime{}
	if v.Valid {
		*z = zeroTime(v.Time)
	}
	return nil
}

func collect[T any](into *[]T) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T])
		return err
	}
}

// scanTasks joins the rows of a task's runs.
func (g *Group) scanTasks(rows pgx.Rows) error {
	defer rows.Close()
	var (
		next                           Task
		metadata, tags                 []byte
		run                            *int
		state, created, reason, wg, wi *string
		scheduled, started, resolved   time.Time
	)
	for rows.Next() {
		next = Task{}
		err := rows.Scan(&next.ID, &next.Queue, &next.Priority, &next.State, &next.Requires, timeInto(&next.Created), &next.Needs, &metadata, &tags,
			&run, &state, &created, &reason, &wg, &wi, timeInto(&scheduled), timeInto(&started), timeInto(&resolved))
		if err != nil {
			return err
		}
		if len(g.Tasks) == 0 || g.Tasks[len(g.Tasks)-1].ID != next.ID {
			next.describe(metadata, tags)
			g.Tasks = append(g.Tasks, next)
		}
		if run == nil {
			continue
		}
		t := &g.Tasks[len(g.Tasks)-1]
		t.Runs = append(t.Runs, Run{
			ID: *run, State: task.State(text(state)), Created: task.ReasonCreated(text(created)), Reason: task.ReasonResolved(text(reason)),
			WorkerGroup: text(wg), WorkerID: text(wi), Scheduled: scheduled, Started: started, Resolved: resolved,
		})
	}
	return rows.Err()
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// describe reads a task's name and kind; what has another shape than usual is left out.
func (t *Task) describe(metadata, tags []byte) {
	var m struct{ Name string }
	var g map[string]string
	if json.Unmarshal(metadata, &m.Name) != nil {
		_ = json.Unmarshal(metadata, &m)
	}
	_ = json.Unmarshal(tags, &g)
	t.Name, t.Kind = m.Name, g["kind"]
	if t.Name == "" {
		t.Name = t.ID
	}
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{groupSQL, tasksSQL, artifactsSQL, outsideSQL, othersSQL, workersSQL}

const seen = `(expires > now() OR state IN ('unscheduled', 'pending', 'running'))`

var (
	groupSQL = pg.Statement{Name: "queue.timing-group", Text: `
SELECT clock_timestamp(), (SELECT created FROM task_groups WHERE task_group_id = $1)`}

	// Of the metadata of most tasks only the name is sent; the database refuses some escapes, which go out whole.
	tasksSQL = pg.Statement{Name: "queue.timing-tasks", Text: `
SELECT t.task_id, t.task_queue_id, t.priority, t.state, d.requires, d.created, d.dependencies,
    CASE WHEN strpos(d.metadata::text, '\u') > 0 THEN d.metadata ELSE d.metadata->'name' END, d.tags,
    r.run_id, r.state, r.reason_created, r.reason_resolved, r.worker_group, r.worker_id, r.scheduled, r.started, r.resolved
FROM (SELECT * FROM tasks WHERE task_group_id = $1 AND ` + seen + `) t
JOIN definitions d ON d.task_id = t.task_id
LEFT JOIN runs r ON r.task_id = t.task_id
ORDER BY t.task_id, r.run_id`}

	artifactsSQL = pg.Statement{Name: "queue.timing-artifacts", Text: `
SELECT a.task_id, a.name, a.content_type, a.run_id, coalesce(a.content_length, -1), a.storage_type IN ('s3', 'object') AND a.present, a.created
FROM tasks t JOIN artifacts a ON a.task_id = t.task_id
WHERE t.task_group_id = $1 AND a.expires > now() ORDER BY a.task_id, a.run_id, a.created, a.name`}

	outsideSQL = pg.Statement{Name: "queue.timing-outside", Text: `
SELECT asked.id, CASE WHEN d.metadata IS NULL OR strpos(d.metadata::text, '\u') > 0 THEN asked.id ELSE coalesce(d.metadata->>'name', asked.id) END,
    coalesce((SELECT max(r.resolved) FROM runs r WHERE r.task_id = asked.id AND o.state IN ('completed', 'failed', 'exception')), '0001-01-01 00:00:00Z')
FROM unnest($1::text[]) AS asked (id) LEFT JOIN tasks o ON o.task_id = asked.id LEFT JOIN definitions d ON d.task_id = asked.id ORDER BY asked.id`}

	othersSQL = pg.Statement{Name: "queue.timing-others", Text: `
SELECT t.task_queue_id, t.priority, r.worker_group, r.worker_id, r.started, coalesce(r.resolved, '0001-01-01 00:00:00Z')
FROM runs r JOIN tasks t ON t.task_id = r.task_id
WHERE r.scheduled >= $3::timestamptz - $5::interval AND r.scheduled <= $4 AND r.started <= $4 AND (r.resolved IS NULL OR r.resolved >= $3)
    AND r.worker_id IS NOT NULL AND t.task_queue_id = ANY($2) AND t.task_group_id <> $1
ORDER BY r.started DESC LIMIT $6`}

	workersSQL = pg.Statement{Name: "queue.timing-workers", Text: `
SELECT task_queue_id, worker_group, worker_id, first_claim FROM queue_workers WHERE task_queue_id = ANY($1)`}
)
