package pools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/task"
)

// ConfigState is a launch config with how it fares.
type ConfigState struct {
	LaunchConfig
	Stats
	Initial float64 // its weight, 0 to 1
	Weight  float64 // what is left of it, for what is used of its capacity and for its errors; 0 where it is archived
	Max     int     // most capacity; negative: no limit of its own
	Price   *float64
	Errors  int // of the last hour
	Day     int // errors of the last 24 hours
	Made    int // workers of the last 24 hours that are known still
}

// ConfigStates tells how a pool's launch configs fare, by id, archived ones too.
func (p *Pools) ConfigStates(ctx context.Context, poolID string) ([]ConfigState, error) {
	list, err := p.LaunchConfigs(ctx, poolID, true, "", 1000)
	if err != nil {
		return nil, err
	}
	stats, err := p.ConfigStats(ctx, poolID)
	if err != nil {
		return nil, err
	}
	out := make([]ConfigState, len(list))
	at := map[string]*ConfigState{}
	for i, c := range list {
		out[i] = ConfigState{LaunchConfig: c, Max: -1, Initial: 1}
		at[c.LaunchConfigID] = &out[i]
	}
	for _, s := range stats {
		if c := at[s.LaunchConfigID]; c != nil {
			c.Stats = s.Stats
		}
	}
	if err := p.addTrouble(ctx, poolID, at); err != nil {
		return nil, err
	}
	all := 0
	for i := range out {
		all += out[i].Errors
	}
	for i := range out {
		if err := out[i].weigh(all); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *Pools) addTrouble(ctx context.Context, poolID string, at map[string]*ConfigState) error {
	rows, err := p.Pool.Query(ctx, troubleSQL.Text, poolID)
	if err != nil {
		return failed("errors of launch configs", err)
	}
	var (
		id              string
		hour, day, made int
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &hour, &day, &made}, func() error {
		if c := at[id]; c != nil {
			c.Errors, c.Day, c.Made = hour, day, made
		}
		return nil
	})
	return failed("errors of launch configs", err)
}

func (c *ConfigState) weigh(errors int) error {
	s, err := settings(c.Configuration)
	if err != nil {
		return err
	}
	var x priced
	if err := json.Unmarshal(c.Configuration, &x); err != nil {
		return fmt.Errorf("pools: launch config %s: %w", c.LaunchConfigID, err)
	}
	c.Price = x.Manager.Price
	if w := s.WorkerManager.InitialWeight; w != nil {
		c.Initial = *w
	}
	if m := s.WorkerManager.MaxCapacity; m != nil {
		c.Max = *m
	}
	if c.IsArchived {
		return nil
	}
	choice := estimate.Config{Weight: c.Initial, Max: c.Max, Existing: c.CurrentCapacity, Errors: c.Errors}
	c.Weight = choice.Now(errors)
	return nil
}

// Archive takes a launch config out of a pool's definition: no more workers are made of it, and those there are should end
// when they have no work. One that the pool does not have is a fault.NotFound.
func (p *Pools) Archive(ctx context.Context, actor, poolID, launchConfigID string) (Pool, error) {
	pool, err := p.Get(ctx, poolID)
	if err != nil {
		return Pool{}, err
	}
	d, err := without(pool, launchConfigID)
	if err != nil {
		return Pool{}, err
	}
	return p.UpdateSeen(ctx, actor, poolID, pool.LastModified, d)
}

// without is a pool's definition less a launch config.
func without(pool Pool, launchConfigID string) (Definition, error) {
	d := pool.Definition
	configs, err := readConfigs(pool.ID, d.Config)
	if err != nil {
		return d, err
	}
	var members map[string]json.RawMessage
	var list []json.RawMessage
	if err := errors.Join(json.Unmarshal(d.Config, &members), json.Unmarshal(members["launchConfigs"], &list)); err != nil {
		return d, fault.New(fault.NotFound, "The worker pool %s has no launch configs.", pool.ID)
	}
	for i, c := range configs {
		if c.id != launchConfigID {
			continue
		}
		rest, err := json.Marshal(append(append([]json.RawMessage{}, list[:i]...), list[i+1:]...))
		if err != nil {
			return d, err
		}
		members["launchConfigs"] = rest
		d.Config, err = json.Marshal(members)
		return d, err
	}
	return d, fault.New(fault.NotFound, "The worker pool %s has no launch config %s, or it is archived.", pool.ID, launchConfigID)
}

// Terminated is what became of the end of one of several workers.
type Terminated struct {
	Key Key
	Err error
}

// RemoveWorkers ends workers as RemoveWorker does: what fails for one is its result.
func (p *Pools) RemoveWorkers(ctx context.Context, keys []Key, reason string) []Terminated {
	out := make([]Terminated, len(keys))
	for i, k := range keys {
		out[i] = Terminated{k, p.RemoveWorker(ctx, k, reason)}
	}
	return out
}

// WorkerErrors counts what each of a pool's workers complained about, by group and id with a slash between, as long as
// errors are remembered.
func (p *Pools) WorkerErrors(ctx context.Context, poolID string) (map[string]int, error) {
	rows, err := p.Pool.Query(ctx, workerErrorsSQL.Text, poolID)
	if err != nil {
		return nil, failed("errors of workers", err)
	}
	out := map[string]int{}
	var group, id string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&group, &id, &n}, func() error {
		out[group+"/"+id] = n
		return nil
	})
	return out, failed("errors of workers", err)
}

// ErrorsSince counts the errors of each pool within a time, at most the seven days for which they are remembered.
func (p *Pools) ErrorsSince(ctx context.Context, hours int) (map[string]int, error) {
	rows, err := p.Pool.Query(ctx, errorsSinceSQL.Text, hours)
	if err != nil {
		return nil, failed("count errors", err)
	}
	out := map[string]int{}
	var id string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		out[id] = n
		return nil
	})
	return out, failed("count errors", err)
}

// Registered is when a worker registered, zero for one that has not, and why its pool wants it to end, "" when it does not.
func (w *Worker) Registered() (at task.Time, verdict string) {
	if w.registered != nil {
		at = task.At(*w.registered)
	}
	if w.verdict != nil {
		verdict = *w.verdict
	}
	return at, verdict
}

var (
	troubleSQL = pg.Statement{Name: "pools.trouble", Text: `
SELECT c.launch_config_id,
    count(e.error_id) FILTER (WHERE e.reported > now() - interval '1 hour')::int, count(e.error_id)::int,
    (SELECT count(*)::int FROM pool_workers w WHERE w.worker_pool_id = $1 AND w.launch_config_id = c.launch_config_id AND w.created > now() - interval '24 hours')
FROM launch_configs c LEFT JOIN worker_pool_errors e
    ON e.worker_pool_id = $1 AND e.launch_config_id = c.launch_config_id AND e.reported > now() - interval '24 hours'
WHERE c.worker_pool_id = $1 GROUP BY c.launch_config_id`}

	workerErrorsSQL = pg.Statement{Name: "pools.worker-errors", Text: `
SELECT extra->>'workerGroup', extra->>'workerId', count(*)::int FROM worker_pool_errors
WHERE worker_pool_id = $1 AND extra->>'workerId' IS NOT NULL AND extra->>'workerGroup' IS NOT NULL
GROUP BY 1, 2`}

	errorsSinceSQL = pg.Statement{Name: "pools.errors-since", Text: `
SELECT worker_pool_id, count(*)::int FROM worker_pool_errors WHERE reported > now() - $1::int * interval '1 hour' GROUP BY 1`}
)
