package history

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	forgetEvery = time.Hour
	forgetBatch = 20 // pushes, each with all its outcomes
)

func (h *History) forget(ctx context.Context) {
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		if n, err := h.Forget(ctx); err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "old pushes could not be forgotten", "forgotten", n, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Forget removes pushes that are older than they are to be remembered, in small steps, and returns how
// many that were. Numbers are not used again.
func (h *History) Forget(ctx context.Context) (int, error) {
	total := 0
	for {
		tag, err := h.pool.Exec(ctx, pruneSQL.Text, h.keep.Seconds(), forgetBatch)
		if err != nil {
			return total, failed("forget", err)
		}
		total += int(tag.RowsAffected())
		if tag.RowsAffected() < forgetBatch {
			return total, nil
		}
	}
}

var pruneSQL = pg.Statement{Name: "history.prune", Text: `
	DELETE FROM history_pushes WHERE (line_id, number) IN (
		SELECT line_id, number FROM history_pushes WHERE pushed <= now() - make_interval(secs => $1)
		ORDER BY pushed LIMIT $2 FOR UPDATE SKIP LOCKED)`}
