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
	checkBatch  = 100
	stopsAtOnce = 8 // calls of a provider at once
	// unseenGrace is how long a provider may not know yet what it has just made.
	unseenGrace = 2 * time.Minute
)

// checks looks after a provider's workers.
func (p *Pools) checks(ctx context.Context, id string, s provider.Scaler) {
	every(ctx, p.Every/2, nil, func(ctx context.Context) bool {
		ctx, cancel := context.WithTimeout(ctx, turnLimit)
		defer cancel()
		n, err := p.Look(ctx, id, s)
		if err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "workers cannot be looked after, trying again", "provider", id, "err", err)
		}
		return n == checkBatch && err == nil
	})
}

// Look takes some of a provider's workers whose time has come, asks the provider how they are, draws the
// conclusions, and returns how many it took.
func (p *Pools) Look(ctx context.Context, id string, s provider.Scaler) (int, error) {
	rows, err := p.Pool.Query(ctx, claimChecksSQL.Text, id, checkBatch, 2*p.Every, rowLife)
	if err != nil {
		return 0, failed("take workers to check", err)
	}
	list, err := pgx.CollectRows(rows, scanWorker)
	if err != nil || len(list) == 0 {
		return 0, failed("take workers to check", err)
	}
	instances := make([]provider.Instance, len(list))
	for i := range list {
		instances[i] = list[i].instance()
	}
	healths, err := s.Look(ctx, instances)
	if err != nil {
		return 0, fmt.Errorf("pools: ask %s about workers: %w", id, err)
	}
	if len(healths) != len(list) {
		return 0, fault.New(fault.Internal, "pools: provider %s told of %d workers, not of %d", id, len(healths), len(list))
	}
	errs := make([]error, len(list))
	limit := make(chan struct{}, stopsAtOnce)
	var all sync.WaitGroup
	for i := range list {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			errs[i] = p.conclude(ctx, s, &list[i], healths[i])
		})
	}
	all.Wait()
	return len(list), errors.Join(errs...)
}

// conclude brings a worker's row in line with how it is, and its provider in line with the row.
func (p *Pools) conclude(ctx context.Context, s provider.Scaler, w *Worker, h provider.Health) error {
	idle, err := p.idle(ctx, w)
	if err != nil {
		return err
	}
	before := w.State
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		// As it is now: it may have registered, or been removed, since it was taken.
		locked, err := p.lockWorker(ctx, tx, w.Key())
		if errors.Is(err, fault.NotFound) {
			w.State = Stopped
			return nil
		}
		if err != nil {
			return err
		}
		*w = *locked
		before = w.State
		if h == provider.Gone {
			if w.State == Requested && w.now.Sub(w.Created.Time) < unseenGrace {
				return nil
			}
			if err := p.setGone(ctx, tx, w, false); err != nil {
				return err
			}
			w.State = Stopped
			return nil
		}
		reason := w.overdue(idle)
		if h == provider.Stopping {
			reason = "stopped from outside"
		}
		if reason == "" || w.State == Stopping {
			return nil
		}
		if err := p.stop(ctx, tx, w, reason); err != nil {
			return err
		}
		w.State = Stopping
		return nil
	})
	if err != nil {
		return failed("check "+w.Key().String(), err)
	}
	if w.State != before {
		p.wake()
	}
	switch {
	case w.State == Stopped && before != Stopped:
		p.Log.InfoContext(ctx, "a worker is gone", "worker", w.Key().String(), "was", before)
		return p.WorkerGone(ctx, w.Key())
	case w.State == Stopping:
		return p.stopNow(ctx, s, w)
	}
	return nil
}

// stopNow tells the provider to stop a worker; it is told again at each check until the worker is gone.
func (p *Pools) stopNow(ctx context.Context, s provider.Scaler, w *Worker) error {
	err := s.Stop(ctx, w.instance())
	if err == nil || ctx.Err() != nil {
		return nil
	}
	p.Log.WarnContext(ctx, "a worker could not be stopped, trying again", "worker", w.Key().String(), "err", err)
	pool, poolErr := p.Get(ctx, w.WorkerPoolID)
	if poolErr != nil {
		return poolErr
	}
	extra, jsonErr := json.Marshal(map[string]any{"workerGroup": w.WorkerGroup, "workerId": w.WorkerID, "code": codeOf(err)})
	if jsonErr != nil {
		return jsonErr
	}
	_, err = p.report(ctx, pool, Error{Kind: terminationError, Title: "Worker Termination Error", Description: err.Error(), LaunchConfigID: w.LaunchConfigID, Extra: extra, worker: w})
	return err
}

// idle says since when the queue has not heard of a running worker; zero when it need not be asked, or when
// the worker is in quarantine: those are left alone.
func (p *Pools) idle(ctx context.Context, w *Worker) (time.Duration, error) {
	if w.State != Running || w.registered == nil || w.now.Sub(*w.registered) < w.inactivity {
		return 0, nil
	}
	seen, ok, err := p.SeenOne(ctx, w.Key())
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return w.now.Sub(*w.registered), nil
	case seen.QuarantineUntil.After(w.now):
		return 0, nil
	}
	return min(w.now.Sub(seen.LastDateActive), w.now.Sub(*w.registered)), nil
}

// overdue says why a worker is to be stopped, "" when it is not.
func (w *Worker) overdue(idle time.Duration) string {
	switch {
	case w.State == Requested && w.registerBy != nil && w.now.After(*w.registerBy):
		return "registration timeout exceeded"
	case w.State == Running && w.terminateAfter != nil && w.now.After(*w.terminateAfter):
		return "terminateAfter time exceeded"
	case w.State == Running && idle > w.inactivity:
		return "queueInactivityTimeout exceeded"
	}
	return ""
}

var (
	claimChecksSQL = pg.Statement{Name: "pools.claim-checks", Text: `
UPDATE pool_workers SET next_check = now() + $3::interval, last_checked = now(), expires = greatest(expires, now() + $4::interval)
WHERE (worker_pool_id, worker_group, worker_id) IN (
    SELECT worker_pool_id, worker_group, worker_id FROM pool_workers
    WHERE provider_id = $1 AND state <> 'stopped' AND next_check <= now() ORDER BY next_check LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING ` + workerColumns}
)
