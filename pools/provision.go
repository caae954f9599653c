package pools

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/provider"
)

func randomNumber() float64 { return rand.Float64() }

// turns gives each pool its turn, one after another; any number of replicas share them.
func (p *Pools) turns(ctx context.Context) {
	every(ctx, p.Every/4, nil, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, turnLimit)
		defer cancel()
		var id string
		err := p.Pool.QueryRow(ctx, turnSQL.Text, p.Every).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return false
		}
		if err == nil {
			err = p.Provision(ctx, id)
		}
		if err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "a pool cannot be looked after, trying again", "pool", id, "err", err)
			return false
		}
		return true
	})
}

// Provision looks once whether a pool needs more workers, asks for them, and decides which of those it has may
// go. What two replicas do at once is what one does: the pool's row is locked while what is there is counted
// and what is to be there is written.
func (p *Pools) Provision(ctx context.Context, poolID string) error {
	load, err := p.Counts(ctx, poolID)
	if err != nil {
		return err
	}
	seen, err := p.Seen(ctx, poolID)
	if err != nil {
		return err
	}
	quarantined := map[Key]time.Time{}
	for _, s := range seen {
		if !s.QuarantineUntil.IsZero() {
			quarantined[Key{poolID, s.WorkerGroup, s.WorkerID}] = s.QuarantineUntil
		}
	}
	var asked string // the provider to nudge
	began, of, desired, most := time.Now(), "", 0, 0
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		asked = ""
		pool, err := p.lock(ctx, tx, poolID)
		if errors.Is(err, fault.NotFound) {
			return nil // deleted meanwhile
		}
		if err != nil {
			return err
		}
		t := turn{Pools: p, tx: tx, pool: pool, quarantined: quarantined}
		if err := t.read(ctx); err != nil {
			return err
		}
		need := estimate.Estimate(t.limits, load, t.standing)
		of, desired, most = pool.ProviderID, need.Desired, t.limits.Max
		if need.Over {
			p.Log.WarnContext(ctx, "a pool has many more workers than it may have", "pool", poolID, "capacity", t.standing.Requested+t.standing.Running, "max", t.limits.Max)
		}
		if err := t.retire(ctx, need.Target); err != nil {
			return err
		}
		n, err := t.spawn(ctx, need.Spawn)
		if n > 0 {
			asked = pool.ProviderID
			p.Log.InfoContext(ctx, "a pool gets workers", "pool", poolID, "workers", n, "pending", load.Pending, "claimed", load.Claimed)
		}
		return err
	})
	if asked != "" && err == nil {
		p.nudge(asked)
	}
	if of != "" && err == nil && p.Looked != nil {
		p.Looked(of, poolID, desired, most, time.Since(began))
	}
	return failed("provision "+poolID, err)
}

// turn is one look at a pool.
type turn struct {
	*Pools
	tx          pgx.Tx
	pool        Pool
	quarantined map[Key]time.Time

	now      time.Time
	limits   estimate.Limits
	config   poolConfig
	standing estimate.Standing
	running  []Worker
	existing map[string]int // capacity, by launch config
	archived map[string]bool
	configs  []LaunchConfig
}

// read finds out what there is.
func (t *turn) read(ctx context.Context) (err error) {
	if t.now, err = now(ctx, t.tx); err != nil {
		return err
	}
	if t.config, err = readPoolConfig(t.pool.Config); err != nil {
		return err
	}
	t.limits = estimate.Limits{Min: t.config.MinCapacity, Max: t.config.MaxCapacity, Ratio: 1}
	if t.config.ScalingRatio != nil {
		t.limits.Ratio = *t.config.ScalingRatio
	}
	if t.pool.ProviderID == NullProvider {
		t.limits = estimate.Limits{}
	}
	rows, err := t.tx.Query(ctx, configsSQL.Text, t.pool.ID)
	if err != nil {
		return err
	}
	if t.configs, err = pgx.CollectRows(rows, scanConfig); err != nil {
		return err
	}
	t.archived, t.existing = map[string]bool{}, map[string]int{}
	for _, c := range t.configs {
		t.archived[c.LaunchConfigID] = c.IsArchived
	}
	if err := t.readLaunches(ctx); err != nil {
		return err
	}
	if rows, err = t.tx.Query(ctx, standingSQL.Text, t.pool.ID); err != nil {
		return err
	}
	workers, err := pgx.CollectRows(rows, scanWorker)
	for _, w := range workers {
		t.count(w)
	}
	return err
}

// readLaunches counts what is asked for and not made. It comes before the look at workers: what is made in between counts twice
// for a moment, and would otherwise not count at all, so that the pool got more than it may have.
func (t *turn) readLaunches(ctx context.Context) error {
	rows, err := t.tx.Query(ctx, planSQL.Text, t.pool.ID)
	if err != nil {
		return err
	}
	var config string
	var capacity int
	_, err = pgx.ForEachRow(rows, []any{&config, &capacity}, func() error {
		t.standing.Requested += capacity
		t.existing[config] += capacity
		return nil
	})
	return err
}

func (t *turn) count(w Worker) {
	t.existing[w.LaunchConfigID] += w.Capacity
	switch w.State {
	case Requested:
		t.standing.Requested += w.Capacity
	case Stopping:
		t.standing.Stopping += w.Capacity
	case Running:
		t.running = append(t.running, w)
		if !t.quarantined[w.Key()].After(t.now) {
			t.standing.Running += w.Capacity
		}
	}
}

// retire writes down which running workers should end when they ask.
func (t *turn) retire(ctx context.Context, target int) error {
	list := make([]estimate.Worker, len(t.running))
	for i, w := range t.running {
		list[i] = estimate.Worker{Capacity: w.Capacity, Since: w.Created.Time, Quarantined: t.quarantined[w.Key()].After(t.now), Archived: t.archived[w.LaunchConfigID]}
		if w.terminateAfter != nil {
			list[i].Expires = *w.terminateAfter
		}
	}
	var groups, ids []string
	var reasons []*string
	for i, v := range estimate.Retire(list, target, t.now) {
		w := &t.running[i]
		if _, byHand := t.Providers[w.ProviderID].(Manual); byHand {
			continue // whoever set it up decides
		}
		var reason *string
		if v.Terminate {
			reason = &v.Reason
		}
		if (reason == nil) == (w.verdict == nil) && (reason == nil || *reason == *w.verdict) {
			continue
		}
		groups, ids, reasons = append(groups, w.WorkerGroup), append(ids, w.WorkerID), append(reasons, reason)
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := t.tx.Exec(ctx, verdictsSQL.Text, t.pool.ID, groups, ids, reasons)
	return err
}

// spawn writes down launches for the capacity asked for, and returns how many.
func (t *turn) spawn(ctx context.Context, capacity int) (int, error) {
	if _, ok := t.Providers[t.pool.ProviderID].(provider.Scaler); !ok || capacity <= 0 {
		return 0, nil
	}
	var ready bool
	if err := t.tx.QueryRow(ctx, providerReadySQL.Text, t.pool.ProviderID).Scan(&ready); err != nil || !ready {
		return 0, err
	}
	choices, contents, err := t.choices(ctx)
	if err != nil {
		return 0, err
	}
	existing := t.standing.Requested + t.standing.Running + t.standing.Stopping
	chosen := estimate.Choose(choices, capacity, t.limits.Max-existing, existing, t.Random)
	if len(chosen) == 0 {
		return 0, nil
	}
	var keys, ids, texts []string
	var capacities []int
	for _, i := range chosen {
		keys, ids, texts = append(keys, slug.Nice()), append(ids, choices[i].ID), append(texts, contents[i])
		capacities = append(capacities, choices[i].PerInstance)
	}
	_, err = t.tx.Exec(ctx, insertLaunchesSQL.Text, t.pool.ID, t.pool.ProviderID, keys, ids, texts, capacities)
	return len(chosen), err
}

// choices are the launch configs that may be used now.
func (t *turn) choices(ctx context.Context) (choices []estimate.Config, contents []string, err error) {
	type trouble struct {
		errors, refused int
		since           time.Duration
	}
	troubles := map[string]trouble{}
	rows, err := t.tx.Query(ctx, recentErrorsSQL.Text, t.pool.ID, creationError)
	if err != nil {
		return nil, nil, err
	}
	var id string
	var x trouble
	if _, err := pgx.ForEachRow(rows, []any{&id, &x.errors, &x.refused, &x.since}, func() error { troubles[id] = x; return nil }); err != nil {
		return nil, nil, err
	}
	for _, c := range t.configs {
		if c.IsArchived {
			continue
		}
		s, err := settings(c.Configuration)
		if err != nil {
			return nil, nil, err
		}
		x := troubles[c.LaunchConfigID]
		if x.since < estimate.Pause(x.refused) {
			continue
		}
		choice := estimate.Config{ID: c.LaunchConfigID, Weight: 1, PerInstance: perInstance(&s), Max: -1, Existing: t.existing[c.LaunchConfigID], Errors: x.errors}
		if w := s.WorkerManager.InitialWeight; w != nil {
			choice.Weight = *w
		}
		if m := s.WorkerManager.MaxCapacity; m != nil {
			choice.Max = *m
		}
		choices, contents = append(choices, choice), append(contents, string(c.Configuration))
	}
	return choices, contents, nil
}

var (
	turnSQL = pg.Statement{Name: "pools.turn", Text: `
UPDATE worker_pools SET next_turn = now() + $1::interval
WHERE worker_pool_id = (SELECT worker_pool_id FROM worker_pools WHERE next_turn <= now() ORDER BY next_turn LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING worker_pool_id`}

	standingSQL = pg.Statement{Name: "pools.standing", Text: `
SELECT ` + workerColumns + ` FROM pool_workers WHERE worker_pool_id = $1 AND state <> 'stopped'`}

	planSQL = pg.Statement{Name: "pools.plan", Text: `
SELECT launch_config_id, capacity FROM worker_launches WHERE worker_pool_id = $1`}

	verdictsSQL = pg.Statement{Name: "pools.verdicts", Text: `
UPDATE pool_workers w SET verdict = v.reason
FROM unnest($2::text[], $3::text[], $4::text[]) v(worker_group, worker_id, reason)
WHERE w.worker_pool_id = $1 AND w.worker_group = v.worker_group AND w.worker_id = v.worker_id`}

	insertLaunchesSQL = pg.Statement{Name: "pools.insert-launches", Text: `
INSERT INTO worker_launches (worker_pool_id, provider_id, launch_key, launch_config_id, configuration, capacity)
SELECT $1, $2, l.key, l.config, l.content::json, l.capacity
FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[]) l(key, config, content, capacity)`}

	recentErrorsSQL = pg.Statement{Name: "pools.recent-errors", Text: `
SELECT launch_config_id, count(*), count(*) FILTER (WHERE refused),
    coalesce(greatest(now() - max(reported) FILTER (WHERE refused), interval '0'), interval '0')
FROM (SELECT launch_config_id, reported, kind = $2 AND reported > coalesce((SELECT max(created) FROM pool_workers w
        WHERE w.worker_pool_id = $1 AND w.launch_config_id = e.launch_config_id), '-infinity') AS refused
    FROM worker_pool_errors e
    WHERE worker_pool_id = $1 AND launch_config_id IS NOT NULL AND reported > now() - interval '1 hour') e
GROUP BY launch_config_id`}
)
