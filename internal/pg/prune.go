package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Execer runs a statement: a pool, a connection, a transaction.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// pruneRest is the longest rest between two batches of Prune.
const pruneRest = 100 * time.Millisecond

// Prune runs a statement that removes at most $1 rows until it removes fewer than batch, and returns how
// many those were together. Each run is a transaction of its own, and between two it rests for as long as
// one took, so that nobody waits for it long. $2 and on are args.
func Prune(ctx context.Context, db Execer, s Statement, batch int, args ...any) (int64, error) {
	var total int64
	for {
		began := time.Now()
		tag, err := db.Exec(ctx, s.Text, append([]any{batch}, args...)...)
		if err != nil {
			return total, fmt.Errorf("%s: %w", s.Name, Classify(err))
		}
		total += tag.RowsAffected()
		if tag.RowsAffected() < int64(batch) {
			return total, nil
		}
		select {
		case <-ctx.Done():
			return total, Classify(ctx.Err())
		case <-time.After(min(time.Since(began), pruneRest)):
		}
	}
}
