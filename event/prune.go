package event

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

const pruneBatch = 5000

// Prune removes the events that are older than Keep says, in small transactions, and returns how
// many. It keeps what a live consumer has not seen, and the newest event, which carries the count.
func (f *Feed) Prune(ctx context.Context) (int64, error) {
	var total int64
	// Rows removed here may stay as dead ones for as long as an old transaction runs: each batch
	// begins behind those of the batch before.
	for after := int64(0); ; {
		var n, last int64
		if err := f.pool.QueryRow(ctx, pruneSQL.Text, f.keep, pruneBatch, after).Scan(&n, &last); err != nil {
			return total, fmt.Errorf("event: prune: %w", pg.Classify(err))
		}
		total, after = total+n, last
		if n < pruneBatch {
			return total, nil
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return total, ctx.Err()
		}
	}
}

// Everything up to the checkpoint only: a sequencer that begins reads the order from there on.
var pruneSQL = pg.Statement{Name: "event.prune", Text: `
WITH bound AS (
	SELECT least(
		(SELECT max(position) - 1 FROM event_order),
		(SELECT position FROM event_checkpoint),
		(SELECT min(position) FROM event_consumers WHERE moved > now() - $1::interval)) AS position
), first AS (
	SELECT o.position, o.seq FROM event_order AS o, bound
	WHERE o.position > $3 AND o.position <= bound.position ORDER BY o.position LIMIT $2
), old AS (
	SELECT first.position, first.seq FROM first JOIN events AS e ON e.seq = first.seq
	WHERE e.time < now() - $1::interval
), gone AS (
	DELETE FROM event_order AS o USING old WHERE o.position = old.position RETURNING o.seq, o.position
), emptied AS (
	DELETE FROM events AS e USING gone WHERE e.seq = gone.seq
)
SELECT count(*), coalesce(max(position), 0) FROM gone`}
