package history

import (
	"context"

	"github.com/treeline-ci/treeline/internal/pg"
)

const pruneBatch = 20 // pushes, each with all its outcomes

// Prune removes pushes that are older than they are to be remembered, in small steps, and returns how
// many that were. Numbers are not used again.
func (h *History) Prune(ctx context.Context) (int64, error) {
	n, err := pg.Prune(ctx, h.pool, pruneSQL, pruneBatch, h.keep.Seconds())
	if err != nil {
		return n, failed("prune", err)
	}
	return n, nil
}

var pruneSQL = pg.Statement{Name: "history.prune", Text: `
	DELETE FROM history_pushes WHERE (line_id, number) IN (
		SELECT line_id, number FROM history_pushes WHERE pushed <= now() - make_interval(secs => $2)
		ORDER BY pushed LIMIT $1 FOR UPDATE SKIP LOCKED)`}
