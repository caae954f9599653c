package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// lookTurns adds to a batch the look at what this process must know of the lines before it gives
// turns in them; it reports whether there is anything to look at. It measures its own pace by this
// process's clock, which decides nothing else.
func (c *change) lookTurns(batch *pgx.Batch, shares []line.Share) bool {
	now := time.Now()
	unknown := c.q.turns.Unknown(now, shares)
	if len(unknown) > 0 {
		c.q.turns.Look(batch, now, unknown, &c.q.marks)
	}
	return len(unknown) > 0
}

// deal gives turns to tasks whose lines were looked at in this transaction, or lately.
func (c *change) deal(wants []line.Want) []int64 {
	turns, hand := c.q.turns.Deal(time.Now(), wants)
	c.hands = append(c.hands, hand)
	return turns
}

// turns looks at the lines that the records enter and gives each its turn there. What lost its worker
// goes to the front; everything else goes behind what its group has waiting.
func (c *change) turns(ctx context.Context, records []*record) ([]int64, error) {
	if len(records) == 0 {
		return nil, nil
	}
	wants, shares := make([]line.Want, len(records)), make([]line.Share, len(records))
	for i, r := range records {
		lost := r.stored == task.Running && r.LastRun().ReasonCreated == task.CreatedRetry
		wants[i] = line.Want{Share: r.share(), Front: lost}
		shares[i] = wants[i].Share
	}
	var batch pgx.Batch
	if c.lookTurns(&batch, shares) {
		if err := c.tx.SendBatch(ctx, &batch).Close(); err != nil {
			return nil, fmt.Errorf("queue: %s: %w", line.LookSQL.Name, err)
		}
	}
	return c.deal(wants), nil
}

func (r *record) share() line.Share {
	return line.Share{Line: line.Line{Queue: r.TaskQueueID, Priority: r.Priority.Rank()}, Group: r.TaskGroupID}
}

func shareOf(d *task.Definition) line.Share {
	return line.Share{Line: line.Line{Queue: d.TaskQueueID, Priority: d.Priority.Rank()}, Group: d.TaskGroupID}
}

// settle tells the hands of a transaction how it ended.
func (c *change) settle(kept bool) {
	if c == nil {
		return
	}
	for _, h := range c.hands {
		h.Done(kept)
	}
	c.hands = nil
}
