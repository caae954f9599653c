package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Consumer is how far a consumer of the feed came.
type Consumer struct {
	Name     string
	Position int64         // the last event it is done with
	Lag      int64         // events it has not done
	Behind   time.Duration // age of the first of those; 0 without any
	Holder   string        // the replica that holds it; "" when none does, or it is held by transactions only
}

// Consumers lists all consumers by name, those that nobody runs any more too.
func (f *Feed) Consumers(ctx context.Context) ([]Consumer, error) {
	rows, err := f.pool.Query(ctx, consumersSQL.Text)
	if err != nil {
		return nil, fmt.Errorf("event: consumers: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Consumer])
	if err != nil {
		return nil, fmt.Errorf("event: consumers: %w", pg.Classify(err))
	}
	return list, nil
}

// lockOffset locks the consumer's row by a statement and returns where the consumer stands; held says
// whether the statement found the row. The place is looked up by a statement of its own, because only
// its later snapshot shows what was committed before the lock was got.
func lockOffset(ctx context.Context, tx pgx.Tx, lock pg.Statement, args ...any) (at int64, held bool, err error) {
	var b pgx.Batch
	b.Queue(lock.Text, args...)
	b.Queue(offsetSQL.Text, args[0])
	results := tx.SendBatch(ctx, &b)
	defer func() { err = errors.Join(err, results.Close()) }()
	tag, err := results.Exec()
	if err != nil || tag.RowsAffected() == 0 {
		return 0, false, err
	}
	err = results.QueryRow().Scan(&at)
	return at, true, err
}

// move writes how far a consumer came, whose row the transaction has locked.
func move(ctx context.Context, tx pgx.Tx, name string, position int64) error {
	_, err := tx.Exec(ctx, moveSQL.Text, name, position)
	return err
}

// warnGap says that events went before a consumer saw them: it stood still for longer than they are
// kept.
func (f *Feed) warnGap(name string, at, first int64) {
	if at > 0 && first > at+1 {
		f.log.Error("events were removed before a consumer saw them: it stood still for longer than they are kept",
			"consumer", name, "from", at+1, "to", first-1)
	}
}

var (
	registerSQL = pg.Statement{Name: "event.consumer-register", Text: `
INSERT INTO event_consumers (name, position) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING`}
	tryOffsetSQL = pg.Statement{Name: "event.consumer-lock", Text: `
SELECT FROM event_consumers WHERE name = $1 FOR UPDATE SKIP LOCKED`}
	offsetSQL = pg.Statement{Name: "event.consumer-offset", Text: `
SELECT greatest(c.position, (SELECT o.position FROM event_offsets AS o WHERE o.name = c.name ORDER BY o.position DESC LIMIT 1)) AS at
FROM event_consumers AS c WHERE c.name = $1`}
	// Once a second the consumer's own row follows, and the places before it go: the row says where
	// those begin that are still there, so that dead ones below are not passed again.
	moveSQL = pg.Statement{Name: "event.consumer-move", Text: `
WITH due AS (
	SELECT position FROM event_consumers WHERE name = $1 AND moved < clock_timestamp() - interval '1 second'
), gone AS (
	DELETE FROM event_offsets AS o USING due WHERE o.name = $1 AND o.position >= due.position AND o.position < $2
), followed AS (
	UPDATE event_consumers AS c SET position = $2, moved = clock_timestamp() FROM due WHERE c.name = $1
)
INSERT INTO event_offsets (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING`}
	consumersSQL = pg.Statement{Name: "event.consumers", Text: `
SELECT name, at, head - at, coalesce((
		SELECT clock_timestamp() - e.time FROM event_order AS o JOIN events AS e ON e.seq = o.seq
		WHERE o.position > at ORDER BY o.position LIMIT 1), interval '0'), holder
FROM (SELECT coalesce(max(position), 0) AS head FROM event_order) AS top, (
	SELECT c.name, CASE WHEN c.held_until > clock_timestamp() THEN coalesce(c.holder, '') ELSE '' END AS holder,
		greatest(c.position, (SELECT max(o.position) FROM event_offsets AS o WHERE o.name = c.name)) AS at
	FROM event_consumers AS c) AS consumers
ORDER BY name`}
)
