package index

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	pruneEvery = time.Hour
	pruneBatch = 1000
)

// Start removes expired entries now and then, until Stop or the end of ctx. Any number of replicas may do so.
func (ix *Index) Start(ctx context.Context) {
	ctx, ix.cancel = context.WithCancel(ctx)
	ix.loops.Go(func() {
		ticker := time.NewTicker(pruneEvery)
		defer ticker.Stop()
		for {
			if n, err := ix.Prune(ctx); err != nil && ctx.Err() == nil {
				ix.log.ErrorContext(ctx, "expired index entries could not be removed", "removed", n, "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	})
}

// Stop ends what Start began and waits for it.
func (ix *Index) Stop() {
	if ix.cancel != nil {
		ix.cancel()
	}
	ix.loops.Wait()
}

// Prune removes what has expired, in small steps, and returns how many rows that were.
func (ix *Index) Prune(ctx context.Context) (int, error) {
	total := 0
	for _, s := range []pg.Statement{pruneTasksSQL, pruneNamespacesSQL} {
		for {
			tag, err := ix.pool.Exec(ctx, s.Text, pruneBatch)
			if err != nil {
				return total, failed("prune", err)
			}
			total += int(tag.RowsAffected())
			if tag.RowsAffected() < pruneBatch {
				break
			}
		}
	}
	return total, nil
}

var (
	pruneTasksSQL = pg.Statement{Name: "index.prune_tasks", Text: `
		DELETE FROM indexed_tasks WHERE (namespace, name) IN (
			SELECT namespace, name FROM indexed_tasks WHERE expires <= now()
			ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	pruneNamespacesSQL = pg.Statement{Name: "index.prune_namespaces", Text: `
		DELETE FROM index_namespaces WHERE (parent, name) IN (
			SELECT parent, name FROM index_namespaces WHERE expires <= now()
			ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
