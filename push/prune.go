package push

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	pruneBatch = 200
	// KeepNewest is how many pushes of each repository stay, however old they are.
	KeepNewest = 20
)

// Prune removes decided pushes that are older than keep, in small transactions, and returns how many that
// were. The newest of each repository stay, and what is the head of a branch. Numbers are not used again.
func (l *Log) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, l.pool, pruneSQL, pruneBatch, keep.Seconds(), KeepNewest)
	if err != nil {
		return n, fmt.Errorf("push: %w", err)
	}
	return n, nil
}

var pruneSQL = pg.Statement{Name: "push.prune", Text: `
DELETE FROM pushes WHERE (repository, id) IN (
	SELECT p.repository, p.id FROM pushes p JOIN repositories r ON r.name = p.repository
	WHERE p.pushed < now() - make_interval(secs => $2) AND p.state <> 'received' AND p.id <= r.last_push - $3
		AND NOT EXISTS (SELECT FROM repository_heads h WHERE h.repository = p.repository AND h.revision = p.revision)
	ORDER BY p.pushed LIMIT $1 FOR UPDATE OF p SKIP LOCKED)`}
