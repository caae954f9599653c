package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	return q.rest(ctx)
}

// restPatience is how long the server is given to come to rest.
const restPatience = 5 * time.Minute

// rest waits until the server of our own has done what the old tasks left to do: a million tasks made within
// two minutes keep PostgreSQL's vacuum and the consumers of events busy for a while, which is no matter
// of how many tasks are old.
func (q *queueRun) rest(ctx context.Context) error {
	if q.probe == nil {
		return nil
	}
	began := time.Now()
	for before, quiet := q.probe(), 0; quiet < 3 && time.Since(began) < restPatience; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
		now := q.probe()
		if now.processor-before.processor < time.Second/10 {
			quiet++
		} else {
			quiet = 0
		}
		before = now
	}
	q.report.note("the server came to rest %.0f s after the last of the old tasks", time.Since(began).Seconds())
	return nil
}
