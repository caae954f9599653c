package event

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	consumeBatch = 200
	consumePoll  = time.Second // when no live feed tells of news
	maxBackoff   = 30 * time.Second
)

// Consume hands the feed, from the oldest event kept on, to a consumer with a stored offset, until
// ctx ends; its error is ctx's. handle gets events in order and does its work in tx, in which the
// offset moves too: what it does in the database happens exactly once, what it does outside at least
// once. When handle fails, the same events come again, after a pause that grows to 30 s. Of all
// replicas that consume under a name, one is active at a time; another takes over at the next batch.
func (f *Feed) Consume(ctx context.Context, name string, handle func(ctx context.Context, tx pgx.Tx, events []Event) error) error {
	if _, err := f.pool.Exec(ctx, registerSQL.Text, name); err != nil && ctx.Err() == nil {
		f.log.Warn("a consumer cannot register yet", "consumer", name, "err", err)
	}
	pause := time.Duration(0)
	for ctx.Err() == nil {
		// Taken before the look, so that news in between are not slept over.
		changed := f.live.signal()
		n, err := f.batch(ctx, name, handle)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = min(max(2*pause, 100*time.Millisecond), maxBackoff)
			f.log.Error("a consumer failed; it tries again", "consumer", name, "pause", pause, "err", err)
			sleep(ctx, pause)
		case n == 0:
			pause = 0
			idle(ctx, changed)
		default:
			pause = 0
		}
	}
	return ctx.Err()
}

func (l *live) signal() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

func idle(ctx context.Context, changed <-chan struct{}) {
	t := time.NewTimer(consumePoll)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.C:
	}
}

// batch handles the next events, if there are any and nobody else does; it returns how many.
func (f *Feed) batch(ctx context.Context, name string, handle func(context.Context, pgx.Tx, []Event) error) (n int, err error) {
	err = pg.TxPipe(ctx, f.pool, func(ctx context.Context, tx *pg.Pipe) error {
		n = 0
		at, events, held, err := next(ctx, tx, name)
		if err != nil {
			return err
		}
		if !held { // by another replica, or it is not registered yet
			_, err := tx.Exec(ctx, registerSQL.Text, name)
			return err
		}
		if len(events) == 0 {
			return nil
		}
		f.warnGap(name, at, events)
		if err := handle(ctx, tx, events); err != nil {
			return fmt.Errorf("events %d to %d: %w", events[0].Position, events[len(events)-1].Position, err)
		}
		n = len(events)
		var last pgx.Batch
		last.Queue(moveSQL.Text, name, events[n-1].Position).Exec(func(pgconn.CommandTag) error { return nil })
		return tx.SendLast(ctx, &last)
	})
	if err != nil {
		return 0, fmt.Errorf("event: consumer %s: %w", name, err)
	}
	return n, nil
}

// next locks the consumer's row, unless somebody else has, and reads what comes after its place, in one
// round trip.
func next(ctx context.Context, tx *pg.Pipe, name string) (at int64, events []Event, held bool, err error) {
	var b pgx.Batch
	b.Queue(tryOffsetSQL.Text, name).Exec(func(tag pgconn.CommandTag) error {
		held = tag.RowsAffected() > 0
		return nil
	})
	b.Queue(offsetSQL.Text, name).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&at}, func() error { return nil })
		return err
	})
	b.Queue(nextSQL.Text, name, consumeBatch).Query(func(rows pgx.Rows) (err error) {
		events, err = pgx.CollectRows(rows, scanEvent)
		return err
	})
	err = tx.SendBatch(ctx, &b).Close()
	return at, events, held, err
}

// nextSQL reads nothing for who could not lock the row.
var nextSQL = pg.Statement{Name: "event.consumer-next", Text: `
WITH mine AS MATERIALIZED (SELECT FROM event_consumers WHERE name = $1 FOR UPDATE SKIP LOCKED)
SELECT o.position, e.id, e.kind, e.time, e.task_id, e.task_group_id, e.run_id, e.routes, e.topic, e.payload
FROM mine
CROSS JOIN LATERAL (
	SELECT position, seq FROM event_order WHERE position > (` + offsetSQL.Text + `)
	ORDER BY position LIMIT $2) AS o
CROSS JOIN LATERAL (SELECT * FROM events WHERE events.seq = o.seq OFFSET 0) AS e
ORDER BY o.position`}
