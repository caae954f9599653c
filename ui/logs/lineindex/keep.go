package lineindex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	again   = 200 * time.Millisecond // between two looks whether another server has made an index
	renewed = 10 * time.Second       // between two renewals of a claim, which holds for 30
)

// claim loads an index that is kept, or makes sure that no other server makes it too; then known is false.
func (l *Logs) claim(ctx context.Context, x *Index) (known bool, err error) {
	ticks := time.NewTicker(again)
	defer ticks.Stop()
	for {
		var body []byte
		err := l.pool.QueryRow(ctx, loadSQL.Text, x.object).Scan(&body)
		switch {
		case err == nil && body != nil:
			return true, x.load(body)
		case err != nil && !errors.Is(err, pgx.ErrNoRows):
			return false, fmt.Errorf("logs: look for an index: %w", pg.Classify(err))
		}
		tag, err := l.pool.Exec(ctx, claimSQL.Text, x.object, x.expires)
		if err != nil {
			return false, fmt.Errorf("logs: claim an index: %w", pg.Classify(err))
		}
		if tag.RowsAffected() > 0 {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-ticks.C:
		}
	}
}

// hold renews a claim until ctx ends.
func (l *Logs) hold(ctx context.Context, object int64) {
	ticks := time.NewTicker(renewed)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
			if _, err := l.pool.Exec(ctx, holdSQL.Text, object); err != nil && ctx.Err() == nil {
				l.log.WarnContext(ctx, "another server may make the index of a log too", "object", object, "error", err)
			}
		}
	}
}

func (x *Index) load(body []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := Data{Looks: map[int]string{}}
	if err := json.Unmarshal(body, &d); err != nil {
		return fmt.Errorf("logs: the index of object %d cannot be read: %w", x.object, err)
	}
	x.data = d
	x.done, x.atEnd = true, true
	x.tell()
	return nil
}

// keep stores a finished index.
func (l *Logs) keep(ctx context.Context, x *Index) error {
	x.mu.Lock()
	body, err := json.Marshal(&x.data)
	x.mu.Unlock()
	if err != nil {
		return err
	}
	if _, err := l.pool.Exec(ctx, keepSQL.Text, x.object, body, x.expires); err != nil {
		return pg.Classify(err)
	}
	return nil
}

// Prune removes the indexes of logs that have expired, in small steps, and returns how many.
func Prune(ctx context.Context, pool *pgxpool.Pool) (int64, error) {
	n, err := pg.Prune(ctx, pool, pruneSQL, 100)
	if err != nil {
		return n, fmt.Errorf("logs: %w", err)
	}
	return n, nil
}

var (
	loadSQL = pg.Statement{Name: "logs.load-index", Text: `SELECT body FROM log_indexes WHERE object_id = $1`}

	// A server that dies while it makes an index loses its claim.
	claimSQL = pg.Statement{Name: "logs.claim-index", Text: `
INSERT INTO log_indexes AS i (object_id, claimed_until, expires) VALUES ($1, now() + interval '30 seconds', $2)
ON CONFLICT (object_id) DO UPDATE SET claimed_until = excluded.claimed_until WHERE i.body IS NULL AND i.claimed_until < now()`}

	pruneSQL = pg.Statement{Name: "logs.prune-indexes", Text: `
DELETE FROM log_indexes WHERE object_id IN (SELECT object_id FROM log_indexes WHERE expires < now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	holdSQL = pg.Statement{Name: "logs.hold-index", Text: `
UPDATE log_indexes SET claimed_until = now() + interval '30 seconds' WHERE object_id = $1 AND body IS NULL`}

	keepSQL = pg.Statement{Name: "logs.keep-index", Text: `
INSERT INTO log_indexes (object_id, body, claimed_until, expires) VALUES ($1, $2, now(), $3)
ON CONFLICT (object_id) DO UPDATE SET body = excluded.body, expires = excluded.expires`}
)

// Statements are the SQL of this package, for the test that prepares each.
var Statements = []pg.Statement{loadSQL, claimSQL, holdSQL, keepSQL, pruneSQL}
