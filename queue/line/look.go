package line

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Look adds to a batch the look at the database that Deal needs for the shares, and learns from its
// answer. Lines are looked at from their marks on; without one, from the front on, and now and then
// from their beginning.
func (t *Turns) Look(batch *pgx.Batch, now time.Time, shares []Share, marks *Marks) {
	var (
		queues, groups = make([]string, len(shares)), make([]string, len(shares))
		ranks, lows    = make([]int, len(shares)), make([]int64, len(shares))
		low            = map[Line]int64{}
	)
	for i, s := range shares {
		if _, ok := low[s.Line]; !ok {
			low[s.Line] = t.floor(now, s.Line, marks.Low(s.Line))
		}
		queues[i], ranks[i], groups[i], lows[i] = s.Queue, s.Priority, s.Group, low[s.Line]
	}
	batch.Queue(LookSQL.Text, queues, ranks, groups, lows, Unit).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f Found, err error) {
			return f, row.Scan(&f.Queue, &f.Priority, &f.Group, &f.Head, &f.Last, &f.Weight)
		})
		if err == nil {
			t.Learn(now, found)
		}
		return err
	})
}

// floor is where a look at the line begins.
func (t *Turns) floor(now time.Time, l Line, mark int64) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mark > 0 {
		return max(mark, FirstTurn)
	}
	f := t.front(l)
	if !f.low.IsZero() || now.Sub(f.whole) >= wholeAge {
		f.whole = now
		return FirstTurn
	}
	return f.turn
}

// LookSQL finds the head of each line, and of each group its weight and the last turn it has had there.
// A group's turns are only of interest from the line's mark on: it joins at the front otherwise.
//
// Processes that do not see each other's latest turns give some of them twice. So the last turn is
// no lower than it would be had they been given one after the other: the latest 500 are counted.
var LookSQL = pg.Statement{Name: "queue.look", Text: `
WITH asked AS MATERIALIZED (
    SELECT u.*, coalesce(g.weight, 1) AS weight
    FROM unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[]) AS u (task_queue_id, priority, task_group_id, low)
    LEFT JOIN task_groups g ON g.task_group_id = u.task_group_id
), heads AS MATERIALIZED (
    SELECT l.task_queue_id, l.priority, (
        SELECT p.seq FROM pending p
        WHERE p.task_queue_id = l.task_queue_id AND p.priority = l.priority AND p.seq >= l.low
        ORDER BY p.seq LIMIT 1) AS seq
    FROM (SELECT DISTINCT task_queue_id, priority, low FROM asked) AS l
)
SELECT a.task_queue_id, a.priority, a.task_group_id, coalesce(h.seq, 0), coalesce((
        SELECT greatest(max(latest.seq), min(latest.seq) + (count(*) - 1) * ($5::int / a.weight)) FROM (
            SELECT p.seq FROM pending p
            WHERE p.task_group_id = a.task_group_id AND p.task_queue_id = a.task_queue_id AND p.priority = a.priority AND p.seq >= a.low
            ORDER BY p.seq DESC LIMIT 500) AS latest), 0), a.weight
FROM asked a
LEFT JOIN heads h ON h.task_queue_id = a.task_queue_id AND h.priority = a.priority`}
