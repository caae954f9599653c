package pools

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how a pool stands.
type Figures struct {
	Pool, Provider               string
	Requested, Running, Stopping int // capacity
	Errors                       int // within the last hour
}

// Figures tells how all pools stand, and how long the one waits for its turn that waits longest.
func (p *Pools) Figures(ctx context.Context) (list []Figures, late time.Duration, err error) {
	rows, err := p.Pool.Query(ctx, figuresSQL.Text)
	if err != nil {
		return nil, 0, failed("figures", err)
	}
	var (
		f   Figures
		due time.Duration
	)
	_, err = pgx.ForEachRow(rows, []any{&f.Pool, &f.Provider, &f.Requested, &f.Running, &f.Stopping, &f.Errors, &due}, func() error {
		list, late = append(list, f), max(late, due)
		return nil
	})
	return list, late, failed("figures", err)
}

// Capacity that is to be asked for counts as requested.
var figuresSQL = pg.Statement{Name: "pools.figures", Text: `
SELECT p.worker_pool_id, p.provider_id, coalesce(w.requested, 0) + coalesce(l.capacity, 0), coalesce(w.running, 0), coalesce(w.stopping, 0),
    coalesce(e.n, 0), greatest(clock_timestamp() - p.next_turn, '0')
FROM worker_pools p
LEFT JOIN (SELECT worker_pool_id, sum(capacity) FILTER (WHERE state = 'requested')::int AS requested,
        sum(capacity) FILTER (WHERE state = 'running')::int AS running, sum(capacity) FILTER (WHERE state = 'stopping')::int AS stopping
    FROM pool_workers WHERE state <> 'stopped' GROUP BY 1) w USING (worker_pool_id)
LEFT JOIN (SELECT worker_pool_id, sum(capacity)::int AS capacity FROM worker_launches GROUP BY 1) l USING (worker_pool_id)
LEFT JOIN (SELECT worker_pool_id, count(*)::int AS n FROM worker_pool_errors WHERE reported > now() - interval '1 hour' GROUP BY 1) e USING (worker_pool_id)`}
