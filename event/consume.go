package event

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	consumeBatch = 1000
	consumePoll  = time.Second // when no live feed tells of news
	maxBackoff   = 30 * time.Second
)

// Interest is what a consumer wants of the feed; the zero value is everything, at once. A consumer that
// wants less costs less.
type Interest struct {
	Kinds []string      // of events; nil: all
	Route string        // events of tasks with a route that begins so (few others may come along, where a quote stands in a route); "": all
	First bool          // only events of the task that its group is called after, such as a decision
	Every time.Duration // how long to let events gather while they are few; 0: not at all
	Fresh bool          // a new consumer begins with what happens after its first Consume, not with the oldest event kept

	// Any is asked before each look, when given: false says that of all that has happened up to now
	// nothing is wanted. One goroutine asks, and no handle runs meanwhile.
	Any func(ctx context.Context) (bool, error)
}

// register is the statement that enters a new consumer.
func (i Interest) register() string {
	if i.Fresh {
		return registerNowSQL.Text
	}
	return registerSQL.Text
}

// route is the pattern of the routes that are wanted, as they stand in JSON; nil for all.
func (i Interest) route() *string {
	if i.Route == "" {
		return nil
	}
	pattern := `%"` + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(i.Route) + "%"
	return &pattern
}

// Register enters a consumer that is new, which Consume does as well: for those that begin with what happens from now on and
// start to consume a little later. That it cannot is logged; Consume tries again.
func (f *Feed) Register(ctx context.Context, name string, what Interest) {
	if _, err := f.pool.Exec(ctx, what.register(), name); err != nil && ctx.Err() == nil {
		f.log.WarnContext(ctx, "a consumer cannot register yet", "consumer", name, "err", err)
	}
}

// Consume hands the feed, from the oldest event kept on unless what is Fresh, to a consumer with a stored
// offset, until ctx ends; its error is ctx's. handle gets events in order and does its work in tx, in which the
// offset moves too: what it does in the database happens exactly once, what it does outside at least
// once. When handle fails, the same events come again, after a pause that grows to 30 s. Of all
// replicas that consume under a name, one is active at a time; another takes over at the next batch.
func (f *Feed) Consume(ctx context.Context, name string, what Interest, handle func(ctx context.Context, tx pgx.Tx, events []Event) error) error {
	f.Register(ctx, name, what)
	c := consumer{feed: f, name: name, what: what, handle: handle}
	f.heads.join(1)
	defer f.heads.join(-1)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		// Taken before the look, so that news in between are not slept over.
		changed := f.live.signal()
		n, err := c.batch(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			pause = min(max(2*pause, 100*time.Millisecond), maxBackoff)
			f.log.ErrorContext(ctx, "a consumer failed; it tries again", "consumer", name, "pause", pause, "err", err)
			sleep(ctx, pause)
		case n == 0:
			pause = 0
			idle(ctx, changed)
		default:
			pause = 0
			if n < consumeBatch && what.Every > 0 {
				sleep(ctx, what.Every)
			}
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

// consumer is a consumer at work in this process.
type consumer struct {
	feed   *Feed
	name   string
	what   Interest
	handle func(context.Context, pgx.Tx, []Event) error

	passed int64     // up to here it is done
	stored int64     // up to here the database knows it
	kept   time.Time // when it was last told, by this process's clock: only for how often
}

// batch handles the next events, if there are any and nobody else does. It returns how many there were,
// wanted or not. What is not wanted is passed by without a transaction, and written down now and then.
func (c *consumer) batch(ctx context.Context) (n int, err error) {
	if n, wanted, err := c.pass(ctx); err != nil || !wanted {
		return n, err
	}
	var done, stored int64
	err = pg.TxPipe(ctx, c.feed.pool, func(ctx context.Context, tx *pg.Pipe) error {
		n, done, stored = 0, 0, 0
		p, held, err := c.next(ctx, tx)
		if err != nil {
			return err
		}
		if !held { // by another replica, or it is not registered yet
			_, err := tx.Exec(ctx, c.what.register(), c.name)
			return err
		}
		if done, stored = p.at, p.at; p.count == 0 {
			return nil
		}
		c.feed.warnGap(c.name, max(p.at, c.passed), p.first)
		if len(p.events) > 0 {
			if err := c.handle(ctx, tx, p.events); err != nil {
				return fmt.Errorf("events %d to %d: %w", p.first, p.last, err)
			}
		}
		n, done, stored = p.count, p.last, p.last
		var last pgx.Batch
		last.Queue(moveSQL.Text, c.name, p.last).Exec(func(pgconn.CommandTag) error { return nil })
		return tx.SendLast(ctx, &last)
	})
	if err != nil {
		return 0, fmt.Errorf("event: consumer %s: %w", c.name, err)
	}
	c.passed, c.stored = max(c.passed, done), max(c.stored, stored)
	return n, nil
}

// pass passes by what is not wanted, and returns how many events it looked at, and whether one of them
// is wanted: then nothing is passed by. Who passes need not be the replica that consumes.
func (c *consumer) pass(ctx context.Context) (n int, wanted bool, err error) {
	idle, err := c.idle(ctx)
	if err != nil {
		return 0, false, err
	}
	last, n, wanted, known := c.feed.heads.look(c.passed, &c.what)
	switch {
	case idle > c.passed:
		n, c.passed = int(idle-c.passed), idle
	case known && !wanted:
		c.passed = last
	case known && c.what.Route == "":
		return n, true, nil
	default: // the database knows all of them, and their routes
		if n, wanted, err = c.ask(ctx); err != nil || wanted {
			return n, wanted, err
		}
	}
	if c.passed <= c.stored || time.Since(c.kept) < keepPassed {
		return n, false, nil
	}
	c.kept = time.Now()
	return n, false, c.keep(ctx)
}

// idle returns up to where nothing is wanted at all; 0 when that cannot be said. The place is known before
// the question, so that what happens after the answer is not passed by.
func (c *consumer) idle(ctx context.Context) (int64, error) {
	if c.what.Any == nil {
		return 0, nil
	}
	head := c.feed.heads.head()
	wanted, err := c.what.Any(ctx)
	if err != nil {
		return 0, fmt.Errorf("event: consumer %s: %w", c.name, err)
	}
	if wanted {
		return 0, nil
	}
	return head, nil
}

// ask is pass by the database.
func (c *consumer) ask(ctx context.Context) (n int, wanted bool, err error) {
	if len(c.what.Kinds) == 0 && c.what.Route == "" && !c.what.First {
		return 0, true, nil
	}
	var at, first, last *int64
	err = c.feed.pool.QueryRow(ctx, passSQL.Text, c.name, consumeBatch, c.what.Kinds, c.what.route(), c.passed, c.what.First).Scan(&at, &first, &last, &n, &wanted)
	switch {
	case err != nil:
		return 0, false, fmt.Errorf("event: consumer %s: %w", c.name, pg.Classify(err))
	case at == nil: // it is not registered yet
		return 0, true, nil
	}
	c.stored = max(c.stored, *at)
	if !wanted && n > 0 {
		c.feed.warnGap(c.name, max(*at, c.passed), *first)
		c.passed = *last
	}
	return n, wanted, nil
}

// keepPassed is how often it is written down that events were passed by. Under load a consumer is at the end of the feed many
// times a second.
const keepPassed = time.Second

// keep writes down how far the consumer came by passing by, unless another replica is at work.
func (c *consumer) keep(ctx context.Context) error {
	err := pg.TxPipe(ctx, c.feed.pool, func(ctx context.Context, tx *pg.Pipe) error {
		at, held, err := lockOffset(ctx, tx, tryOffsetSQL, c.name)
		if err != nil || !held || at >= c.passed {
			return err
		}
		return move(ctx, tx, c.name, c.passed)
	})
	if err != nil {
		return fmt.Errorf("event: consumer %s: %w", c.name, err)
	}
	c.stored = c.passed // or another replica is at work
	return nil
}

// part is a part of the feed as a consumer sees it.
type part struct {
	at          int64 // where the consumer stood
	first, last int64 // positions
	count       int   // of all events from first to last
	events      []Event
}

// next locks the consumer's row, unless somebody else has, and reads what comes after its place, in one
// round trip. held tells whether the row could be locked; else nothing of what it read counts.
func (c *consumer) next(ctx context.Context, tx *pg.Pipe) (p part, held bool, err error) {
	var b pgx.Batch
	b.Queue(tryOffsetSQL.Text, c.name).Exec(func(tag pgconn.CommandTag) error {
		held = tag.RowsAffected() > 0
		return nil
	})
	b.Queue(offsetSQL.Text, c.name).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, []any{&p.at}, func() error { return nil })
		return err
	})
	b.Queue(nextSQL.Text, c.name, consumeBatch, c.what.Kinds, c.what.route(), c.passed, c.what.First).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			e, wanted, err := scanNext(rows, &p)
			if err != nil {
				return err
			}
			if wanted {
				p.events = append(p.events, e)
			}
		}
		return rows.Err()
	})
	err = tx.SendBatch(ctx, &b).Close()
	return p, held, err
}

// scanNext reads a row of nextSQL. The last event of the part has a row, wanted or not.
func scanNext(rows pgx.Rows, p *part) (e Event, wanted bool, err error) {
	columns := []any{&p.first, &p.last, &p.count, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}
	if rows.RawValues()[4] == nil {
		return e, false, rows.Scan(columns...)
	}
	s := scanned{Event: &e}
	copy(columns[3:], s.into())
	if err := rows.Scan(columns...); err != nil {
		return e, false, err
	}
	return e, true, s.fill()
}

// nextSQL reads nothing for who could not lock the row. OFFSET 0 makes it look up one event after the other.
var nextSQL = pg.Statement{Name: "event.consumer-next", Text: `
WITH mine AS MATERIALIZED (SELECT FROM event_consumers WHERE name = $1 FOR UPDATE SKIP LOCKED
), part AS MATERIALIZED (
	SELECT o.position, o.seq FROM mine CROSS JOIN LATERAL (
		SELECT position, seq FROM event_order WHERE position > greatest($5, (` + offsetSQL.Text + `)) ORDER BY position LIMIT $2) AS o
), whole AS MATERIALIZED (SELECT min(position) AS first, max(position) AS last, count(*)::int AS count FROM part)
SELECT w.first, w.last, w.count, o.position, e.id, e.kind, e.time, e.task_id, e.task_group_id, e.run_id, e.routes, e.topic, e.payload
FROM whole AS w CROSS JOIN part AS o
LEFT JOIN LATERAL (
	SELECT * FROM events WHERE events.seq = o.seq AND ($3::text[] IS NULL OR events.kind = ANY ($3))
		AND ($4::text IS NULL OR events.routes::text LIKE $4) AND (NOT $6::bool OR events.task_id = events.task_group_id) OFFSET 0) AS e ON true
WHERE e.seq IS NOT NULL OR o.position = w.last
ORDER BY o.position`}

// passSQL looks no further than the first event that is wanted. OFFSET 0 as above.
var passSQL = pg.Statement{Name: "event.consumer-pass", Text: `
WITH at AS MATERIALIZED (` + offsetSQL.Text + `
), part AS MATERIALIZED (
	SELECT o.position, o.seq FROM at CROSS JOIN LATERAL (
		SELECT position, seq FROM event_order WHERE position > greatest($5, at.at) ORDER BY position LIMIT $2) AS o
)
SELECT (SELECT at.at FROM at), min(position), max(position), count(*)::int, EXISTS (
	SELECT FROM part AS o CROSS JOIN LATERAL (
		SELECT FROM events AS e WHERE e.seq = o.seq AND ($3::text[] IS NULL OR e.kind = ANY ($3))
			AND ($4::text IS NULL OR e.routes::text LIKE $4) AND (NOT $6::bool OR e.task_id = e.task_group_id) OFFSET 0) AS wanted)
FROM part`}
