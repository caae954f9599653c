package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/cells"
	"github.com/treeline-ci/treeline/queue/counts"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/queue/timing"
	"github.com/treeline-ci/treeline/task"
)

// Task returns a task's definition.
func (q *Queue) Task(ctx context.Context, id string) (task.Definition, error) {
	item, err := q.Item(ctx, id)
	return item.Task, err
}

// Item returns a task's definition and status, both as of one instant.
func (q *Queue) Item(ctx context.Context, id string) (Item, error) {
	found, err := items(ctx, q.deps.Pool, itemsSQL, []string{id})
	if err != nil {
		return Item{}, err
	}
	if len(found) == 0 {
		return Item{}, noTask(id)
	}
	return found[0], nil
}

// Items returns the definitions and statuses of those of the tasks that exist, sorted by id.
func (q *Queue) Items(ctx context.Context, ids []string) ([]Item, error) {
	return items(ctx, q.deps.Pool, itemsSQL, ids)
}

// ItemsIn is Items for who holds a transaction: it asks in it, since who waits for a second connection while holding one may
// wait for those who do the same.
func (q *Queue) ItemsIn(ctx context.Context, tx pgx.Tx, ids []string) ([]Item, error) {
	return items(ctx, tx, itemsSQL, ids)
}

// Status returns how a task stands.
func (q *Queue) Status(ctx context.Context, id string) (task.Status, error) {
	return q.together.looks.Do(ctx, id)
}

// Statuses returns how those of the tasks stand that exist, sorted by id.
func (q *Queue) Statuses(ctx context.Context, ids []string) ([]task.Status, error) {
	records, err := readRecords(ctx, q.deps.Pool, statusesSQL, ids)
	if err != nil {
		return nil, err
	}
	out := make([]task.Status, 0, len(records))
	for _, r := range records {
		if !r.expired() {
			out = append(out, r.Status)
		}
	}
	return out, nil
}

// expired reports whether nobody is to see the task any more: it is resolved and has expired, whether
// or not it has been removed yet. So a task ends at the same instant as the artifacts that expire with
// it.
func (r *record) expired() bool { return r.State.Resolved() && !r.Expires.After(r.now) }

func items(ctx context.Context, db querier, s pg.Statement, args ...any) ([]Item, error) {
	found, err := readItems(ctx, db, s, args...)
	if err != nil {
		return nil, err
	}
	out := make([]Item, 0, len(found))
	for _, t := range found {
		if !t.expired() {
			out = append(out, Item{t.Status, t.definition})
		}
	}
	return out, nil
}

// GroupPage is a page of a task group's tasks, sorted by id.
type GroupPage struct {
	Group
	Tasks []Item `json:"tasks"`
	Next  string `json:"continuationToken,omitempty"` // "" on the last page
}

// ListGroup returns the tasks of a group, a page at a time: limit 1 to MaxPage, 0 means MaxPage; token
// is "" for the first page and a page's Next for the following.
func (q *Queue) ListGroup(ctx context.Context, id string, limit int, token string) (GroupPage, error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return GroupPage{}, err
	}
	g, err := q.Group(ctx, id)
	if err != nil {
		return GroupPage{}, err
	}
	limit = paging.Size(limit)
	found, err := items(ctx, q.deps.Pool, listGroupSQL, id, after, limit+1)
	if err != nil {
		return GroupPage{}, err
	}
	page := GroupPage{Group: g}
	page.Tasks, page.Next, err = paging.Cut(found, limit, func(i Item) []any { return []any{i.Status.TaskID} })
	return page, err
}

// DependentsPage is a page of the tasks that depend on one task, sorted by id.
type DependentsPage struct {
	TaskID string `json:"taskId"`
	Tasks  []Item `json:"tasks"`
	Next   string `json:"continuationToken,omitempty"`
}

// Dependents returns the tasks that depend directly on a task, satisfied or not; it pages like
// ListGroup.
func (q *Queue) Dependents(ctx context.Context, id string, limit int, token string) (DependentsPage, error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return DependentsPage{}, err
	}
	if _, err := q.Status(ctx, id); err != nil {
		return DependentsPage{}, err
	}
	limit = paging.Size(limit)
	found, err := items(ctx, q.deps.Pool, dependentsSQL, id, after, limit+1)
	if err != nil {
		return DependentsPage{}, err
	}
	page := DependentsPage{TaskID: id}
	page.Tasks, page.Next, err = paging.Cut(found, limit, func(i Item) []any { return []any{i.Status.TaskID} })
	return page, err
}

// Cells passes tasks of groups to each, as grids show them; see cells.Read.
func (q *Queue) Cells(ctx context.Context, look cells.Look, each func(*cells.Cell)) error {
	return cells.Read(ctx, q.deps.Pool, look, each)
}

// Needs returns what the tasks of a group need, sorted by id: one narrow read.
func (q *Queue) Needs(ctx context.Context, group string) ([]cells.Need, error) {
	return cells.Needs(ctx, q.deps.Pool, group)
}

// Timing returns when the tasks of a group did what, and what else went on in their task queues; see timing.Read. A group that
// does not exist has no tasks.
func (q *Queue) Timing(ctx context.Context, group string) (*timing.Group, error) {
	return timing.Read(ctx, q.deps.Pool, group)
}

// Counts says how many tasks are in each state.
type Counts = counts.Counts

// GroupSummary is a task group with its tasks counted.
type GroupSummary struct {
	Group
	Created task.Time `json:"created"`
	Counts  Counts    `json:"counts"`
}

// GroupsPage is a page of task groups.
type GroupsPage struct {
	Groups []GroupSummary `json:"groups"`
	Next   string         `json:"continuationToken,omitempty"`
}

// Groups lists the task groups, the newest first; it pages like ListGroup.
func (q *Queue) Groups(ctx context.Context, limit int, token string) (GroupsPage, error) {
	before, id := int64(1)<<53, "~" // after every id and instant
	if token != "" {
		if err := paging.Read(token, &before, &id); err != nil {
			return GroupsPage{}, err
		}
		before = min(max(before, 0), 1<<53) // a forged one: an instant that the database has
	}
	limit = paging.Size(limit)
	rows, err := q.deps.Pool.Query(ctx, groupsSQL.Text, before, id, limit+1)
	if err != nil {
		return GroupsPage{}, fmt.Errorf("queue: %s: %w", groupsSQL.Name, pg.Classify(err))
	}
	type stamped struct {
		Group
		micros int64
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s stamped, err error) {
		var (
			created, expires time.Time
			sealed           *time.Time
		)
		err = row.Scan(&s.TaskGroupID, &s.SchedulerID, &created, &expires, &sealed, &s.micros)
		s.Created, s.Expires, s.Sealed = task.At(created), task.At(expires), instant(sealed)
		return s, err
	})
	if err != nil {
		return GroupsPage{}, fmt.Errorf("queue: %s: %w", groupsSQL.Name, pg.Classify(err))
	}
	list, next, err := paging.Cut(list, limit, func(s stamped) []any { return []any{s.micros, s.TaskGroupID} })
	if err != nil {
		return GroupsPage{}, err
	}
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.TaskGroupID
	}
	counted, err := q.GroupCounts(ctx, ids)
	if err != nil {
		return GroupsPage{}, err
	}
	page := GroupsPage{Groups: make([]GroupSummary, len(list)), Next: next}
	for i, s := range list {
		page.Groups[i] = GroupSummary{s.Group, s.Created, counted[s.TaskGroupID]}
	}
	return page, nil
}

// GroupCounts counts the tasks of each group by state; see counts.OfGroups.
func (q *Queue) GroupCounts(ctx context.Context, ids []string) (map[string]Counts, error) {
	return counts.OfGroups(ctx, q.deps.Pool, ids)
}

// PendingCounts counts a task queue's pending and claimed tasks; see counts.OfQueue.
func (q *Queue) PendingCounts(ctx context.Context, taskQueueID string) (counts.Load, error) {
	return counts.OfQueue(ctx, q.deps.Pool, taskQueueID)
}

// notExpired is the condition on a row of tasks that somebody may see it; see expired.
const notExpired = `(expires > now() OR state IN ('unscheduled', 'pending', 'running'))`

var (
	listGroupSQL = pg.Statement{Name: "queue.list-group", Text: `
SELECT ` + recordColumns + `, ` + definitionColumns + `
FROM (SELECT * FROM tasks WHERE task_group_id = $1 AND task_id > $2 AND ` + notExpired + ` ORDER BY task_id LIMIT $3) t ` + recordTables + `
ORDER BY t.task_id, r.run_id`}

	dependentsSQL = pg.Statement{Name: "queue.dependents", Text: `
SELECT ` + recordColumns + `, ` + definitionColumns + `
FROM (
    SELECT w.* FROM dependencies e JOIN tasks w USING (task_id)
    WHERE e.required_id = $1 AND e.task_id > $2 AND ` + notExpired + ` ORDER BY e.task_id LIMIT $3) t ` + recordTables + `
ORDER BY t.task_id, r.run_id`}

	groupsSQL = pg.Statement{Name: "queue.groups", Text: `
SELECT ` + groupColumns + `, (extract(epoch FROM created) * 1000000)::bigint
FROM task_groups
WHERE (created, task_group_id) < ('epoch'::timestamptz + $1::bigint * interval '1 microsecond', $2)
ORDER BY created DESC, task_group_id DESC LIMIT $3`}
)
