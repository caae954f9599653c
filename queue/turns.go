package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/line"
	"github.com/treeline-ci/treeline/task"
)

// lookTurns adds to a batch the look at what this process must know of the lines before it gives
// turns in them; it reports whether there is anything to look at. It measures its own pace by this
// process's clock, which decides nothing else.
func (c *change) lookTurns(batch *pgx.Batch, shares []line.Share) bool {
	now := time.Now()
	unknown := c.q.turns.Unknown(now, shares)
	if len(unknown) == 0 {
		return false
	}
	var (
		queues, groups = make([]string, len(unknown)), make([]string, len(unknown))
		ranks, lows    = make([]int, len(unknown)), make([]int64, len(unknown))
		marks          = map[line.Line]int64{}
	)
	for i, s := range unknown {
		low, ok := marks[s.Line]
		if !ok {
			low = max(c.q.marks.Low(s.Line), line.FirstTurn)
			marks[s.Line] = low
		}
		queues[i], ranks[i], groups[i], lows[i] = s.Queue, s.Priority, s.Group, low
	}
	batch.Queue(turnsSQL.Text, queues, ranks, groups, lows).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f line.Found, err error) {
			return f, row.Scan(&f.Queue, &f.Priority, &f.Group, &f.Head, &f.Last, &f.Weight)
		})
		if err != nil {
			return err
		}
		c.q.turns.Learn(now, found)
		return nil
	})
	return true
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
			return nil, fmt.Errorf("queue: %s: %w", turnsSQL.Name, err)
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

// A group's last turn is only of interest from the line's mark on: it joins at the front otherwise.
var turnsSQL = pg.Statement{Name: "queue.turns", Text: `
WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS u (task_queue_id, priority, task_group_id, low)
), heads AS MATERIALIZED (
    SELECT l.task_queue_id, l.priority, (
        SELECT p.seq FROM pending p
        WHERE p.task_queue_id = l.task_queue_id AND p.priority = l.priority AND p.seq >= l.low
        ORDER BY p.seq LIMIT 1) AS seq
    FROM (SELECT DISTINCT task_queue_id, priority, low FROM asked) AS l
)
SELECT a.task_queue_id, a.priority, a.task_group_id, coalesce(h.seq, 0), coalesce((
        SELECT p.seq FROM pending p
        WHERE p.task_group_id = a.task_group_id AND p.task_queue_id = a.task_queue_id AND p.priority = a.priority AND p.seq >= a.low
        ORDER BY p.seq DESC LIMIT 1), 0), coalesce(g.weight, 1)
FROM asked a
LEFT JOIN heads h ON h.task_queue_id = a.task_queue_id AND h.priority = a.priority
LEFT JOIN task_groups g ON g.task_group_id = a.task_group_id`}
