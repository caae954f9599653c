package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// record is a task as the database has it, and what a transition changes of it.
type record struct {
	task.Status
	retries        int
	everResolved   bool
	routes         []string
	tags           json.RawMessage
	now            time.Time  // the database's clock when the record was read
	stored         task.State // the state in the database
	storedPriority task.Priority
	touched        int // index of the first run that differs from the database's
	notices        []notice
}

// notice is an event to tell when the record is saved.
type notice struct {
	kind  string
	runID int
	was   task.Priority // of a change of priority
}

// Item is a task's definition together with how it stands.
type Item struct {
	Status task.Status     `json:"status"`
	Task   task.Definition `json:"task"`
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// runRow has a run's columns, all null for a task without runs.
type runRow struct {
	id                                      *int
	state, created, resolved, group, worker *string
	taken, scheduled, started, ended        *time.Time
}

func (r *runRow) into() []any {
	return []any{&r.id, &r.state, &r.created, &r.resolved, &r.group, &r.worker, &r.taken, &r.scheduled, &r.started, &r.ended}
}

func (r *runRow) run() task.Run {
	return task.Run{
		RunID: *r.id, State: task.State(*r.state), ReasonCreated: task.ReasonCreated(*r.created),
		ReasonResolved: task.ReasonResolved(text(r.resolved)), WorkerGroup: text(r.group), WorkerID: text(r.worker),
		TakenUntil: instant(r.taken), Scheduled: task.At(*r.scheduled), Started: instant(r.started), Resolved: instant(r.ended),
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func instant(t *time.Time) *task.Time {
	if t == nil {
		return nil
	}
	at := task.At(*t)
	return &at
}

// readRecords returns the records that a statement with recordColumns yields, in its order; rows
// of one task must stand together, its runs in order.
func readRecords(ctx context.Context, db querier, s pg.Statement, args ...any) ([]*record, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return scanRecords(s, rows)
}

func scanRecords(s pg.Statement, rows pgx.Rows) ([]*record, error) {
	defer rows.Close()
	var (
		out  []*record
		next record
		run  runRow
		rank int
		into = append(next.into(&rank), run.into()...)
	)
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
		}
		out = collect(out, &next, rank, &run)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return out, nil
}

func (r *record) into(rank *int) []any {
	return []any{
		&r.TaskID, &r.TaskQueueID, &r.SchedulerID, &r.ProjectID, &r.TaskGroupID, rank, &r.Deadline.Time, &r.Expires.Time,
		&r.retries, &r.RetriesLeft, &r.stored, &r.everResolved, &r.routes, unparsed(&r.tags), &r.now,
	}
}

// unparsed has JSON scanned as it stands: into a RawMessage it would be parsed, which the database did.
func unparsed(m *json.RawMessage) *[]byte { return (*[]byte)(m) }

// collect adds the scanned row to out: a further run of the last record, or a new record.
func collect(out []*record, next *record, rank int, run *runRow) []*record {
	if len(out) == 0 || out[len(out)-1].TaskID != next.TaskID {
		r := *next
		r.ProvisionerID, r.WorkerType, _ = strings.Cut(r.TaskQueueID, "/")
		r.Priority = priorityOf(rank)
		r.Deadline, r.Expires = task.At(r.Deadline.Time), task.At(r.Expires.Time)
		r.State, r.storedPriority = r.stored, r.Priority
		r.Runs = []task.Run{}
		out = append(out, &r)
	}
	if run.id != nil {
		last := out[len(out)-1]
		last.Runs = append(last.Runs, run.run())
		last.touched = len(last.Runs)
	}
	return out
}

func priorityOf(rank int) task.Priority {
	all := task.Priorities()
	if rank < 1 || rank > len(all) {
		return task.Lowest
	}
	return all[len(all)-rank]
}

// item is a record together with its definition.
type item struct {
	*record
	definition task.Definition
}

// readItems is readRecords for statements with recordColumns and definitionColumns.
func readItems(ctx context.Context, db querier, s pg.Statement, args ...any) ([]item, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return scanItems(s, rows, nil, func() {})
}

// scanItems reads rows of recordColumns and definitionColumns after some of the caller's own, which are
// scanned into before. It calls each for every task, those too that have nothing but the caller's columns.
func scanItems(s pg.Statement, rows pgx.Rows, before []any, each func()) ([]item, error) {
	defer rows.Close()
	var (
		out  []item
		all  []*record
		next record
		run  runRow
		rank int
		d    task.Definition
		meta json.RawMessage
		own  = append(append(next.into(&rank), run.into()...), &d.Created.Time, &d.Dependencies, &d.Requires, &d.Scopes, unparsed(&d.Payload), unparsed(&meta), unparsed(&d.Extra))
		into = append(slices.Clone(before), own...)
		bare = append(slices.Clone(before), make([]any, len(own))...) // nil is not scanned into
	)
	for rows.Next() {
		if rows.RawValues()[len(before)] == nil {
			if err := rows.Scan(bare...); err != nil {
				return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
			}
			each()
			continue
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("queue: %s: %w", s.Name, err)
		}
		if all = collect(all, &next, rank, &run); len(all) == len(out) {
			continue // a further run
		}
		r := all[len(out)]
		definition, err := r.define(d, meta)
		if err != nil {
			return nil, err
		}
		out = append(out, item{r, definition})
		each()
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return out, nil
}

// define completes d with what the record knows.
func (r *record) define(d task.Definition, metadata []byte) (task.Definition, error) {
	d.ProvisionerID, d.WorkerType, d.TaskQueueID = r.ProvisionerID, r.WorkerType, r.TaskQueueID
	d.SchedulerID, d.ProjectID, d.TaskGroupID = r.SchedulerID, r.ProjectID, r.TaskGroupID
	d.Priority, d.Retries, d.Routes = r.Priority, r.retries, r.routes
	d.Created, d.Deadline, d.Expires = task.At(d.Created.Time), r.Deadline, r.Expires
	if err := jsonv1.Unmarshal(metadata, &d.Metadata); err != nil {
		return d, fmt.Errorf("queue: metadata of %s: %w", r.TaskID, err)
	}
	d.Tags = map[string]string{}
	if err := jsonv1.Unmarshal(r.tags, &d.Tags); err != nil {
		return d, fmt.Errorf("queue: tags of %s: %w", r.TaskID, err)
	}
	return d, nil
}

// run returns the run with the given id, nil when there is none.
func (r *record) run(id int) *task.Run {
	if id < 0 || id >= len(r.Runs) {
		return nil
	}
	return &r.Runs[id]
}

func noTask(id string) error {
	return fault.New(fault.NotFound, "Task %s does not exist. Is the id right? Tasks vanish when they expire.", id)
}

func noRun(id string, run int) error {
	return fault.New(fault.NotFound, "Task %s has no run %d.", id, run)
}

const (
	// The clock is read after the row was locked: what one transaction did before another under the
	// same lock has the earlier time, whichever began first.
	recordColumns = taskColumns + `, d.routes, d.tags, ` + runColumns
	taskColumns   = `t.task_id, t.task_queue_id, t.scheduler_id, t.project_id, t.task_group_id, t.priority, t.deadline, t.expires,
       t.retries, t.retries_left, t.state, t.ever_resolved`
	runColumns = `clock_timestamp(),
       r.run_id, r.state, r.reason_created, r.reason_resolved, r.worker_group, r.worker_id,
       r.taken_until, r.scheduled, r.started, r.resolved`
	definitionColumns = `d.created, d.dependencies, d.requires, d.scopes, d.payload, d.metadata, d.extra`
	// OFFSET 0 keeps the planner to one look into the index of runs for each task: on tables of which
	// it has no statistics yet it would rather read all of runs.
	recordTables = `JOIN definitions d USING (task_id)
` + runTables
	runTables = `LEFT JOIN LATERAL (
    SELECT run_id, state, reason_created, reason_resolved, worker_group, worker_id, taken_until, scheduled, started, resolved
    FROM runs WHERE runs.task_id = t.task_id OFFSET 0) r ON true`
)

var (
	// For statuses alone, routes and tags are not looked up: they stand in other, wide rows.
	statusesSQL = pg.Statement{Name: "queue.statuses", Text: `
SELECT ` + taskColumns + `, '{}'::text[], '{}'::json, ` + runColumns + `
FROM tasks t ` + runTables + `
WHERE t.task_id = ANY($1)
ORDER BY t.task_id, r.run_id`}

	recordsSQL = pg.Statement{Name: "queue.records", Text: `
SELECT ` + recordColumns + `
FROM tasks t ` + recordTables + `
WHERE t.task_id = ANY($1)
ORDER BY t.task_id, r.run_id`}

	itemsSQL = pg.Statement{Name: "queue.items", Text: `
SELECT ` + recordColumns + `, ` + definitionColumns + `
FROM tasks t ` + recordTables + `
WHERE t.task_id = ANY($1)
ORDER BY t.task_id, r.run_id`}
)
