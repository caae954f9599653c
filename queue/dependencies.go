package queue

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

// needs looks at the dependencies of the new tasks. Those outside of the batch must exist and must
// not expire before the task's deadline. The locks taken here make sure that each of them is either
// seen as resolved, or its resolution will see the new task (see the package comment).
func (b *creation) needs(ctx context.Context, c *change, fresh []NewTask) (map[string]draft.Need, error) {
	inside := make(map[string]bool, len(fresh))
	for _, t := range fresh {
		inside[t.ID] = true
	}
	outside := map[string]bool{}
	for _, t := range fresh {
		for _, id := range t.Definition.Dependencies {
			if !inside[id] {
				outside[id] = true
			}
		}
	}
	there, err := c.share(ctx, outside)
	if err != nil {
		return nil, err
	}
	out := make(map[string]draft.Need, len(fresh))
	for _, t := range fresh {
		n, err := draft.Judge(t, inside, func(id string) *task.Status {
			if r := there[id]; r != nil {
				return &r.Status
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		out[t.ID] = n
	}
	return out, nil
}

// share locks the tasks against being resolved, or made anew, and returns those that exist.
func (c *change) share(ctx context.Context, set map[string]bool) (map[string]*record, error) {
	if len(set) == 0 {
		return nil, nil
	}
	ids := make([]string, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	records, err := c.lockedRecords(ctx, shareDeadlinesSQL, ids)
	if err != nil {
		return nil, err
	}
	// A task that ended badly has no deadline row to lock; a rerun could make it good.
	var bad []string
	for _, r := range records {
		if r.State == task.Failed || r.State == task.Exception {
			bad = append(bad, r.TaskID)
		}
	}
	there := map[string]*record{}
	for _, r := range records {
		there[r.TaskID] = r
	}
	if len(bad) == 0 {
		return there, nil
	}
	again, err := c.lockedRecords(ctx, shareTasksSQL, bad)
	if err != nil {
		return nil, err
	}
	for _, r := range again {
		if !r.State.Resolved() {
			// It was rerun between the two looks: lock it as an unresolved one.
			return c.share(ctx, set)
		}
		there[r.TaskID] = r
	}
	return there, nil
}

// lockedRecords runs a locking statement on ids and then looks at the tasks, in one round trip.
func (c *change) lockedRecords(ctx context.Context, lock pg.Statement, ids []string) ([]*record, error) {
	var (
		batch   pgx.Batch
		records []*record
	)
	batch.Queue(lock.Text, ids)
	batch.Queue(recordsSQL.Text, ids).Query(func(rows pgx.Rows) (err error) {
		records, err = scanRecords(recordsSQL, rows)
		return err
	})
	if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("queue: %s: %w", lock.Name, err)
	}
	return records, nil
}

var (
	shareDeadlinesSQL = pg.Statement{Name: "queue.share-deadlines", Text: `
SELECT task_id FROM deadlines WHERE task_id = ANY($1) ORDER BY task_id FOR KEY SHARE`}

	shareTasksSQL = pg.Statement{Name: "queue.share-tasks", Text: `
SELECT task_id FROM tasks WHERE task_id = ANY($1) ORDER BY task_id FOR SHARE`}
)
