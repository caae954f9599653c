package queue

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/task"
)

// expireBatch is how many tasks the loops resolve in one transaction.
const expireBatch = 100

// ExpireClaims resolves every running run whose claim is over as claim-expired, which is retried while
// retries are left. Tasks past their deadline are left to EnforceDeadlines. It runs every second.
func (q *Queue) ExpireClaims(ctx context.Context) error {
	return q.sweep(ctx, expiredClaimsSQL, func(r *record) bool {
		run := r.LastRun()
		if r.State != task.Running || run.TakenUntil.After(r.now) || !r.Deadline.After(r.now) {
			return false
		}
		r.resolve(task.ReasonClaimExpired)
		return true
	})
}

// EnforceDeadlines resolves every unresolved task whose deadline has passed as deadline-exceeded. It
// runs every second.
func (q *Queue) EnforceDeadlines(ctx context.Context) error {
	return q.sweep(ctx, passedDeadlinesSQL, func(r *record) bool {
		if r.State.Resolved() || r.Deadline.After(r.now) {
			return false
		}
		r.end(task.ReasonDeadlineExceeded)
		return true
	})
}

// sweep finds candidates, batch by batch, and resolves those that act still finds due when they are
// locked. Candidates that somebody else has locked are left to that one, or to the next round.
func (q *Queue) sweep(ctx context.Context, candidates pg.Statement, act func(*record) bool) error {
	for {
		done := 0
		err := q.change(ctx, func(ctx context.Context, c *change) error {
			done = 0
			ids, err := c.ids(ctx, candidates, expireBatch)
			if err != nil || len(ids) == 0 {
				return err
			}
			records, err := c.lockBy(ctx, lockFreeSQL, ids)
			if err != nil {
				return err
			}
			var due []*record
			for _, r := range records {
				if act(r) {
					due = append(due, r)
				}
			}
			done = len(due)
			return c.save(ctx, due)
		})
		if err != nil {
			return fmt.Errorf("queue: %s: %w", candidates.Name, err)
		}
		if done == 0 {
			return nil
		}
		q.log.InfoContext(ctx, "resolved what was overdue", "found by", candidates.Name, "tasks", done)
	}
}

// removeBatch is how many rows RemoveExpired deletes in one transaction.
const removeBatch = 500

// RemoveExpired deletes tasks, groups and artifacts that have expired, with the objects of the latter,
// and forgets workers not seen for a day and task queues not used for five. It runs every five minutes.
func (q *Queue) RemoveExpired(ctx context.Context) error {
	if err := q.removeArtifacts(ctx); err != nil {
		return err
	}
	for _, s := range []pg.Statement{removeTasksSQL, removeGroupsSQL} {
		for {
			tag, err := q.deps.Pool.Exec(ctx, s.Text, removeBatch)
			if err != nil {
				return fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
			}
			if tag.RowsAffected() == 0 {
				break
			}
		}
	}
	return q.roster.Remove(ctx, removeBatch)
}

// removeArtifacts deletes the objects first: a row without its object is an error for readers, an
// object without a row would stay for ever.
func (q *Queue) removeArtifacts(ctx context.Context) error {
	for {
		removed := 0
		err := pg.Tx(ctx, q.deps.Pool, func(ctx context.Context, tx pgx.Tx) error {
			list, err := artifact.Expire(ctx, tx, removeBatch)
			if err != nil {
				return err
			}
			removed = len(list)
			for i := range list {
				if list[i].StorageType.Stored() && q.deps.Uploads != nil {
					if err := q.deps.Uploads.Delete(ctx, list[i].ObjectName()); err != nil {
						return err
					}
				}
			}
			return artifact.Remove(ctx, tx, list)
		})
		if err != nil {
			return fmt.Errorf("queue: remove expired artifacts: %w", err)
		}
		if removed == 0 {
			return nil
		}
	}
}

var (
	expiredClaimsSQL = pg.Statement{Name: "queue.expired-claims", Text: `
SELECT c.task_id FROM claims c JOIN tasks t USING (task_id)
WHERE c.taken_until <= now() AND t.deadline > now() ORDER BY c.taken_until LIMIT $1`}

	passedDeadlinesSQL = pg.Statement{Name: "queue.passed-deadlines", Text: `
SELECT task_id FROM deadlines WHERE deadline <= now() ORDER BY deadline LIMIT $1`}

	lockFreeSQL = pg.Statement{Name: "queue.lock-free", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED`}

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
