package pools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/provider"
)

const (
	launchBatch = 16
	launchLimit = 90 * time.Second // for one call of a provider
	// launchLease is how long a launch is its taker's; longer than it can take.
	launchLease = 2 * time.Minute
	// launchTries is how often a provider is asked for one worker. What comes of it all the same is found by
	// the reaper.
	launchTries = 8
	retryPause  = 5 * time.Second
	maxPause    = 5 * time.Minute

	defaultRegistration = 3600 // seconds
	defaultInactivity   = 7200 // seconds
	rowLife             = 8 * 24 * time.Hour
)

// launch is a launch that this process has taken.
type launch struct {
	key, poolID, providerID, configID string
	content                           json.RawMessage
	capacity, tries                   int
	wanted                            bool // its config is still one of the pool
}

// launches asks a provider for the workers that are wanted of it.
func (p *Pools) launches(ctx context.Context, id string, s provider.Scaler) {
	every(ctx, p.Every/4, p.nudges[id], func(ctx context.Context) bool {
		n, err := p.Launch(ctx, id, s)
		if err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "launches cannot be looked after, trying again", "provider", id, "err", err)
		}
		return n == launchBatch && err == nil
	})
}

// Launch takes some of a provider's launches that are due, asks for them, and returns how many it took.
func (p *Pools) Launch(ctx context.Context, id string, s provider.Scaler) (int, error) {
	rows, err := p.Pool.Query(ctx, claimLaunchesSQL.Text, id, launchBatch, launchLease)
	if err != nil {
		return 0, failed("take launches", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l launch, err error) {
		return l, row.Scan(&l.key, &l.poolID, &l.providerID, &l.configID, &l.content, &l.capacity, &l.tries, &l.wanted)
	})
	if err != nil {
		return 0, failed("take launches", err)
	}
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, l := range list {
		all.Go(func() { errs[i] = p.launchOne(ctx, s, l) })
	}
	all.Wait()
	return len(list), errors.Join(errs...)
}

func (p *Pools) launchOne(ctx context.Context, s provider.Scaler, l launch) error {
	if !l.wanted && l.tries == 1 {
		_, err := p.Pool.Exec(ctx, dropLaunchSQL.Text, l.key) // the provider has not heard of it
		return failed("drop launch", err)
	}
	pool, err := p.Get(ctx, l.poolID)
	if err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, launchLimit)
	defer cancel()
	i, err := s.Launch(call, provider.Launch{
		Key: l.key, WorkerPoolID: l.poolID, ProviderID: l.providerID, ConfigID: l.configID, Config: l.content,
		Owner: pool.Owner, RootURL: p.RootURL, Capacity: l.capacity,
	})
	if ctx.Err() != nil {
		return nil // this process ends; another asks again
	}
	if err != nil {
		return p.launchFailed(ctx, pool, l, err)
	}
	return p.launched(ctx, pool, l, i)
}

// launched writes a worker down in the transaction that forgets its launch.
func (p *Pools) launched(ctx context.Context, pool Pool, l launch, i provider.Instance) error {
	c, err := readPoolConfig(pool.Config)
	if err != nil {
		return err
	}
	registration, inactivity := seconds(c.Lifecycle.Registration, defaultRegistration), seconds(c.Lifecycle.Inactivity, defaultInactivity)
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var key string
		if err := tx.QueryRow(ctx, lockLaunchSQL.Text, l.key).Scan(&key); errors.Is(err, pgx.ErrNoRows) {
			return nil // somebody else asked as well, and was faster
		} else if err != nil {
			return err
		}
		_, err := tx.Exec(ctx, launchedWorkerSQL.Text, l.poolID, i.Group, i.ID, l.providerID, l.configID, l.key, l.capacity, text(i.Data), registration, inactivity, rowLife)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropLaunchSQL.Text, l.key); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, providerOKSQL.Text, l.providerID); err != nil {
			return err
		}
		return tell(ctx, tx, workerRequested, message{WorkerPoolID: l.poolID, ProviderID: l.providerID, WorkerGroup: i.Group, WorkerID: i.ID, LaunchConfigID: l.configID, Capacity: l.capacity})
	})
	p.wake()
	return failed("write down "+i.Group+"/"+i.ID, err)
}

func seconds(n, otherwise int) time.Duration {
	if n <= 0 {
		n = otherwise
	}
	return time.Duration(n) * time.Second
}

// launchFailed decides what becomes of a launch that the provider did not answer well.
func (p *Pools) launchFailed(ctx context.Context, pool Pool, l launch, cause error) error {
	refused := errors.Is(cause, provider.ErrRefused)
	p.Log.WarnContext(ctx, "a worker could not be launched", "pool", l.poolID, "provider", l.providerID, "launchConfig", l.configID, "try", l.tries, "err", cause)
	var err error
	if refused || l.tries >= launchTries {
		_, err = p.Pool.Exec(ctx, dropLaunchSQL.Text, l.key)
	} else {
		_, err = p.Pool.Exec(ctx, launchFailedSQL.Text, l.key, min(retryPause<<min(l.tries-1, 10), maxPause))
	}
	if err == nil && !refused {
		_, err = p.Pool.Exec(ctx, providerFailedSQL.Text, l.providerID, retryPause, maxPause)
	}
	if err != nil {
		return failed("note a launch that failed", err)
	}
	extra, err := json.Marshal(map[string]any{"workerPoolId": l.poolID, "launchConfigId": l.configID, "try": l.tries, "code": codeOf(cause)})
	if err != nil {
		return fmt.Errorf("pools: %w", err)
	}
	_, err = p.report(ctx, pool, Error{
		Kind: creationError, Title: "Worker Creation Error", Description: cause.Error(), LaunchConfigID: l.configID, Extra: extra,
	})
	return err
}

// codeOf is the provider's own word for what is wrong, where it has one.
func codeOf(err error) string {
	if coded, ok := errors.AsType[interface {
		error
		ErrorCode() string
	}](err); ok {
		return coded.ErrorCode()
	}
	return fault.KindOf(err).Error()
}

var (
	claimLaunchesSQL = pg.Statement{Name: "pools.claim-launches", Text: `
UPDATE worker_launches l SET next_try = now() + $3::interval, tries = tries + 1
WHERE launch_key IN (SELECT launch_key FROM worker_launches WHERE provider_id = $1 AND next_try <= now() ORDER BY next_try LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING launch_key, worker_pool_id, provider_id, launch_config_id, configuration, capacity, tries,
    EXISTS (SELECT FROM launch_configs c JOIN worker_pools p USING (worker_pool_id)
        WHERE c.worker_pool_id = l.worker_pool_id AND c.launch_config_id = l.launch_config_id AND NOT c.is_archived AND p.provider_id = l.provider_id)`}

	lockLaunchSQL = pg.Statement{Name: "pools.lock-launch", Text: `SELECT launch_key FROM worker_launches WHERE launch_key = $1 FOR UPDATE`}

	dropLaunchSQL = pg.Statement{Name: "pools.drop-launch", Text: `DELETE FROM worker_launches WHERE launch_key = $1`}

	launchFailedSQL = pg.Statement{Name: "pools.launch-failed", Text: `
UPDATE worker_launches SET next_try = now() + $2::interval WHERE launch_key = $1`}

	launchedWorkerSQL = pg.Statement{Name: "pools.launched", Text: `
INSERT INTO pool_workers (worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, launch_key, capacity, provider_data, state,
    register_by, inactivity, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::json, 'requested', now() + $9::interval, $10, now() + $11::interval)`}

	providerOKSQL = pg.Statement{Name: "pools.provider-ok", Text: `
UPDATE worker_providers SET failures = 0, launch_after = now() WHERE provider_id = $1 AND failures > 0`}

	// The pause grows with failures in a row, up to its limit.
	providerFailedSQL = pg.Statement{Name: "pools.provider-failed", Text: `
INSERT INTO worker_providers AS p (provider_id, failures, launch_after) VALUES ($1, 1, now() + $2::interval)
ON CONFLICT (provider_id) DO UPDATE SET failures = least(p.failures + 1, 1000),
    launch_after = now() + least($2::interval * power(2, least(p.failures, 16)), $3::interval)`}

	providerReadySQL = pg.Statement{Name: "pools.provider-ready", Text: `
SELECT NOT EXISTS (SELECT FROM worker_providers WHERE provider_id = $1 AND launch_after > now())`}
)
