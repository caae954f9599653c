package purgecache

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Forget takes a wish back, for workers that have not heard of it yet. It is no error when there is none.
func (p *PurgeCache) Forget(ctx context.Context, workerPoolID, cacheName string) error {
	if _, err := p.pool.Exec(ctx, forgetSQL.Text, workerPoolID, cacheName); err != nil {
		return failed("forget", err)
	}
	w := p.of(workerPoolID)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.read = time.Time{}
	return nil
}

var forgetSQL = pg.Statement{Name: "purgecache.forget", Text: `DELETE FROM cache_purges WHERE worker_pool_id = $1 AND cache_name = $2`}
