package event

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// sequencerLock is the key of the advisory lock that makes one replica the sequencer, one pass at a
// time. A pass is short, so a replica that dies holds nobody up.
const sequencerLock = 0x7472_6565_0001

const (
	passLimit       = 5000 // events given a position in one transaction
	deltaLimit      = 20000
	checkpointEvery = 30 * time.Second
)

// sequencer gives positions. It belongs to one goroutine.
type sequencer struct {
	ledger
	loaded  bool
	written time.Time // of the last checkpoint, by this process's clock: only for how often
}

// pass gives positions to what is visible and has none, at most passLimit events, and learns what
// other replicas did. more asks for another pass at once.
func (s *sequencer) pass(ctx context.Context, db *pgxpool.Pool) (more bool, err error) {
	next := s.copy()
	err = pg.TxPipe(ctx, db, func(ctx context.Context, tx *pg.Pipe) error {
		next, more = s.copy(), false
		if !next.loaded {
			if err := next.load(ctx, tx); err != nil {
				return err
			}
		}
		look, err := next.look(ctx, tx)
		if err != nil {
			return err
		}
		for _, seq := range look.delta {
			next.take(seq)
		}
		if len(look.delta) > 0 || !look.locked {
			// What was found beside the delta was looked for with old knowledge.
			more = look.locked || len(look.delta) == deltaLimit
			return nil
		}
		var last pgx.Batch
		if err := next.give(ctx, tx, &last, look.found); err != nil {
			return err
		}
		if more = len(look.found) == passLimit; !more {
			next.expire(look.oldest)
		}
		next.checkpoint(&last)
		return tx.SendLast(ctx, &last)
	})
	if err != nil {
		return false, fmt.Errorf("event: sequence: %w", err)
	}
	*s = next
	return more, nil
}

func (s *sequencer) copy() sequencer {
	c := *s
	c.gaps = append([]gap(nil), s.gaps...)
	return c
}

// load begins where a checkpoint was left.
func (s *sequencer) load(ctx context.Context, tx pgx.Tx) error {
	var lo, hi []int64
	if err := tx.QueryRow(ctx, loadSQL.Text).Scan(&s.position, &s.mark, &lo, &hi); err != nil {
		return err
	}
	s.gaps = nil
	for i := range lo {
		s.gaps = append(s.gaps, gap{lo: lo[i], hi: hi[i]})
	}
	s.loaded = true
	return nil
}

// view is what one look at the database shows, in this order.
type view struct {
	locked bool    // this replica may give positions in this transaction
	oldest int64   // lowest id of the transactions that still ran
	delta  []int64 // seqs that other replicas gave positions to, by position
	found  []int64 // visible seqs that have none, in order; only with an empty delta
}

func (s *sequencer) look(ctx context.Context, tx pgx.Tx) (v view, err error) {
	lo, hi := s.bounds()
	var b pgx.Batch
	b.Queue(tryLockSQL.Text, int64(sequencerLock))
	b.Queue(oldestSQL.Text)
	b.Queue(deltaSQL.Text, s.position, deltaLimit)
	b.Queue(findSQL.Text, s.mark, lo, hi, passLimit)
	results := tx.SendBatch(ctx, &b)
	defer func() { err = errors.Join(err, results.Close()) }()
	var off string
	if err := results.QueryRow().Scan(&v.locked, &off); err != nil {
		return v, err
	}
	if err := results.QueryRow().Scan(&v.oldest); err != nil {
		return v, err
	}
	for _, list := range []*[]int64{&v.delta, &v.found} {
		rows, err := results.Query()
		if err != nil {
			return v, err
		}
		if *list, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return v, err
		}
	}
	return v, nil
}

// give writes the positions of the seqs found, on the way of the commit.
func (s *sequencer) give(ctx context.Context, tx *pg.Pipe, last *pgx.Batch, found []int64) error {
	if len(found) > 0 {
		last.Queue(giveSQL.Text, s.position, found).Exec(func(pgconn.CommandTag) error { return nil })
		for _, seq := range found {
			s.take(seq)
		}
	}
	if !s.unstamped() {
		return nil
	}
	// Our own id is given now, so it is higher than that of every transaction that had a seq when we
	// looked.
	var own int64
	if err := tx.QueryRow(ctx, ownSQL.Text).Scan(&own); err != nil {
		return err
	}
	s.stamp(own)
	return nil
}

// checkpoint writes down now and then what is known, for sequencers that begin.
func (s *sequencer) checkpoint(last *pgx.Batch) {
	if time.Since(s.written) < checkpointEvery {
		return
	}
	lo, hi := s.bounds()
	last.Queue(checkpointSQL.Text, s.position, s.mark, lo, hi).Exec(func(pgconn.CommandTag) error { return nil })
	s.written = time.Now()
}

var (
	loadSQL = pg.Statement{Name: "event.sequence-load", Text: `SELECT position, mark, gap_from, gap_to FROM event_checkpoint`}
	// Before a table has statistics, the planner would read all of it to find the few rows at its end.
	tryLockSQL = pg.Statement{Name: "event.sequence-lock", Text: `
SELECT pg_try_advisory_xact_lock($1), set_config('enable_seqscan', 'off', true)`}
	oldestSQL = pg.Statement{Name: "event.sequence-oldest", Text: `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`}
	deltaSQL  = pg.Statement{Name: "event.sequence-delta", Text: `
SELECT seq FROM event_order WHERE position > $1 ORDER BY position LIMIT $2`}
	// One statement, hence one snapshot: were the gaps looked at first and the new rows then, a task's
	// second event could be seen without its first.
	findSQL = pg.Statement{Name: "event.sequence-find", Text: `
SELECT seq FROM (
	SELECT e.seq FROM unnest($2::bigint[], $3::bigint[]) AS g (lo, hi)
	CROSS JOIN LATERAL (SELECT seq FROM events WHERE seq BETWEEN g.lo AND g.hi ORDER BY seq LIMIT $4) AS e
	UNION ALL
	(SELECT seq FROM events WHERE seq > $1 ORDER BY seq LIMIT $4)
) AS visible
ORDER BY seq LIMIT $4`}
	giveSQL = pg.Statement{Name: "event.sequence-give", Text: `
INSERT INTO event_order (position, seq)
SELECT $1 + n, seq FROM unnest($2::bigint[]) WITH ORDINALITY AS found (seq, n)`}
	ownSQL        = pg.Statement{Name: "event.sequence-own", Text: `SELECT pg_current_xact_id()::text::bigint`}
	checkpointSQL = pg.Statement{Name: "event.sequence-checkpoint", Text: `
UPDATE event_checkpoint SET position = $1, mark = $2, gap_from = $3, gap_to = $4 WHERE position < $1`}
)
