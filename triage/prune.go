package triage

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

const pruneBatch = 1000

// Prune removes what was said longer ago than keep, in small transactions, and returns how many rows that were.
func (b *Book) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, b.pool, pruneSQL, pruneBatch, keep.Seconds())
	if err != nil {
		return n, fmt.Errorf("triage: %w", err)
	}
	return n, nil
}

// The oldest have the smallest ids: it begins there, and ends at the first that is young.
var pruneSQL = pg.Statement{Name: "triage.prune", Text: `
DELETE FROM classifications WHERE said < now() - make_interval(secs => $2)
	AND id IN (SELECT id FROM classifications ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)`}
