package event

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// KindRestored is the event that tells that the database was put back to an earlier point.
const KindRestored = "database-restored"

// skipped is how many positions Restored passes over: more than the feed may have given after the point to which the
// database was put back, and more than a subscriber may be behind.
const skipped = 1_000_000

// Restored readies the feed of a database that was put back to an earlier point, in which no server runs. Positions
// given after that point are known to browsers and programs, and must not come again with other events: the feed goes
// on a million later, with an event that says so. Who subscribes from a position before is ErrTooFarBehind, and reads
// the state anew; consumers go on from where the database knows them.
func Restored(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, waitLockSQL.Text, int64(sequencerLock)); err != nil {
		return fmt.Errorf("event: restored: %w", pg.Classify(err))
	}
	s, err := settledLedger(ctx, tx)
	if err != nil {
		return fmt.Errorf("event: restored: %w", pg.Classify(err))
	}
	s.position += skipped
	var seq int64
	if err := tx.QueryRow(ctx, markerSQL.Text, slug.New(), KindRestored).Scan(&seq); err != nil {
		return fmt.Errorf("event: restored: %w", pg.Classify(err))
	}
	if _, err := tx.Exec(ctx, giveSQL.Text, s.position, []int64{seq}); err != nil {
		return fmt.Errorf("event: restored: %w", pg.Classify(err))
	}
	s.take(seq)
	lo, hi := s.bounds()
	if _, err := tx.Exec(ctx, checkpointSQL.Text, s.position, s.mark, lo, hi); err != nil {
		return fmt.Errorf("event: restored: %w", pg.Classify(err))
	}
	return nil
}

// settledLedger gives positions to all that is visible, and returns what is known then. The sequencer's lock is held.
func settledLedger(ctx context.Context, tx pgx.Tx) (sequencer, error) {
	var s sequencer
	if err := s.load(ctx, tx); err != nil {
		return s, err
	}
	for {
		v, err := s.look(ctx, tx)
		if err != nil {
			return s, err
		}
		for _, seq := range v.delta {
			s.take(seq)
		}
		if len(v.delta) > 0 {
			continue // what was found beside the delta was looked for with old knowledge
		}
		if len(v.found) == 0 {
			return s, nil
		}
		if _, err := tx.Exec(ctx, giveSQL.Text, s.position, v.found); err != nil {
			return s, err
		}
		for _, seq := range v.found {
			s.take(seq)
		}
	}
}

var (
	waitLockSQL = pg.Statement{Name: "event.sequence-wait", Text: `SELECT pg_advisory_xact_lock($1)`}
	markerSQL   = pg.Statement{Name: "event.restored-marker", Text: `INSERT INTO events (id, kind) VALUES ($1, $2) RETURNING seq`}
)
