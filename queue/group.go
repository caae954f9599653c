package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Group is a task group. Its first task fixes the scheduler; it expires after its last task.
type Group struct {
	TaskGroupID string     `json:"taskGroupId"`
	SchedulerID string     `json:"schedulerId"`
	Created     task.Time  `json:"-"`
	Expires     task.Time  `json:"expires"`
	Sealed      *task.Time `json:"sealed,omitempty"`
}

func noGroup(id string) error {
	return fault.New(fault.NotFound, "Task group %s does not exist. Is the id right? Groups vanish some time after their last task.", id)
}

// Group returns a task group.
func (q *Queue) Group(ctx context.Context, id string) (Group, error) {
	return readGroup(ctx, q.deps.Pool, groupSQL, id)
}

func readGroup(ctx context.Context, db querier, s pg.Statement, id string) (Group, error) {
	rows, err := db.Query(ctx, s.Text, id)
	if err != nil {
		return Group{}, fmt.Errorf("queue: group %s: %w", id, pg.Classify(err))
	}
	g, err := pgx.CollectExactlyOneRow(rows, scanGroup)
	if errors.Is(err, pgx.ErrNoRows) {
		return Group{}, noGroup(id)
	}
	if err != nil {
		return Group{}, fmt.Errorf("queue: group %s: %w", id, pg.Classify(err))
	}
	return g, nil
}

func scanGroup(row pgx.CollectableRow) (Group, error) {
	var (
		g                Group
		created, expires time.Time
		sealed           *time.Time
	)
	err := row.Scan(&g.TaskGroupID, &g.SchedulerID, &created, &expires, &sealed)
	g.Created, g.Expires, g.Sealed = task.At(created), task.At(expires), instant(sealed)
	return g, err
}

// SealGroup closes a group to new tasks, for good; reruns and retries go on. A group that is sealed
// already keeps its time, and the event is told again (taskcluster-map 5.5).
func (q *Queue) SealGroup(ctx context.Context, id string) (Group, error) {
	var g Group
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		var err error
		// The lock waits for creators that have seen the group open.
		if _, err = readGroup(ctx, c.tx, lockGroupSQL, id); err != nil {
			return err
		}
		if g, err = readGroup(ctx, c.tx, sealGroupSQL, id); err != nil {
			return err
		}
		c.addGroup(kindSealed, g)
		return nil
	})
	return g, err
}

// Canceled is the outcome of CancelGroup.
type Canceled struct {
	TaskGroupID    string   `json:"taskGroupId"`
	TaskGroupSize  int      `json:"taskGroupSize"`
	CancelledCount int      `json:"cancelledCount"`
	TaskIDs        []string `json:"taskIds"` // those canceled by this call
}

// cancelBatch is how many tasks CancelGroup cancels in one transaction.
const cancelBatch = 500

// CancelGroup cancels every unresolved task of a sealed group whose deadline has not passed.
func (q *Queue) CancelGroup(ctx context.Context, id string) (Canceled, error) {
	g, err := q.Group(ctx, id)
	if err != nil {
		return Canceled{}, err
	}
	if g.Sealed == nil {
		return Canceled{}, fault.New(fault.Conflict, "Task group %s is not sealed: seal it before canceling it.", id)
	}
	out := Canceled{TaskGroupID: id, TaskIDs: []string{}}
	for after := ""; ; {
		var batch []string
		rows, err := q.deps.Pool.Query(ctx, openTasksSQL.Text, id, after, cancelBatch)
		if err == nil {
			batch, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return Canceled{}, fmt.Errorf("queue: cancel group %s: %w", id, pg.Classify(err))
		}
		if len(batch) == 0 {
			break
		}
		after = batch[len(batch)-1]
		canceled, err := q.cancelTasks(ctx, batch)
		if err != nil {
			return Canceled{}, fmt.Errorf("queue: cancel group %s: %w", id, err)
		}
		out.TaskIDs = append(out.TaskIDs, canceled...)
	}
	out.CancelledCount = len(out.TaskIDs)
	if err := q.deps.Pool.QueryRow(ctx, groupSizeSQL.Text, id).Scan(&out.TaskGroupSize); err != nil {
		return Canceled{}, fmt.Errorf("queue: size of group %s: %w", id, pg.Classify(err))
	}
	return out, nil
}

func (q *Queue) cancelTasks(ctx context.Context, ids []string) (canceled []string, err error) {
	err = q.change(ctx, func(ctx context.Context, c *change) error {
		records, err := c.lockToResolve(ctx, ids, nil)
		if err != nil {
			return err
		}
		var changed []*record
		canceled = nil
		for _, r := range records {
			if !r.State.Resolved() && r.Deadline.After(r.now) {
				r.end(task.ReasonCanceled)
				changed, canceled = append(changed, r), append(canceled, r.TaskID)
			}
		}
		return c.save(ctx, changed)
	})
	return canceled, err
}

// checkGroups adds to the batch that resolves tasks what tells task-group-resolved of each group of which
// every task has now been resolved once. It is told again at each later resolution, and a rerun does
// not take it back (taskcluster-map 5.6).
//
// Two transactions may resolve the last two tasks at the same time, neither seeing the other. An
// unresolved task whose row can be locked is a witness: who resolves it later waits for this
// transaction, and will look again. Without a witness, the group's lock makes the last of the
// resolvers look when the others are done.
func (c *change) checkGroups(batch *pgx.Batch, resolved []*record) {
	ids := make([]string, len(resolved))
	for i, r := range resolved {
		ids[i] = r.TaskGroupID
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	near, from := c.q.witnesses.Get(ids)
	batch.Queue(witnessSQL.Text, ids, from, near).Query(func(rows pgx.Rows) error {
		var group, witness string
		_, err := pgx.ForEachRow(rows, []any{&group, &witness, nil, nil}, func() error {
			c.q.witnesses.Note(group, witness)
			return nil
		})
		return err
	})
	batch.Queue(resolvedGroupsSQL.Text, ids, near).Query(func(rows pgx.Rows) error {
		groups, err := pgx.CollectRows(rows, scanGroup)
		c.whole = append(c.whole, groups...)
		return err
	})
}

const groupColumns = `task_group_id, scheduler_id, created, expires, sealed`

var (
	groupSQL = pg.Statement{Name: "queue.group", Text: `SELECT ` + groupColumns + ` FROM task_groups WHERE task_group_id = $1`}

	lockGroupSQL = pg.Statement{Name: "queue.lock-group", Text: `
SELECT ` + groupColumns + ` FROM task_groups WHERE task_group_id = $1 FOR UPDATE`}

	sealGroupSQL = pg.Statement{Name: "queue.seal-group", Text: `
UPDATE task_groups SET sealed = coalesce(sealed, now()) WHERE task_group_id = $1 RETURNING ` + groupColumns}

	openTasksSQL = pg.Statement{Name: "queue.open-tasks", Text: `
SELECT task_id FROM tasks
WHERE task_group_id = $1 AND task_id > $2 AND state IN ('unscheduled', 'pending', 'running') AND deadline > now()
ORDER BY task_id LIMIT $3`}

	groupSizeSQL = pg.Statement{Name: "queue.group-size", Text: `SELECT count(*) FROM tasks WHERE task_group_id = $1`}

	// Witnesses first, then the locks of the groups without one. The first key tells these locks from
	// other rooms'. They are taken in the order of the list. The look begins with what is near at hand, then
	// where the last one ended. Which groups have a witness is told to the next statement.
	witnessSQL = pg.Statement{Name: "queue.witness", Text: `
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS a (id, low, near)
), near AS MATERIALIZED (
    SELECT a.id, w.task_id FROM asked a, LATERAL (
        SELECT t.task_id FROM tasks t WHERE t.task_group_id = a.id AND NOT t.ever_resolved AND t.task_id = ANY(string_to_array(a.near, ','))
        LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS w
), ahead AS MATERIALIZED (
    SELECT a.id, w.task_id FROM asked a, LATERAL (
        SELECT t.task_id FROM tasks t WHERE t.task_group_id = a.id AND NOT t.ever_resolved AND t.task_id >= a.low
        ORDER BY t.task_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS w
    WHERE a.id <> ALL(ARRAY(SELECT id FROM near))
), behind AS MATERIALIZED (
    SELECT a.id, w.task_id FROM asked a, LATERAL (
        SELECT t.task_id FROM tasks t WHERE t.task_group_id = a.id AND NOT t.ever_resolved AND t.task_id < a.low
        ORDER BY t.task_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED) AS w
    WHERE a.low <> '' AND a.id <> ALL(ARRAY(SELECT id FROM near UNION ALL SELECT id FROM ahead))
), witnessed AS MATERIALIZED (
    SELECT * FROM near UNION ALL SELECT * FROM ahead UNION ALL SELECT * FROM behind
)
SELECT a.id, coalesce(w.task_id, ''), CASE WHEN w.task_id IS NULL THEN pg_advisory_xact_lock(20486, hashtext(a.id))::text END,
    set_config('treeline.witnessed', array_to_string(ARRAY(SELECT id FROM witnessed), ','), true)
FROM asked a LEFT JOIN witnessed w ON w.id = a.id`}

	// A group with a witness is not resolved, as nobody resolves that task before this transaction ends. For
	// EXISTS the planner would sometimes read what is unresolved of all groups.
	resolvedGroupsSQL = pg.Statement{Name: "queue.resolved-groups", Text: `
SELECT ` + groupColumns + `
FROM unnest($1::text[], $2::text[]) AS a (id, near) JOIN task_groups g ON g.task_group_id = a.id
WHERE a.id <> ALL(string_to_array(coalesce(current_setting('treeline.witnessed', true), ''), ',')) AND coalesce(
    (SELECT t.task_id FROM tasks t WHERE t.task_group_id = a.id AND NOT t.ever_resolved AND t.task_id = ANY(string_to_array(a.near, ',')) LIMIT 1),
    (SELECT t.task_id FROM tasks t WHERE t.task_group_id = a.id AND NOT t.ever_resolved LIMIT 1)) IS NULL
ORDER BY task_group_id`}

	nowSQL = pg.Statement{Name: "queue.now", Text: `SELECT now()`}
)
