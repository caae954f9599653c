// Package removal deletes what has expired.
package removal

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/artifact"
)

// Batch is how many rows are removed in one transaction.
const Batch = 500

// Expired deletes tasks, groups and artifacts that have expired, and returns how many rows of these that
// were. Objects deletes the content of an artifact; without it contents are left alone.
func Expired(ctx context.Context, pool *pgxpool.Pool, objects func(ctx context.Context, name string) error) (int64, error) {
	total, err := artifacts(ctx, pool, objects)
	if err != nil {
		return total, err
	}
	for _, s := range Statements {
		n, err := pg.Prune(ctx, pool, s, Batch)
		if total += n; err != nil {
			return total, fmt.Errorf("queue: %w", err)
		}
	}
	return total, nil
}

// artifacts deletes the objects first: a row without its object is an error for readers, an object
// without a row would stay for ever.
func artifacts(ctx context.Context, pool *pgxpool.Pool, objects func(ctx context.Context, name string) error) (total int64, err error) {
	for {
		removed := 0
		err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			list, err := artifact.Expire(ctx, tx, Batch)
			if err != nil {
				return err
			}
			removed = len(list)
			for i := range list {
				if list[i].StorageType.Stored() && objects != nil {
					if err := objects(ctx, list[i].ObjectName()); err != nil {
						return err
					}
				}
			}
			return artifact.Remove(ctx, tx, list)
		})
		if err != nil {
			return total, fmt.Errorf("queue: remove expired artifacts: %w", err)
		}
		if removed == 0 {
			return total, nil
		}
		total += int64(removed)
	}
}

// Statements lists every statement of the package, in the order in which they are used.
var Statements = []pg.Statement{removeTasksSQL, removeGroupsSQL}

var (
	// A task with artifacts waits for their removal; artifacts do not outlive their task.
	removeTasksSQL = pg.Statement{Name: "queue.remove-tasks", Text: `
WITH old AS (
    SELECT task_id FROM tasks t
    WHERE expires < now() AND state IN ('completed', 'failed', 'exception')
      AND NOT EXISTS (SELECT FROM artifacts a WHERE a.task_id = t.task_id)
    ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
), no_definitions AS (DELETE FROM definitions d USING old WHERE d.task_id = old.task_id
), no_runs AS (DELETE FROM runs r USING old WHERE r.task_id = old.task_id
), no_dependencies AS (DELETE FROM dependencies d USING old WHERE d.task_id = old.task_id)
DELETE FROM tasks t USING old WHERE t.task_id = old.task_id`}

	removeGroupsSQL = pg.Statement{Name: "queue.remove-groups", Text: `
DELETE FROM task_groups WHERE task_group_id = ANY(ARRAY(
    SELECT task_group_id FROM task_groups g
    WHERE expires < now() AND NOT EXISTS (SELECT FROM tasks t WHERE t.task_group_id = g.task_group_id)
    LIMIT $1 FOR UPDATE SKIP LOCKED))`}
)
