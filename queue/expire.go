package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/removal"
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
			records, err := c.lockBy(ctx, lockFreeSQL, ids, nil)
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

// RemoveExpired deletes tasks, groups and artifacts that have expired, with the objects of the latter,
// and forgets workers not seen for a day and task queues not used for five. It does so in small transactions, and returns how many rows
// of tasks, groups, artifacts, workers and task queues that were. Any number of servers may do it at once.
func (q *Queue) RemoveExpired(ctx context.Context) (int64, error) {
	var objects func(ctx context.Context, name string) error
	if q.deps.Uploads != nil {
		objects = q.deps.Uploads.Delete
	}
	n, err := removal.Expired(ctx, q.deps.Pool, objects)
	if err != nil {
		return n, err
	}
	workers, err := q.roster.Remove(ctx, removal.Batch)
	return n + workers, err
}

var (
	expiredClaimsSQL = pg.Statement{Name: "queue.expired-claims", Text: `
SELECT c.task_id FROM claims c JOIN tasks t USING (task_id)
WHERE c.taken_until <= now() AND t.deadline > now() ORDER BY c.taken_until LIMIT $1`}

	passedDeadlinesSQL = pg.Statement{Name: "queue.passed-deadlines", Text: `
SELECT task_id FROM deadlines WHERE deadline <= now() ORDER BY deadline LIMIT $1`}

	lockFreeSQL = pg.Statement{Name: "queue.lock-free", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR NO KEY UPDATE SKIP LOCKED`}
)
