// Package insert writes new tasks with all their rows, in one statement.
package insert

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

// Rows has the columns of new tasks.
type Rows struct {
	ids, queues, schedulers, projects, groups []string
	priorities, retries                       []int
	turns                                     []int64 // of the ready ones; 0 otherwise
	created, deadlines, expires               []time.Time
	requires, dependencies, routes, scopes    []string
	payloads, metadata, tags, extras          []string
	ready                                     []bool
	err                                       error

	edges struct {
		ids, required, requires []string
		satisfied               []bool
	}
}

// Add adds a task; turn is its place in line if it waits for nothing.
func (w *Rows) Add(t draft.Task, turn int64, n draft.Need) {
	d := &t.Definition
	w.ids, w.queues, w.schedulers = append(w.ids, t.ID), append(w.queues, d.TaskQueueID), append(w.schedulers, d.SchedulerID)
	w.projects, w.groups = append(w.projects, d.ProjectID), append(w.groups, d.TaskGroupID)
	w.priorities, w.retries, w.turns = append(w.priorities, d.Priority.Rank()), append(w.retries, d.Retries), append(w.turns, turn)
	w.created, w.deadlines, w.expires = append(w.created, d.Created.Time), append(w.deadlines, d.Deadline.Time), append(w.expires, d.Expires.Time)
	w.requires = append(w.requires, string(d.Requires))
	w.dependencies, w.routes, w.scopes = append(w.dependencies, array(d.Dependencies)), append(w.routes, array(d.Routes)), append(w.scopes, array(d.Scopes))
	meta, err := json.Marshal(d.Metadata)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("queue: metadata of %s: %w", t.ID, err)
	}
	w.payloads, w.metadata = append(w.payloads, string(d.Payload)), append(w.metadata, string(meta))
	w.tags, w.extras = append(w.tags, string(Tags(d))), append(w.extras, string(d.Extra))
	w.ready = append(w.ready, n.Ready)
	for i, id := range d.Dependencies {
		e := &w.edges
		e.ids, e.required, e.requires = append(e.ids, t.ID), append(e.required, id), append(e.requires, string(d.Requires))
		e.satisfied = append(e.satisfied, n.Satisfied[i])
	}
}

// Tags returns the tags as JSON; a map of strings can always be written.
func Tags(d *task.Definition) json.RawMessage {
	data, err := json.Marshal(d.Tags)
	if err != nil || d.Tags == nil {
		return json.RawMessage("{}")
	}
	return data
}

// array writes a list in PostgreSQL's text form of arrays: lists of different lengths cannot stand in
// one parameter otherwise.
func array(list []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for _, c := range []byte(s) {
			if c == '"' || c == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// Queue adds to a batch what inserts the tasks. Arrived gets a row for each line that pending ones
// entered: task queue, priority, lowest turn, and how many they are.
func (w *Rows) Queue(batch *pgx.Batch, arrived func(pgx.Rows) error) error {
	if w.err != nil {
		return w.err
	}
	batch.Queue(createSQL.Text, w.ids, w.queues, w.schedulers, w.projects, w.groups, w.priorities, w.retries, w.created, w.deadlines, w.expires,
		w.requires, w.dependencies, w.routes, w.scopes, w.payloads, w.metadata, w.tags, w.extras, w.ready, w.turns).Query(arrived)
	if e := &w.edges; len(e.ids) > 0 {
		batch.Queue(dependSQL.Text, e.ids, e.required, e.requires, e.satisfied).Exec(func(pgconn.CommandTag) error { return nil })
	}
	return nil
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{createSQL, dependSQL}

var (
	createSQL = pg.Statement{Name: "queue.create", Text: `
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::smallint[],
        $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[],
        $15::text[], $16::text[], $17::text[], $18::text[], $19::boolean[], $20::bigint[])
    AS u (task_id, task_queue_id, scheduler_id, project_id, task_group_id, priority, retries, created, deadline, expires,
        requires, dependencies, routes, scopes, payload, metadata, tags, extra, ready, turn)
), new_tasks AS (
    INSERT INTO tasks (task_id, task_queue_id, scheduler_id, project_id, task_group_id, priority, retries, retries_left, state, deadline, expires)
    SELECT task_id, task_queue_id, scheduler_id, project_id, task_group_id, priority, retries, retries,
        CASE WHEN ready THEN 'pending' ELSE 'unscheduled' END, deadline, expires
    FROM input
), new_definitions AS (
    INSERT INTO definitions (task_id, created, dependencies, requires, routes, scopes, payload, metadata, tags, extra)
    SELECT task_id, created, dependencies::text[], requires, routes::text[], scopes::text[], payload::json, metadata::json, tags::json, extra::json
    FROM input
), new_runs AS (
    INSERT INTO runs (task_id, run_id, state, reason_created, scheduled)
    SELECT task_id, 0, 'pending', 'scheduled', date_trunc('milliseconds', now()) FROM input WHERE ready
), new_deadlines AS (
    INSERT INTO deadlines (task_id, deadline) SELECT task_id, deadline FROM input
), new_pending AS (
    INSERT INTO pending (task_id, task_queue_id, priority, run_id, task_group_id, seq)
    SELECT task_id, task_queue_id, priority, 0, task_group_id, turn FROM input WHERE ready
    RETURNING task_queue_id, priority, seq
)
SELECT task_queue_id, priority, min(seq), count(*)::int FROM new_pending GROUP BY task_queue_id, priority`}

	dependSQL = pg.Statement{Name: "queue.depend", Text: `
INSERT INTO dependencies (task_id, required_id, requires, satisfied)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[])`}
)
