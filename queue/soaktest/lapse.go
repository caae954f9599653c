package soaktest

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Time is let pass by moving stored instants into the past, by the database's clock, in milliseconds, as
// the queue itself writes them. Each of these takes locks in the queue's own order: tasks first.

// lapse runs one of the statements below on tasks.
func lapse(ctx context.Context, pool *pgxpool.Pool, s pg.Statement, ids []string) error {
	return pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTasksSQL.Text, ids); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.Text, ids)
		return err
	})
}

var (
	lockTasksSQL = pg.Statement{Name: "soak.lock-tasks", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR NO KEY UPDATE`}

	claimsEndSQL = pg.Statement{Name: "soak.claims-end", Text: `
WITH r AS (
    UPDATE runs SET taken_until = date_trunc('milliseconds', now()) - interval '1 second' WHERE task_id = ANY($1) AND state = 'running'
    RETURNING task_id, taken_until)
UPDATE claims c SET taken_until = r.taken_until FROM r WHERE c.task_id = r.task_id`}

	deadlinesPassSQL = pg.Statement{Name: "soak.deadlines-pass", Text: `
WITH t AS (
    UPDATE tasks SET deadline = date_trunc('milliseconds', now()) - interval '1 second' WHERE task_id = ANY($1) AND state IN ('unscheduled', 'pending', 'running')
    RETURNING task_id, deadline)
UPDATE deadlines d SET deadline = t.deadline FROM t WHERE d.task_id = t.task_id`}

	tasksExpireSQL = pg.Statement{Name: "soak.tasks-expire", Text: `
WITH t AS (
    UPDATE tasks SET expires = date_trunc('milliseconds', now()) - interval '1 second' WHERE task_id = ANY($1) AND state IN ('completed', 'failed', 'exception')
    RETURNING task_id)
UPDATE artifacts a SET expires = now() - interval '1 hour' FROM t WHERE a.task_id = t.task_id`}
)
