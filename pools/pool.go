package pools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Definition is what an operator says of a pool.
type Definition struct {
	ProviderID   string          `json:"providerId"`
	Description  string          `json:"description"`
	Config       json.RawMessage `json:"config"`
	Owner        string          `json:"owner"` // an e-mail address
	EmailOnError bool            `json:"emailOnError"`
}

// Pool is a worker pool, as it is on the wire.
type Pool struct {
	ID string `json:"workerPoolId"`
	Definition
	Created      task.Time `json:"created"`
	LastModified task.Time `json:"lastModified"`
	Stats

	previous []string // providers that there are workers of still
}

// Deed is something done to a pool.
type Deed struct {
	Actor, Pool, Action string
	Before, After       *Definition // Before is nil for one that is made
}

// Stats is how many workers there are, and how many tasks they can run at once.
type Stats struct {
	CurrentCapacity   int `json:"currentCapacity"` // of all that are not stopped
	RequestedCount    int `json:"requestedCount"`
	RunningCount      int `json:"runningCount"`
	StoppingCount     int `json:"stoppingCount"`
	StoppedCount      int `json:"stoppedCount"`
	RequestedCapacity int `json:"requestedCapacity"`
	RunningCapacity   int `json:"runningCapacity"`
	StoppingCapacity  int `json:"stoppingCapacity"`
	StoppedCapacity   int `json:"stoppedCapacity"`
}

func (s *Stats) into() []any {
	return []any{&s.CurrentCapacity, &s.RequestedCount, &s.RunningCount, &s.StoppingCount, &s.StoppedCount,
		&s.RequestedCapacity, &s.RunningCapacity, &s.StoppingCapacity, &s.StoppedCapacity}
}

// PoolID is what names of pools look like, those of task queues, for the door; task.IsQueueID says the same.
const PoolID = `^[a-zA-Z0-9-_]{1,38}/[a-z]([-a-z0-9]{0,36}[a-z0-9])?$`

// same tells whether two definitions mean the same.
func (d *Definition) same(o *Definition) bool {
	return d.ProviderID == o.ProviderID && d.Description == o.Description && d.Owner == o.Owner && d.EmailOnError == o.EmailOnError &&
		task.SameJSON(d.Config, o.Config)
}

// Create makes a pool. The same definition again is no error, as the answer may have been lost; one of the name with
// another definition is fault.Conflict.
func (p *Pools) Create(ctx context.Context, actor, id string, d Definition) (Pool, error) {
	if !task.IsQueueID(id) {
		return Pool{}, fault.New(fault.Invalid, "%q is no name of a worker pool: it must be provisionerId/workerType, the second half of lower-case letters, digits and -.", id)
	}
	configs, err := p.check(id, d)
	if err != nil {
		return Pool{}, err
	}
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, insertPoolSQL.Text, id, d.ProviderID, d.Description, string(d.Config), d.Owner, d.EmailOnError)
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			return p.told(ctx, tx, Deed{Actor: actor, Pool: id, Action: "created", After: &d}, "", configs)
		}
		there, err := p.lock(ctx, tx, id)
		if err == nil && !there.same(&d) {
			err = fault.New(fault.Conflict, "The worker pool %s exists already, with another definition.", id)
		}
		return err
	})
	if err != nil {
		return Pool{}, failed("create "+id, err)
	}
	p.wake()
	return p.Get(ctx, id)
}

// Update changes a pool; one that does not exist is a fault.NotFound. Workers of its provider before stay with
// that, and are archived configs' from then.
func (p *Pools) Update(ctx context.Context, actor, id string, d Definition) (Pool, error) {
	configs, err := p.check(id, d)
	if err != nil {
		return Pool{}, err
	}
	return p.change(ctx, actor, id, "updated", configs, func(old *Pool) error {
		old.Definition = d
		return nil
	})
}

// UpdateSeen is Update for one who has seen the pool as it was changed last at a time: where it was changed since, it is a
// fault.Conflict and stays as it is.
func (p *Pools) UpdateSeen(ctx context.Context, actor, id string, seen task.Time, d Definition) (Pool, error) {
	configs, err := p.check(id, d)
	if err != nil {
		return Pool{}, err
	}
	return p.change(ctx, actor, id, "updated", configs, func(old *Pool) error {
		if !old.LastModified.Equal(seen.Time) {
			return fault.New(fault.Conflict, "The worker pool %s was changed at %s, after it was read.", id, old.LastModified)
		}
		old.Definition = d
		return nil
	})
}

// Delete begins the end of a pool: it gets no more workers, and goes when those it has are gone.
func (p *Pools) Delete(ctx context.Context, actor, id string) (Pool, error) {
	return p.change(ctx, actor, id, "deleted", nil, func(old *Pool) error {
		old.ProviderID = NullProvider
		return nil
	})
}

func (p *Pools) change(ctx context.Context, actor, id, what string, configs []launchConfig, edit func(*Pool) error) (Pool, error) {
	var pool Pool
	err := pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if pool, err = p.lock(ctx, tx, id); err != nil {
			return err
		}
		old := pool.Definition
		before := old.ProviderID
		if err := edit(&pool); err != nil {
			return err
		}
		previous, told := pool.previous, ""
		if pool.ProviderID != before {
			told = before
			previous = slices.DeleteFunc(slices.Clone(previous), func(s string) bool { return s == before || s == pool.ProviderID })
			previous = append(previous, before)
		}
		d := pool.Definition
		if _, err := tx.Exec(ctx, updatePoolSQL.Text, id, d.ProviderID, previous, d.Description, string(d.Config), d.Owner, d.EmailOnError); err != nil {
			return err
		}
		return p.told(ctx, tx, Deed{Actor: actor, Pool: id, Action: what, Before: &old, After: &d}, told, configs)
	})
	if err != nil {
		return Pool{}, failed("change "+id, err)
	}
	p.wake()
	return p.Get(ctx, id)
}

// told writes the launch configs, the trail and the events of a change.
func (p *Pools) told(ctx context.Context, tx pgx.Tx, d Deed, previous string, configs []launchConfig) error {
	id, providerID := d.Pool, d.After.ProviderID
	if p.Audit != nil {
		if err := p.Audit(ctx, tx, d); err != nil {
			return err
		}
	}
	kind := poolUpdated
	if d.Before == nil {
		kind = poolCreated
	}
	if err := tell(ctx, tx, kind, message{WorkerPoolID: id, ProviderID: providerID, PreviousProviderID: previous}); err != nil {
		return err
	}
	return saveConfigs(ctx, tx, id, providerID, configs)
}

// check holds a definition against its provider and reads its launch configs.
func (p *Pools) check(id string, d Definition) ([]launchConfig, error) {
	if d.ProviderID == NullProvider {
		return nil, p.configs.Check("null", d.Config)
	}
	who := p.Providers[d.ProviderID]
	if who == nil {
		return nil, fault.New(fault.Invalid, "There is no provider %s; listProviders tells which there are.", d.ProviderID)
	}
	if err := p.configs.Check(who.Type(), d.Config); err != nil {
		return nil, err
	}
	if err := who.Check(d.Config); err != nil {
		return nil, err
	}
	return readConfigs(id, d.Config)
}

// lock reads a pool for a change.
func (p *Pools) lock(ctx context.Context, tx pgx.Tx, id string) (Pool, error) {
	rows, err := tx.Query(ctx, lockPoolSQL.Text, id)
	if err != nil {
		return Pool{}, err
	}
	pool, err := pgx.CollectExactlyOneRow(rows, scanBare)
	if errors.Is(err, pgx.ErrNoRows) {
		return Pool{}, noPool(id)
	}
	return pool, err
}

func noPool(id string) error {
	return fault.New(fault.NotFound, "There is no worker pool %s.", id)
}

func scanBare(row pgx.CollectableRow) (pool Pool, err error) {
	err = row.Scan(pool.into()...)
	pool.round()
	return pool, err
}

func (p *Pool) into() []any {
	return []any{&p.ID, &p.ProviderID, &p.previous, &p.Description, &p.Config, &p.Owner, &p.EmailOnError, &p.Created.Time, &p.LastModified.Time}
}

func (p *Pool) round() {
	p.Created, p.LastModified = task.At(p.Created.Time), task.At(p.LastModified.Time)
}

// Get reads a pool with what workers it has.
func (p *Pools) Get(ctx context.Context, id string) (Pool, error) {
	rows, err := p.Pool.Query(ctx, getPoolSQL.Text, id)
	if err != nil {
		return Pool{}, failed("get "+id, err)
	}
	pool, err := pgx.CollectExactlyOneRow(rows, scanPool)
	if errors.Is(err, pgx.ErrNoRows) {
		return Pool{}, noPool(id)
	}
	return pool, failed("get "+id, err)
}

// List lists the pools after a name, at most limit, by name.
func (p *Pools) List(ctx context.Context, after string, limit int) ([]Pool, error) {
	rows, err := p.Pool.Query(ctx, listPoolsSQL.Text, after, limit)
	if err != nil {
		return nil, failed("list pools", err)
	}
	list, err := pgx.CollectRows(rows, scanPool)
	return list, failed("list pools", err)
}

func scanPool(row pgx.CollectableRow) (pool Pool, err error) {
	err = row.Scan(append(pool.into(), pool.Stats.into()...)...)
	pool.round()
	return pool, err
}

// ProviderInfo is a provider as listProviders shows it.
type ProviderInfo struct {
	ProviderID   string `json:"providerId"`
	ProviderType string `json:"providerType"`
}

// ListProviders lists the providers by name.
func (p *Pools) ListProviders() []ProviderInfo {
	list := []ProviderInfo{{NullProvider, "null"}}
	for id, who := range p.Providers {
		list = append(list, ProviderInfo{id, who.Type()})
	}
	slices.SortFunc(list, func(a, b ProviderInfo) int {
		if a.ProviderID < b.ProviderID {
			return -1
		}
		return 1
	})
	return list
}

// removeDeleted drops pools that were deleted and have no workers any more, and forgets previous providers
// that have none.
func (p *Pools) removeDeleted(ctx context.Context) error {
	if _, err := p.Pool.Exec(ctx, trimProvidersSQL.Text); err != nil {
		return failed("forget previous providers", err)
	}
	if _, err := p.Pool.Exec(ctx, dropPoolsSQL.Text, NullProvider); err != nil {
		return failed("drop deleted pools", err)
	}
	return nil
}

// now is the database's clock.
func now(ctx context.Context, tx pgx.Tx) (t time.Time, err error) {
	if err := tx.QueryRow(ctx, nowSQL.Text).Scan(&t); err != nil {
		return t, fmt.Errorf("read the clock: %w", err)
	}
	return t, nil
}

const (
	poolColumns = `p.worker_pool_id, p.provider_id, p.previous_provider_ids, p.description, p.config, p.owner, p.email_on_error, p.created, p.last_modified`

	// stats counts rows of state and capacity; what a provider is still to be asked for is requested.
	statsColumns = `
    coalesce(sum(capacity) FILTER (WHERE state <> 'stopped'), 0),
    count(*) FILTER (WHERE state = 'requested'), count(*) FILTER (WHERE state = 'running'),
    count(*) FILTER (WHERE state = 'stopping'), count(*) FILTER (WHERE state = 'stopped'),
    coalesce(sum(capacity) FILTER (WHERE state = 'requested'), 0), coalesce(sum(capacity) FILTER (WHERE state = 'running'), 0),
    coalesce(sum(capacity) FILTER (WHERE state = 'stopping'), 0), coalesce(sum(capacity) FILTER (WHERE state = 'stopped'), 0)`

	workersOfPool = `
LEFT JOIN LATERAL (SELECT` + statsColumns + `
    FROM (SELECT state, capacity FROM pool_workers WHERE worker_pool_id = p.worker_pool_id
        UNION ALL SELECT 'requested', capacity FROM worker_launches WHERE worker_pool_id = p.worker_pool_id) w)
    s(c1, c2, c3, c4, c5, c6, c7, c8, c9) ON true`
	statsOfPool = `s.c1, s.c2, s.c3, s.c4, s.c5, s.c6, s.c7, s.c8, s.c9`
)

var (
	insertPoolSQL = pg.Statement{Name: "pools.insert", Text: `
INSERT INTO worker_pools (worker_pool_id, provider_id, description, config, owner, email_on_error)
VALUES ($1, $2, $3, $4::text::json, $5, $6) ON CONFLICT DO NOTHING`}

	lockPoolSQL = pg.Statement{Name: "pools.lock", Text: `
SELECT ` + poolColumns + ` FROM worker_pools p WHERE worker_pool_id = $1 FOR UPDATE`}

	updatePoolSQL = pg.Statement{Name: "pools.update", Text: `
UPDATE worker_pools SET provider_id = $2, previous_provider_ids = $3, description = $4, config = $5::text::json, owner = $6,
    email_on_error = $7, last_modified = now(), next_turn = now()
WHERE worker_pool_id = $1`}

	getPoolSQL = pg.Statement{Name: "pools.get", Text: `
SELECT ` + poolColumns + `, ` + statsOfPool + ` FROM worker_pools p` + workersOfPool + ` WHERE p.worker_pool_id = $1`}

	listPoolsSQL = pg.Statement{Name: "pools.list", Text: `
SELECT ` + poolColumns + `, ` + statsOfPool + ` FROM worker_pools p` + workersOfPool + `
WHERE p.worker_pool_id > $1 ORDER BY p.worker_pool_id LIMIT $2`}

	dropPoolsSQL = pg.Statement{Name: "pools.drop", Text: `
DELETE FROM worker_pools p WHERE provider_id = $1
  AND NOT EXISTS (SELECT FROM pool_workers w WHERE w.worker_pool_id = p.worker_pool_id AND w.state <> 'stopped')
  AND NOT EXISTS (SELECT FROM worker_launches l WHERE l.worker_pool_id = p.worker_pool_id)`}

	trimProvidersSQL = pg.Statement{Name: "pools.trim-providers", Text: `
UPDATE worker_pools p SET previous_provider_ids = ARRAY(
    SELECT i FROM unnest(previous_provider_ids) i
    WHERE EXISTS (SELECT FROM pool_workers w WHERE w.worker_pool_id = p.worker_pool_id AND w.provider_id = i AND w.state <> 'stopped')
       OR EXISTS (SELECT FROM worker_launches l WHERE l.worker_pool_id = p.worker_pool_id AND l.provider_id = i))
WHERE cardinality(previous_provider_ids) > 0`}

	nowSQL = pg.Statement{Name: "pools.now", Text: `SELECT now()`}
)
