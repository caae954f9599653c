package event

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// holdTime is for how long a replica holds a consumer without renewing: so long nobody consumes after
// a replica died.
const holdTime = 10 * time.Second

// ErrLost says that another replica holds the consumer now.
var ErrLost = errors.New("event: another replica took the consumer over")

// HoldTime sets for how long Hold keeps a consumer that it cannot renew; the default is 10 s.
func HoldTime(d time.Duration) Option { return func(f *Feed) { f.hold = d } }

// Cursor is a consumer while this replica holds it. Next and Save may be called by two goroutines,
// each by one.
type Cursor struct {
	f            *Feed
	name, holder string
	at           int64 // the last event handed out
	saved        atomic.Bool
}

// Hold consumes the feed under a name for work that cannot be done in a transaction, such as talking
// to another server, until ctx ends; its error is ctx's. Of all replicas one holds a consumer at a
// time. While this one does, work runs, takes events from the cursor, and saves how far it came when
// what it did with them is safe; so each event is worked on at least once, and first times are in
// order. The context of work ends when the replica could not renew its hold; when work fails the hold
// is given up, and tried for again after a pause that grows to 30 s unless it got further. A new consumer begins with what
// happens after its first Hold.
func (f *Feed) Hold(ctx context.Context, name string, work func(ctx context.Context, c *Cursor) error) error {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		c := &Cursor{f: f, name: name, holder: slug.New()}
		held, err := c.take(ctx)
		if held {
			err = c.run(ctx, work)
			if c.saved.Load() {
				pause = 0 // it did something before it failed
			}
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = min(max(2*pause, 250*time.Millisecond), maxBackoff)
			f.log.ErrorContext(ctx, "a consumer failed; it tries again", "consumer", name, "pause", pause, "err", err)
			sleep(ctx, pause)
		case !held:
			sleep(ctx, f.hold/5)
		}
	}
	return ctx.Err()
}

// run works while the hold can be renewed.
func (c *Cursor) run(ctx context.Context, work func(context.Context, *Cursor) error) error {
	working, stop := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		stop(c.renew(working))
	}()
	err := work(working, c)
	if errors.Is(err, context.Canceled) && working.Err() != nil {
		err = context.Cause(working)
	}
	stop(nil)
	<-renewed
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, gone := c.f.pool.Exec(late, releaseSQL.Text, c.name, c.holder); gone != nil {
		c.f.log.WarnContext(ctx, "a consumer could not be given back; others wait until it runs out", "consumer", c.name, "err", gone)
	}
	return err
}

// take tries to get hold of the consumer.
func (c *Cursor) take(ctx context.Context) (held bool, err error) {
	err = pg.Tx(ctx, c.f.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, registerNowSQL.Text, c.name); err != nil {
			return err
		}
		c.at, held, err = lockOffset(ctx, tx, takeSQL, c.name, c.holder, c.f.hold)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("event: hold consumer %s: %w", c.name, err)
	}
	return held, nil
}

// renew renews the hold until ctx ends; it fails when the hold is lost, or must be taken for lost.
func (c *Cursor) renew(ctx context.Context) error {
	for last := time.Now(); ; {
		if !sleep(ctx, c.f.hold/4) {
			return ctx.Err()
		}
		asked := time.Now()
		asking, cancel := context.WithDeadline(ctx, last.Add(c.f.hold))
		tag, err := c.f.pool.Exec(asking, renewSQL.Text, c.name, c.holder, c.f.hold)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && tag.RowsAffected() == 0:
			return ErrLost
		case err == nil:
			last = asked
		case time.Since(last) > c.f.hold*3/4:
			return fmt.Errorf("event: consumer %s could not be renewed in time: %w", c.name, pg.Classify(err))
		}
	}
}

// Position returns the last event that was handed out, or where the cursor began.
func (c *Cursor) Position() int64 { return c.at }

// Next waits for the next events, at most a few hundred, and hands them out.
func (c *Cursor) Next(ctx context.Context) ([]Event, error) {
	for ctx.Err() == nil {
		// Taken before the look, so that news in between are not slept over.
		changed := c.f.live.signal()
		events, err := c.f.Read(ctx, c.at, liveBatch)
		if err != nil {
			return nil, err
		}
		if len(events) == 0 {
			idle(ctx, changed)
			continue
		}
		c.f.warnGap(c.name, c.at, events[0].Position)
		c.at = events[len(events)-1].Position
		return events, nil
	}
	return nil, ctx.Err()
}

// Save stores that everything up to a position is done. It is ErrLost when another replica holds the
// consumer: nothing is stored then.
func (c *Cursor) Save(ctx context.Context, position int64) error {
	err := pg.Tx(ctx, c.f.pool, func(ctx context.Context, tx pgx.Tx) error {
		at, held, err := lockOffset(ctx, tx, mineSQL, c.name, c.holder)
		switch {
		case err != nil:
			return err
		case !held:
			return ErrLost
		case at >= position:
			return nil
		}
		return move(ctx, tx, c.name, position)
	})
	if err == nil {
		c.saved.Store(true)
	}
	if errors.Is(err, ErrLost) {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("event: consumer %s at %d: %w", c.name, position, err)
	}
	return nil
}

var (
	registerNowSQL = pg.Statement{Name: "event.consumer-register-now", Text: `
INSERT INTO event_consumers (name, position) SELECT $1, coalesce(max(position), 0) FROM event_order
ON CONFLICT (name) DO NOTHING`}
	takeSQL = pg.Statement{Name: "event.consumer-take", Text: `
UPDATE event_consumers SET holder = $2, held_until = clock_timestamp() + $3::interval
WHERE name = $1 AND (holder IS NULL OR held_until < clock_timestamp())`}
	renewSQL = pg.Statement{Name: "event.consumer-renew", Text: `
UPDATE event_consumers SET held_until = clock_timestamp() + $3::interval WHERE name = $1 AND holder = $2`}
	releaseSQL = pg.Statement{Name: "event.consumer-release", Text: `
UPDATE event_consumers SET holder = NULL, held_until = NULL WHERE name = $1 AND holder = $2`}
	mineSQL = pg.Statement{Name: "event.consumer-mine", Text: `
SELECT FROM event_consumers WHERE name = $1 AND holder = $2 FOR UPDATE`}
)
