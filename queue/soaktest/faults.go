package soaktest

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/queuetest"
)

// How often connections are cut, one in so many messages.
const (
	cutEvery       = 4000
	cutCommitEvery = 400
)

// randomCuts cuts connections now and then, commits more often than the rest.
func randomCuts(seed uint64) func(Message) Cut {
	r := rand.New(rand.NewPCG(seed, 1<<34))
	return func(m Message) Cut {
		every := cutEvery
		if m.Commits() {
			every = cutCommitEvery
		}
		if r.IntN(every) > 0 {
			return Pass
		}
		return []Cut{Before, Unanswered, Unanswered, Abrupt}[r.IntN(4)]
	}
}

// plannedCut cuts one call in ten, somewhere in its first transaction: what comes before depends on
// how old the queue's memories are, which is a matter of time.
func (r *round) plannedCut(chance *rand.Rand) func(Message) Cut {
	at, cut := chance.IntN(60), []Cut{Before, Unanswered}[chance.IntN(2)]
	if chance.IntN(10) > 0 {
		return nil
	}
	begun, n := false, 0
	return func(m Message) Cut {
		begun = begun || strings.HasPrefix(strings.ToLower(m.SQL), "begin")
		if !begun || m.Kind == 'P' || m.Kind == 'D' { // statements are prepared once a connection
			return Pass
		}
		if n++; n != at {
			return Pass
		}
		return cut
	}
}

// disturb ends connections from the server's side, takes all connections of a replica for a while, and
// holds a snapshot open.
func (r *round) disturb(ctx context.Context) {
	chance := rand.New(rand.NewPCG(r.Seed, 1<<35))
	for ctx.Err() == nil {
		switch n := chance.IntN(10); {
		case n < 5:
			if _, err := r.clean.Exec(ctx, terminateSQL.Text, replicaName); err == nil {
				r.tally.fault("connection ended by the server")
			}
		case n < 7:
			r.exhaust(ctx, r.replicas[chance.IntN(2)], chance)
		default:
			r.holdOpen(ctx, time.Duration(100+chance.IntN(900))*time.Millisecond)
		}
		pause(ctx, time.Duration(20+chance.IntN(200))*time.Millisecond)
	}
}

// exhaust takes the connections of a replica's pool, so that calls wait or give up.
func (r *round) exhaust(ctx context.Context, p *replica, chance *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	for range p.pool.Config().MaxConns {
		conn, err := p.pool.Acquire(ctx)
		if err != nil {
			break
		}
		defer conn.Release()
	}
	r.tally.fault("pool exhausted")
	pause(ctx, time.Duration(10+chance.IntN(100))*time.Millisecond)
}

// holdOpen keeps a snapshot, so that nothing dead is removed meanwhile.
func (r *round) holdOpen(ctx context.Context, d time.Duration) {
	tx, err := r.clean.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	if _, err := tx.Exec(ctx, snapshotSQL.Text); err == nil {
		r.tally.fault("old transaction held open")
		pause(ctx, d)
	}
}

// snapshots looks, again and again, at one committed snapshot as a whole.
func (r *round) snapshots(ctx context.Context) {
	for ctx.Err() == nil {
		r.snapshot(ctx)
		pause(ctx, 700*time.Millisecond)
	}
}

func (r *round) snapshot(ctx context.Context) {
	tx, err := r.clean.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // it only read
	found, err := queuetest.Violations(ctx, tx)
	if err != nil {
		if ctx.Err() == nil {
			r.violate("I4", "the snapshot cannot be read: %v", err)
		}
		return
	}
	r.tally.snapshot()
	for _, text := range found {
		r.violate("I4", "in a committed snapshot, %s", text)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// diceSQL makes every statement on the tables of the queue fail now and then, as the victim of a
// deadlock or of a serialization failure. A sequence is the dice: it counts on when a transaction fails.
const diceSQL = `
CREATE SEQUENCE soak_dice;
CREATE FUNCTION soak_roll() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE roll bigint := (nextval('soak_dice') * 2654435761 + %d::bigint * 40503) %% 4294967296;
BEGIN
    IF roll %% 1009 = 0 THEN RAISE EXCEPTION 'soak: could not serialize' USING ERRCODE = '40001'; END IF;
    IF roll %% 1013 = 0 THEN RAISE EXCEPTION 'soak: deadlock detected' USING ERRCODE = '40P01'; END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON runs FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON pending FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON claims FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON deadlines FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
CREATE TRIGGER soak_roll AFTER INSERT OR UPDATE OR DELETE ON dependencies FOR EACH STATEMENT EXECUTE FUNCTION soak_roll();
`

var (
	terminateSQL = pg.Statement{Name: "soak.terminate", Text: `
SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = $1 ORDER BY random() LIMIT 1) AS one`}

	snapshotSQL = pg.Statement{Name: "soak.snapshot", Text: `SELECT count(*) FROM pending`}

	rolledSQL = pg.Statement{Name: "soak.rolled", Text: `
SELECT count(*) FROM generate_series(1, (SELECT last_value FROM soak_dice)) AS n
WHERE (n * 2654435761 + $1::bigint * 40503) % 4294967296 % 1009 = 0 OR (n * 2654435761 + $1::bigint * 40503) % 4294967296 % 1013 = 0`}

	othersSQL = pg.Statement{Name: "soak.others", Text: `
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`}
)
