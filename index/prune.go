package index

import (
	"context"

	"github.com/treeline-ci/treeline/internal/pg"
)

const pruneBatch = 1000

// Prune removes what has expired, in small steps, and returns how many rows that were.
func (ix *Index) Prune(ctx context.Context) (total int64, err error) {
	for _, s := range []pg.Statement{pruneTasksSQL, pruneNamespacesSQL} {
		n, err := pg.Prune(ctx, ix.pool, s, pruneBatch)
		if total += n; err != nil {
			return total, failed("prune", err)
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
