package line_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/queue/line"
)

// lows returns from where a look would see the lines of the shares.
func lows(turns *line.Turns, marks *line.Marks, now time.Time, shares ...line.Share) []int64 {
	var batch pgx.Batch
	turns.Look(&batch, now, shares, marks)
	return batch.QueuedQueries[0].Arguments[3].([]int64)
}

func TestLooksBeginWhereTheLineDoes(t *testing.T) {
	var (
		turns line.Turns
		marks line.Marks
		now   = time.Unix(1000, 0)
		at    = line.FirstTurn + 50*line.Unit
		next  = func() time.Time { now = now.Add(line.TurnAge); return now }
		found = func(head int64) { turns.Learn(now, []line.Found{{Share: in("a"), Head: head, Weight: 1}}) }
		want  = func(what string, low int64) {
			t.Helper()
			if diff := cmp.Diff([]int64{low, low}, lows(&turns, &marks, next(), in("a"), in("b"))); diff != "" {
				t.Errorf("%s: %s", what, diff)
			}
		}
	)
	want("nothing is known", line.FirstTurn)
	found(at)
	want("the front is known", at)
	found(at)
	now = now.Add(10 * time.Second)
	want("not for long", line.FirstTurn)
	found(at - 10*line.Unit)
	for range 3 {
		want("while the head seems to be before the front", line.FirstTurn)
		found(at - 10*line.Unit)
	}
	want("the front came down", at-10*line.Unit)
	marks.Stale("q", now, line.MarkAge)
	marks.Set("q", []line.Place{{Priority: 1, Seq: at + 7}}, 0)
	want("claims of this process know better", at+7)
	marks.Set("q", []line.Place{{Priority: 1, Seq: 7}}, 0)
	want("rows of an older program are no turns", line.FirstTurn)
}
