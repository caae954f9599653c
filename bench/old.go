package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/internal/slug"
)

// oldGroup is how many tasks a group of old ones has.
const oldGroup = 10_000

// age makes Old tasks, in groups, and cancels them: from then on they are history, which must not be in
// the way of new work.
func (q *queueRun) age(ctx context.Context) error {
	if !q.Batches {
		return errors.New("bench: old tasks are made in batches, which this server does not take")
	}
	q.taskQueue = q.base + "-old"
	for made := 0; made < q.Old; {
		n, group := min(q.Old-made, oldGroup), slug.Nice()
		if err := q.batches(ctx, group, n); err != nil {
			return err
		}
		if _, err := q.client.SealGroup(ctx, group); err != nil {
			return fmt.Errorf("bench: seal old tasks: %w", err)
		}
		if _, err := q.client.CancelGroup(ctx, group); err != nil {
			return fmt.Errorf("bench: resolve old tasks: %w", err)
		}
		if made += n; made%(10*oldGroup) == 0 || made == q.Old {
			q.Log("%d old tasks", made)
		}
	}
	return nil
}
