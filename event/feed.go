package event

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	pollEvery  = 100 * time.Millisecond // when nobody wakes the sequencer
	passEvery  = 40 * time.Millisecond  // at most, so that many small commits share a pass
	pruneEvery = time.Hour
	retryAfter = 500 * time.Millisecond
)

// Feed is one replica's access to the feed. Its methods are safe for concurrent use. Reading works
// without Start; live subscribers and consumers need some replica's feed to be started.
type Feed struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	keep time.Duration
	hold time.Duration // see HoldTime

	wake  chan struct{}
	live  live
	heads heads
	start sync.Once
	stop  context.CancelFunc
	ended chan struct{} // closed when Stop was called
	tasks sync.WaitGroup
}

// Option changes a feed's settings.
type Option func(*Feed)

// Keep sets for how long events are kept; the default is 14 days. Events that a consumer has not
// seen are kept longer, unless the consumer has not moved for that time.
func Keep(d time.Duration) Option { return func(f *Feed) { f.keep = d } }

// NewFeed returns a feed on a database that has the schema.
func NewFeed(pool *pgxpool.Pool, log *slog.Logger, opts ...Option) *Feed {
	f := &Feed{pool: pool, log: log, keep: 14 * 24 * time.Hour, hold: holdTime, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	f.live.changed = make(chan struct{})
	for _, opt := range opts {
		opt(f)
	}
	return f
}

// Start runs the sequencer until Stop. ctx gives values and its end counts as Stop.
func (f *Feed) Start(ctx context.Context) {
	f.start.Do(func() {
		ctx, f.stop = context.WithCancel(ctx)
		context.AfterFunc(ctx, func() { close(f.ended) })
		f.tasks.Go(func() { f.sequence(ctx) })
	})
}

// Stop ends what Start began, and all subscriptions. Consumers end with their own contexts.
func (f *Feed) Stop() {
	f.start.Do(func() { f.stop = func() {}; close(f.ended) }) // never started
	f.stop()
	f.tasks.Wait()
}

// Wake tells the sequencer that something was committed, so that it need not wait for its next poll.
// It never blocks. Call it after the commit.
func (f *Feed) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// sequence runs the sequencer of this replica and hands what is new to the live subscribers.
func (f *Feed) sequence(ctx context.Context) {
	var s sequencer
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for failed := false; ; {
		began := time.Now()
		more, err := s.pass(ctx, f.pool)
		if ctx.Err() != nil {
			return
		}
		if err == nil && s.loaded {
			err = f.readHeads(ctx, s.position)
		}
		if err == nil && s.loaded {
			err = f.publish(ctx, s.position)
		}
		if err != nil {
			if !failed {
				f.log.ErrorContext(ctx, "the feed stands still", "err", err)
			}
			failed = true
			if !sleep(ctx, retryAfter) {
				return
			}
			continue
		}
		if failed {
			f.log.InfoContext(ctx, "the feed moves again")
			failed = false
		}
		if more {
			continue
		}
		if !sleep(ctx, passEvery-time.Since(began)) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-poll.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Head returns the last position given.
func (f *Feed) Head(ctx context.Context) (int64, error) {
	var head int64
	if err := f.pool.QueryRow(ctx, headSQL.Text).Scan(&head); err != nil {
		return 0, fmt.Errorf("event: head: %w", pg.Classify(err))
	}
	return head, nil
}

// Read returns up to limit events after a position, in order.
func (f *Feed) Read(ctx context.Context, after int64, limit int) ([]Event, error) {
	events, err := read(ctx, f.pool, after, limit)
	if err != nil {
		return nil, fmt.Errorf("event: read after %d: %w", after, pg.Classify(err))
	}
	return events, nil
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func read(ctx context.Context, db querier, after int64, limit int) ([]Event, error) {
	rows, err := db.Query(ctx, readSQL.Text, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanEvent)
}

var (
	headSQL = pg.Statement{Name: "event.head", Text: `SELECT coalesce(max(position), 0) FROM event_order`}
	// OFFSET 0 makes it look up one event after the other: the planner takes the limit for the number of
	// rows, and would read all events to return the last few.
	readSQL = pg.Statement{Name: "event.read", Text: `
SELECT o.position, e.id, e.kind, e.time, e.task_id, e.task_group_id, e.run_id, e.routes, e.topic, e.payload
FROM (SELECT position, seq FROM event_order WHERE position > $1 ORDER BY position LIMIT $2) AS o
CROSS JOIN LATERAL (SELECT * FROM events WHERE events.seq = o.seq OFFSET 0) AS e
ORDER BY o.position`}
)
