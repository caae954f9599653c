package pools

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/provider"
)

const (
	reapEvery = 5 * time.Minute
	// reapAge is how old an instance must be that nobody knows: a launch that goes on is in the database, so
	// this is for clocks that differ.
	reapAge = 10 * time.Minute
)

// reaps finds workers that a provider has and nobody knows.
func (p *Pools) reaps(ctx context.Context, id string, s provider.Scaler) {
	every(ctx, reapEvery/4, nil, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, turnLimit)
		defer cancel()
		var at time.Time
		err := p.Pool.QueryRow(ctx, claimReapSQL.Text, id, reapEvery).Scan(&at)
		if errors.Is(err, pgx.ErrNoRows) {
			return false
		}
		if err == nil {
			_, err = p.Reap(ctx, id, s, at.Add(-reapAge))
		}
		if err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "a provider could not be asked what it has", "provider", id, "err", err)
		}
		return false
	})
}

// Reap stops what a provider has, was made before a moment, and stands neither with the workers nor with the
// launches; it returns how many. Such are left over where an answer of the provider was lost too often, or
// where a database was put back to an earlier state.
func (p *Pools) Reap(ctx context.Context, id string, s provider.Scaler, before time.Time) (int, error) {
	rows, err := p.Pool.Query(ctx, providerConfigsSQL.Text, id)
	if err != nil {
		return 0, failed("read launch configs", err)
	}
	configs, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		return 0, failed("read launch configs", err)
	}
	found, err := s.List(ctx, configs)
	if err != nil {
		return 0, err
	}
	keys := make([]string, len(found))
	for i, f := range found {
		keys[i] = f.Key
	}
	if rows, err = p.Pool.Query(ctx, knownSQL.Text, keys); err != nil {
		return 0, failed("look for known workers", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, failed("look for known workers", err)
	}
	known := map[string]bool{}
	for _, key := range list {
		known[key] = true
	}
	n := 0
	var errs []error
	for _, f := range found {
		if known[f.Key] || !f.Created.Before(before) {
			continue
		}
		p.Log.WarnContext(ctx, "a worker that nobody knows is stopped", "provider", id, "workerGroup", f.Group, "workerId", f.ID, "launch", f.Key)
		if err := s.Stop(ctx, f.Instance); err != nil {
			errs = append(errs, err)
			continue
		}
		n++
	}
	return n, errors.Join(errs...)
}

// drops lets deleted pools go whose last worker is gone.
func (p *Pools) drops(ctx context.Context) {
	every(ctx, max(time.Second, 6*p.Every), nil, func(ctx context.Context) bool {
		if err := p.removeDeleted(ctx); err != nil && ctx.Err() == nil {
			p.Log.WarnContext(ctx, "pools that were deleted cannot be removed, trying again", "err", err)
		}
		return false
	})
}

// Prune forgets workers that have expired, launches of providers that are configured no more, and errors older than
// keepErrors, in small steps, and then deleted pools whose workers are gone. It returns how many of the former that
// were.
func (p *Pools) Prune(ctx context.Context, keepErrors time.Duration) (int64, error) {
	total, err := pg.Prune(ctx, p.Pool, expireErrorsSQL, pruneBatch, keepErrors.Seconds())
	for _, s := range []pg.Statement{expireWorkersSQL, dropStaleLaunchesSQL} {
		if err == nil {
			var n int64
			n, err = pg.Prune(ctx, p.Pool, s, pruneBatch)
			total += n
		}
	}
	if err != nil {
		return total, failed("prune", err)
	}
	return total, p.removeDeleted(ctx)
}

const pruneBatch = 500

var (
	claimReapSQL = pg.Statement{Name: "pools.claim-reap", Text: `
INSERT INTO worker_providers AS p (provider_id, next_reap) VALUES ($1, now() + $2::interval)
ON CONFLICT (provider_id) DO UPDATE SET next_reap = now() + $2::interval WHERE p.next_reap <= now()
RETURNING now()`}

	knownSQL = pg.Statement{Name: "pools.known", Text: `
SELECT k FROM unnest($1::text[]) k
WHERE EXISTS (SELECT FROM pool_workers w WHERE w.launch_key = k AND w.state <> 'stopped')
   OR EXISTS (SELECT FROM worker_launches l WHERE l.launch_key = k)`}

	expireWorkersSQL = pg.Statement{Name: "pools.expire-workers", Text: `
DELETE FROM pool_workers WHERE (worker_pool_id, worker_group, worker_id) IN (
    SELECT worker_pool_id, worker_group, worker_id FROM pool_workers WHERE expires < now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	// Launches of a provider that is configured no more.
	dropStaleLaunchesSQL = pg.Statement{Name: "pools.drop-stale-launches", Text: `
DELETE FROM worker_launches WHERE launch_key IN (
    SELECT launch_key FROM worker_launches WHERE created < now() - interval '1 day' AND next_try < now() - interval '1 day' LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
