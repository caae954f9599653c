package soaktest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// reader follows the feed, now on one replica and now on the other, as a consumer does that loses its
// connection: it goes on after the last position that it saw.
type reader struct {
	feeds  []*event.Feed
	last   int64
	events []event.Event // without what they carry
	gaps   []string
}

func newReader(feeds ...*event.Feed) *reader { return &reader{feeds: feeds} }

func (f *reader) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		n, err := f.read(ctx, f.feeds[i%len(f.feeds)])
		if err != nil || n == 0 {
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func (f *reader) read(ctx context.Context, feed *event.Feed) (int, error) {
	events, err := feed.Read(ctx, f.last, 1000)
	if err != nil {
		return 0, err
	}
	for _, e := range events {
		if e.Position != f.last+1 {
			f.gaps = append(f.gaps, fmt.Sprintf("after position %d comes %d", f.last, e.Position))
		}
		f.last = e.Position
		e.Payload = nil
		f.events = append(f.events, e)
	}
	return len(events), nil
}

// finish reads up to an event that is certainly the last: it is that of a task created now.
func (f *reader) finish(ctx context.Context, r *round) error {
	now := time.Now()
	c := &client{round: r}
	c.r = r.clients[len(r.clients)-1].r
	d := c.define(slug.New())
	d.Created, d.Deadline = task.At(now), task.At(now.Add(time.Hour))
	end := slug.New()
	d.Dependencies = []string{end}
	if _, err := newQueue(r.clean).CreateBatch(ctx, []queue.NewTask{{ID: end, Definition: d}}); err != nil {
		return err
	}
	r.evidence.Last = end
	return r.until(ctx, "the feed shows its last event", func() (bool, error) {
		for {
			n, err := f.read(ctx, f.feeds[0])
			if err != nil {
				return false, err
			}
			if k := len(f.events); k > 0 && f.events[k-1].TaskID == end {
				return true, nil
			}
			if n == 0 {
				return false, nil
			}
		}
	})
}

// idsOf returns the ids of the tasks in a state, "" for all.
func idsOf(ctx context.Context, pool *pgxpool.Pool, state task.State) ([]string, error) {
	rows, err := pool.Query(ctx, idsSQL.Text, state)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

var idsSQL = pg.Statement{Name: "soak.ids", Text: `SELECT task_id FROM tasks WHERE $1 = '' OR state = $1 ORDER BY task_id`}
