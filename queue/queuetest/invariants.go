package queuetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// violations has, for each invariant of the queue's tables, a query that yields the offenders. Each is
// one statement, so each sees one committed snapshot, whatever goes on meanwhile.
var violations = []struct{ invariant, sql string }{
	{"a task's state is that of its last run, or unscheduled",
		`SELECT t.task_id || ' is ' || t.state FROM tasks t
		 LEFT JOIN LATERAL (SELECT state FROM runs r WHERE r.task_id = t.task_id ORDER BY run_id DESC LIMIT 1) l ON true
		 WHERE t.state <> coalesce(l.state, 'unscheduled')`},
	{"a task is pending exactly while it has a pending row, for its last run",
		`SELECT coalesce(t.task_id, p.task_id) || ' is ' || coalesce(t.state, 'gone') FROM tasks t FULL JOIN pending p USING (task_id)
		 WHERE (t.state = 'pending') IS DISTINCT FROM (p.task_id IS NOT NULL)
		    OR p.run_id <> (SELECT max(run_id) FROM runs r WHERE r.task_id = t.task_id)
		    OR p.priority <> t.priority OR p.task_queue_id <> t.task_queue_id`},
	{"a task is running exactly while it has a claims row, for its last run and worker",
		`SELECT coalesce(t.task_id, c.task_id) || ' is ' || coalesce(t.state, 'gone') FROM tasks t FULL JOIN claims c USING (task_id)
		 LEFT JOIN runs r ON r.task_id = c.task_id AND r.run_id = c.run_id
		 WHERE (t.state = 'running') IS DISTINCT FROM (c.task_id IS NOT NULL)
		    OR c.task_id IS NOT NULL AND (r.state, r.worker_group, r.worker_id, r.taken_until) IS DISTINCT FROM ('running', c.worker_group, c.worker_id, c.taken_until)`},
	{"a task has a deadlines row exactly while it is not resolved",
		`SELECT coalesce(t.task_id, d.task_id) || ' is ' || coalesce(t.state, 'gone') FROM tasks t FULL JOIN deadlines d USING (task_id)
		 WHERE (t.state IN ('unscheduled', 'pending', 'running')) IS DISTINCT FROM (d.task_id IS NOT NULL)`},
	{"only the last run may be pending or running",
		`SELECT r.task_id || '/' || r.run_id FROM runs r
		 WHERE r.state IN ('pending', 'running') AND r.run_id < (SELECT max(run_id) FROM runs s WHERE s.task_id = r.task_id)`},
	{"runs are numbered from 0 without gaps, and are at most 50",
		`SELECT task_id FROM runs GROUP BY task_id HAVING min(run_id) <> 0 OR max(run_id) <> count(*) - 1 OR count(*) > 50`},
	{"a run has the columns of its state",
		`SELECT task_id || '/' || run_id FROM runs
		 WHERE (resolved IS NOT NULL) <> (state IN ('completed', 'failed', 'exception'))
		    OR (reason_resolved IS NOT NULL) <> (state IN ('completed', 'failed', 'exception'))
		    OR state = 'running' AND (started IS NULL OR taken_until IS NULL OR worker_id IS NULL)
		    OR state = 'pending' AND (started IS NOT NULL OR worker_id IS NOT NULL)
		    OR resolved < started OR started < scheduled`},
	{"a task that waits for nothing is not unscheduled",
		`SELECT t.task_id FROM tasks t WHERE t.state = 'unscheduled'
		   AND NOT EXISTS (SELECT FROM dependencies d WHERE d.task_id = t.task_id AND NOT d.satisfied)`},
	{"a dependency is satisfied when what it waits for has happened",
		`SELECT d.task_id || ' waits for ' || d.required_id FROM dependencies d JOIN tasks t ON t.task_id = d.required_id
		 WHERE NOT d.satisfied AND (t.state = 'completed' OR d.requires = 'all-resolved' AND t.state IN ('failed', 'exception'))`},
	{"a resolved task was resolved once",
		`SELECT task_id FROM tasks WHERE state IN ('completed', 'failed', 'exception') AND NOT ever_resolved`},
	{"a task has a definition and a group",
		`SELECT t.task_id FROM tasks t LEFT JOIN definitions d USING (task_id) LEFT JOIN task_groups g USING (task_group_id)
		 WHERE d.task_id IS NULL OR g.task_group_id IS NULL OR g.scheduler_id <> t.scheduler_id OR g.expires < t.expires + interval '1 hour'`},
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Violations returns a line for every invariant that the state which db shows violates. In a
// transaction that is repeatable read all of them are asked of one and the same snapshot.
func Violations(ctx context.Context, db Querier) ([]string, error) {
	var found []string
	for _, v := range violations {
		rows, err := db.Query(ctx, v.sql)
		if err != nil {
			return nil, err
		}
		offenders, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, err
		}
		if len(offenders) > 0 {
			found = append(found, fmt.Sprintf("violated: %s: %d offenders, the first is %s", v.invariant, len(offenders), offenders[0]))
		}
	}
	return found, nil
}

// Check fails the test for every invariant that the committed state violates. It can run while
// others work.
func (e *Env) Check(t testing.TB) {
	t.Helper()
	found, err := Violations(t.Context(), e.Pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range found {
		t.Error(text)
	}
}
