package pools

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/task"
)

// State is where a worker stands in its life (taskcluster-map 12.4).
type State string

// The states.
const (
	Requested State = "requested"
	Running   State = "running"
	Stopping  State = "stopping"
	Stopped   State = "stopped"
)

// Worker is a worker, as it is on the wire.
type Worker struct {
	WorkerPoolID   string    `json:"workerPoolId"`
	WorkerGroup    string    `json:"workerGroup"`
	WorkerID       string    `json:"workerId"`
	ProviderID     string    `json:"providerId"`
	LaunchConfigID string    `json:"launchConfigId,omitempty"`
	Created        task.Time `json:"created"`
	Expires        task.Time `json:"expires"`
	LastModified   task.Time `json:"lastModified"`
	LastChecked    task.Time `json:"lastChecked"`
	Capacity       int       `json:"capacity"`
	State          State     `json:"state"`

	launchKey      string
	data           json.RawMessage
	secretHash     []byte
	registerBy     *time.Time
	registered     *time.Time
	terminateAfter *time.Time
	inactivity     time.Duration
	verdict        *string
	now            time.Time // when the row was read
}

// Key returns the worker's name.
func (w *Worker) Key() Key { return Key{w.WorkerPoolID, w.WorkerGroup, w.WorkerID} }

// instance is the worker as its provider knows it.
func (w *Worker) instance() provider.Instance {
	return provider.Instance{Group: w.WorkerGroup, ID: w.WorkerID, Key: w.launchKey, Data: w.data}
}

func scanWorker(row pgx.CollectableRow) (w Worker, err error) {
	var config, key *string
	var data []byte
	err = row.Scan(&w.WorkerPoolID, &w.WorkerGroup, &w.WorkerID, &w.ProviderID, &config, &w.Created.Time, &w.Expires.Time, &w.LastModified.Time,
		&w.LastChecked.Time, &w.Capacity, &w.State, &key, &data, &w.secretHash, &w.registerBy, &w.registered, &w.terminateAfter, &w.inactivity, &w.verdict, &w.now)
	for _, t := range []*task.Time{&w.Created, &w.Expires, &w.LastModified, &w.LastChecked} {
		*t = task.At(t.Time)
	}
	if config != nil {
		w.LaunchConfigID = *config
	}
	if key != nil {
		w.launchKey = *key
	}
	w.data = data
	return w, err
}

// NewWorker is what an operator says of a worker that they set up by hand.
type NewWorker struct {
	Capacity     int             `json:"capacity"` // 0: 1, or as it is
	Expires      task.Time       `json:"expires"`
	ProviderInfo json.RawMessage `json:"providerInfo"`
}

// Manual is a provider whose workers operators set up.
type Manual interface {
	provider.Provider
	// Adopt reads what an operator says of a worker, and returns what there is to remember of it.
	Adopt(info json.RawMessage) (data json.RawMessage, err error)
}

// maxCapacity is how many tasks a worker may be said to run at once: more than any machine does.
const maxCapacity = 1_000_000

// manual returns the provider of a pool whose workers are set up by hand.
func (p *Pools) manual(pool *Pool) (Manual, error) {
	m, ok := p.Providers[pool.ProviderID].(Manual)
	if !ok {
		return nil, fault.New(fault.Invalid, "The workers of %s are made by its provider, %s, and not by hand.", pool.ID, pool.ProviderID)
	}
	return m, nil
}

// CreateWorker notes a worker that an operator has set up; it may register from then. The same one again, which is known
// by its secret, stays as it is and is no error; another one of the name is a fault.Conflict.
func (p *Pools) CreateWorker(ctx context.Context, k Key, n NewWorker) (Worker, error) {
	return p.putWorker(ctx, k, n, func(old *Worker, provider string, data json.RawMessage) (write bool, err error) {
		if old != nil && (old.State != Running || old.ProviderID != provider || !task.SameJSON(old.data, data)) {
			return false, fault.New(fault.Conflict, "The worker %s exists already, and is another one.", k)
		}
		return old == nil, nil
	})
}

// UpdateWorker changes what is known of a worker that an operator has set up.
func (p *Pools) UpdateWorker(ctx context.Context, k Key, n NewWorker) (Worker, error) {
	return p.putWorker(ctx, k, n, func(old *Worker, _ string, _ json.RawMessage) (write bool, err error) {
		if old == nil {
			return false, noWorker(k)
		}
		return true, nil
	})
}

// decision says whether to write a worker with a provider's data; old is nil when there is none.
type decision func(old *Worker, provider string, data json.RawMessage) (write bool, err error)

func (p *Pools) putWorker(ctx context.Context, k Key, n NewWorker, decide decision) (Worker, error) {
	if n.Capacity > maxCapacity {
		return Worker{}, fault.New(fault.Invalid, "The capacity of a worker is at most %d.", maxCapacity)
	}
	pool, err := p.Get(ctx, k.WorkerPoolID)
	if err != nil {
		return Worker{}, err
	}
	by, err := p.manual(&pool)
	if err != nil {
		return Worker{}, err
	}
	var data json.RawMessage
	if len(n.ProviderInfo) > 0 {
		if data, err = by.Adopt(n.ProviderInfo); err != nil {
			return Worker{}, err
		}
	}
	err = pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		old, err := p.lockWorker(ctx, tx, k)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if errors.Is(err, fault.NotFound) {
			old = nil
		}
		if write, err := decide(old, pool.ProviderID, data); err != nil || !write {
			return err
		}
		at, err := now(ctx, tx)
		if err != nil {
			return err
		}
		if !n.Expires.After(at) {
			return fault.New(fault.Invalid, "expires must be in the future.")
		}
		if old != nil {
			_, err := tx.Exec(ctx, updateWorkerSQL.Text, k.WorkerPoolID, k.WorkerGroup, k.WorkerID, n.Capacity, n.Expires.Time, text(data))
			return err
		}
		if data == nil {
			return fault.New(fault.Invalid, "A worker of %s needs providerInfo: by it the worker shows who it is.", pool.ProviderID)
		}
		w := Worker{WorkerPoolID: k.WorkerPoolID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID, ProviderID: pool.ProviderID, Capacity: max(1, n.Capacity)}
		tag, err := tx.Exec(ctx, insertWorkerSQL.Text, k.WorkerPoolID, k.WorkerGroup, k.WorkerID, w.ProviderID, w.Capacity, n.Expires.Time, text(data))
		if err == nil && tag.RowsAffected() == 0 {
			return fault.New(fault.Conflict, "The worker %s was just created by somebody else. Try again.", k)
		}
		if err != nil {
			return err
		}
		return tell(ctx, tx, workerRunning, w.about(""))
	})
	if err != nil {
		return Worker{}, failed("write worker "+k.String(), err)
	}
	p.wake()
	return p.Worker(ctx, k)
}

// text is JSON for a column that may be null.
func text(j json.RawMessage) *string {
	if j == nil {
		return nil
	}
	s := string(j)
	return &s
}

func noWorker(k Key) error { return fault.New(fault.NotFound, "There is no worker %s.", k) }

// RemoveWorker ends a worker: its provider is told to stop it, and what it has claimed is given to others once
// it is gone. One that is set up by hand is forgotten at once.
func (p *Pools) RemoveWorker(ctx context.Context, k Key, reason string) error {
	var gone bool
	err := pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		w, err := p.lockWorker(ctx, tx, k)
		if err != nil {
			return err
		}
		if _, gone = p.Providers[w.ProviderID].(Manual); gone {
			if err := tell(ctx, tx, workerRemoved, w.about(reason)); err != nil {
				return err
			}
			return p.setGone(ctx, tx, w, true)
		}
		return p.stop(ctx, tx, w, reason)
	})
	if err != nil {
		return failed("remove worker "+k.String(), err)
	}
	p.wake()
	if gone {
		return p.WorkerGone(ctx, k)
	}
	return nil
}

// stop marks a worker to be stopped: whoever checks it next tells its provider, and says so again until it is
// gone. One that is stopping or stopped is left as it is.
func (p *Pools) stop(ctx context.Context, tx pgx.Tx, w *Worker, reason string) error {
	if w.State == Stopping || w.State == Stopped {
		return nil
	}
	if _, err := tx.Exec(ctx, stopSQL.Text, w.WorkerPoolID, w.WorkerGroup, w.WorkerID, reason); err != nil {
		return err
	}
	return tell(ctx, tx, workerRemoved, w.about(reason))
}

// setGone marks a worker as stopped, or forgets it. The caller tells the queue after the commit.
func (p *Pools) setGone(ctx context.Context, tx pgx.Tx, w *Worker, forget bool) error {
	if w.State == Stopped {
		return nil
	}
	s := goneSQL
	if forget {
		s = forgetSQL
	}
	if _, err := tx.Exec(ctx, s.Text, w.WorkerPoolID, w.WorkerGroup, w.WorkerID); err != nil {
		return err
	}
	return tell(ctx, tx, workerStopped, w.about(""))
}

func (p *Pools) lockWorker(ctx context.Context, tx pgx.Tx, k Key) (*Worker, error) {
	rows, err := tx.Query(ctx, lockWorkerSQL.Text, k.WorkerPoolID, k.WorkerGroup, k.WorkerID)
	if err != nil {
		return nil, err
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWorker)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noWorker(k)
	}
	return &w, err
}

// Worker reads a worker.
func (p *Pools) Worker(ctx context.Context, k Key) (Worker, error) {
	rows, err := p.Pool.Query(ctx, getWorkerSQL.Text, k.WorkerPoolID, k.WorkerGroup, k.WorkerID)
	if err != nil {
		return Worker{}, failed("get worker", err)
	}
	w, err := pgx.CollectExactlyOneRow(rows, scanWorker)
	if errors.Is(err, pgx.ErrNoRows) {
		return Worker{}, noWorker(k)
	}
	return w, failed("get worker", err)
}

// WorkerFilter says which workers of a pool to list.
type WorkerFilter struct {
	WorkerGroup, LaunchConfigID string
	State                       State
	AfterGroup, AfterID         string
}

// Workers lists a pool's workers, at most limit, by group and id.
func (p *Pools) Workers(ctx context.Context, poolID string, f WorkerFilter, limit int) ([]Worker, error) {
	rows, err := p.Pool.Query(ctx, listPoolWorkersSQL.Text, poolID, f.WorkerGroup, f.LaunchConfigID, string(f.State), f.AfterGroup, f.AfterID, limit)
	if err != nil {
		return nil, failed("list workers", err)
	}
	list, err := pgx.CollectRows(rows, scanWorker)
	return list, failed("list workers", err)
}

// Brief is what tables of workers show of one.
type Brief struct {
	WorkerGroup, WorkerID string
	LaunchConfigID        string // "" for none
	State                 State
	Capacity              int
	Created               time.Time
	Registered            time.Time // zero: it has not
}

// Briefs lists all workers of a pool by group and id, without what providers and workers' secrets need, which is most of
// a row.
func (p *Pools) Briefs(ctx context.Context, poolID string) ([]Brief, error) {
	rows, err := p.Pool.Query(ctx, briefsSQL.Text, poolID)
	if err != nil {
		return nil, failed("list workers in brief", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b Brief, err error) {
		var registered *time.Time
		err = row.Scan(&b.WorkerGroup, &b.WorkerID, &b.LaunchConfigID, &b.State, &b.Capacity, &b.Created, &registered)
		if registered != nil {
			b.Registered = *registered
		}
		return b, err
	})
	return list, failed("list workers in brief", err)
}

// allWorkers reads all workers of a pool, stopped ones too.
func (p *Pools) allWorkers(ctx context.Context, poolID string) (map[Key]Worker, error) {
	rows, err := p.Pool.Query(ctx, poolWorkersSQL.Text, poolID)
	if err != nil {
		return nil, failed("workers of "+poolID, err)
	}
	list, err := pgx.CollectRows(rows, scanWorker)
	out := make(map[Key]Worker, len(list))
	for _, w := range list {
		out[w.Key()] = w
	}
	return out, failed("workers of "+poolID, err)
}

const (
	workerColumns = `worker_pool_id, worker_group, worker_id, provider_id, launch_config_id, created, expires, last_modified,
    last_checked, capacity, state, launch_key, provider_data, secret_hash, register_by, registered, terminate_after, inactivity, verdict, clock_timestamp()`
	oneWorker = `worker_pool_id = $1 AND worker_group = $2 AND worker_id = $3`
)

var (
	getWorkerSQL  = pg.Statement{Name: "pools.worker", Text: `SELECT ` + workerColumns + ` FROM pool_workers WHERE ` + oneWorker}
	lockWorkerSQL = pg.Statement{Name: "pools.lock-worker", Text: `SELECT ` + workerColumns + ` FROM pool_workers WHERE ` + oneWorker + ` FOR UPDATE`}

	poolWorkersSQL = pg.Statement{Name: "pools.pool-workers", Text: `SELECT ` + workerColumns + ` FROM pool_workers WHERE worker_pool_id = $1`}

	briefsSQL = pg.Statement{Name: "pools.briefs", Text: `
SELECT worker_group, worker_id, coalesce(launch_config_id, ''), state, capacity, created, registered
FROM pool_workers WHERE worker_pool_id = $1 ORDER BY worker_group, worker_id`}

	listPoolWorkersSQL = pg.Statement{Name: "pools.list-workers", Text: `
SELECT ` + workerColumns + ` FROM pool_workers
WHERE worker_pool_id = $1 AND ($2 = '' OR worker_group = $2) AND ($3 = '' OR launch_config_id = $3) AND ($4 = '' OR state = $4)
  AND (worker_group, worker_id) > ($5, $6)
ORDER BY worker_group, worker_id LIMIT $7`}

	insertWorkerSQL = pg.Statement{Name: "pools.insert-worker", Text: `
INSERT INTO pool_workers (worker_pool_id, worker_group, worker_id, provider_id, capacity, expires, provider_data, state)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, 'running') ON CONFLICT DO NOTHING`}

	updateWorkerSQL = pg.Statement{Name: "pools.update-worker", Text: `
UPDATE pool_workers SET capacity = CASE WHEN $4 > 0 THEN $4 ELSE capacity END, expires = $5,
    provider_data = coalesce($6::text::json, provider_data), last_modified = now()
WHERE ` + oneWorker}

	stopSQL = pg.Statement{Name: "pools.stop", Text: `
UPDATE pool_workers SET state = 'stopping', stop_reason = $4, last_modified = now(), next_check = now() WHERE ` + oneWorker}

	// A worker that is gone is remembered for a while.
	goneSQL = pg.Statement{Name: "pools.gone", Text: `
UPDATE pool_workers SET state = 'stopped', last_modified = now(), secret_hash = NULL,
    expires = least(expires, now() + interval '1 day')
WHERE ` + oneWorker}

	forgetSQL = pg.Statement{Name: "pools.forget", Text: `DELETE FROM pool_workers WHERE ` + oneWorker}
)
