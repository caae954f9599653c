package roster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Quarantine is one order to keep a worker from getting work, or to let it go on.
type Quarantine struct {
	ClientID        string    `json:"clientId"` // who ordered it
	UpdatedAt       task.Time `json:"updatedAt"`
	QuarantineUntil task.Time `json:"quarantineUntil"`
	QuarantineInfo  string    `json:"quarantineInfo"`
}

const (
	maxDetails = 50 // orders that are remembered of a worker
	// knownWithin is how old what a process believes of quarantines may be.
	knownWithin = 500 * time.Millisecond
)

// heldWorkers are the workers in quarantine as of an instant before asked.
type heldWorkers struct {
	asked time.Time
	keys  map[Key]bool
}

// Quarantined reports whether a worker is in quarantine, as it was knownWithin ago or later. It asks
// the database no more often than that, whoever calls.
func (r *Roster) Quarantined(ctx context.Context, k Key) (bool, error) {
	if h := r.held.Load(); h.fresh() {
		return h.keys[k], nil
	}
	r.refresh.Lock()
	defer r.refresh.Unlock()
	if h := r.held.Load(); h.fresh() {
		return h.keys[k], nil
	}
	h := &heldWorkers{asked: time.Now(), keys: map[Key]bool{}}
	rows, err := r.pool.Query(ctx, heldSQL.Text)
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", heldSQL.Name, pg.Classify(err))
	}
	var held Key
	_, err = pgx.ForEachRow(rows, []any{&held.TaskQueueID, &held.WorkerGroup, &held.WorkerID}, func() error {
		h.keys[held] = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", heldSQL.Name, pg.Classify(err))
	}
	r.held.Store(h)
	return h.keys[k], nil
}

func (h *heldWorkers) fresh() bool { return h != nil && time.Since(h.asked) < knownWithin }

// Order is a change of quarantines, for the audit trail.
type Order struct {
	Worker Key
	Quarantine
	Before *task.Time // until when the worker was in quarantine; nil when it never was
}

// WorkerQuarantined is the kind of the event that tells of an order. Its topic is the task queue, so that pages that follow
// it are told. Where quarantineUntil is not after timestamp, the quarantine was lifted.
const WorkerQuarantined = "worker-quarantined"

// tell appends the event of an order, in its transaction.
func (o *Order) tell(ctx context.Context, tx pgx.Tx) error {
	payload, err := json.Marshal(map[string]any{
		"workerPoolId": o.Worker.TaskQueueID, "workerGroup": o.Worker.WorkerGroup, "workerId": o.Worker.WorkerID,
		"quarantineUntil": o.QuarantineUntil, "clientId": o.ClientID, "reason": o.QuarantineInfo, "timestamp": o.UpdatedAt,
	})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: WorkerQuarantined, Topic: o.Worker.TaskQueueID, Payload: payload})
}

// Result is what became of an order for one of several workers.
type Result struct {
	Worker Worker
	Err    error // fault.NotFound for a worker that is not known
}

// Quarantine keeps a worker from getting work until the given instant; one that has passed lifts the
// quarantine. What the worker has claimed it keeps. When Quarantine returns, every replica knows: only
// a claim that had begun before can still end. A worker that is not known is fault.NotFound. The order
// is remembered with who gave it and info, and told of by an event (WorkerQuarantined).
func (r *Roster) Quarantine(ctx context.Context, k Key, until task.Time, clientID, info string) (Worker, error) {
	list, err := r.QuarantineAll(ctx, []Key{k}, until, clientID, info)
	if err != nil {
		return Worker{}, err
	}
	return list[0].Worker, list[0].Err
}

// QuarantineAll is Quarantine for many workers, each in a transaction of its own: what fails for one is its result, and the
// others go on.
func (r *Roster) QuarantineAll(ctx context.Context, keys []Key, until task.Time, clientID, info string) ([]Result, error) {
	if err := r.Flush(ctx); err != nil {
		return nil, err
	}
	out, done := make([]Result, len(keys)), false
	for i, k := range keys {
		w, err := r.order(ctx, k, until, clientID, info)
		if err != nil {
			err = fmt.Errorf("queue: quarantine of worker %s/%s: %w", k.WorkerGroup, k.WorkerID, err)
		}
		out[i], done = Result{w, err}, done || err == nil
	}
	if !done {
		return out, nil
	}
	r.held.Store(nil)
	if r.Wake != nil {
		r.Wake()
	}
	select { // until what other processes believe is newer than the commit
	case <-time.After(knownWithin):
	case <-ctx.Done():
	}
	return out, nil
}

func (r *Roster) order(ctx context.Context, k Key, until task.Time, clientID, info string) (w Worker, err error) {
	err = pg.Tx(ctx, r.pool, func(ctx context.Context, tx pgx.Tx) error {
		var now time.Time
		if err := tx.QueryRow(ctx, lockDetailsSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID).Scan(&now); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if w, err = readWorker(ctx, tx, k); err != nil {
			return err
		}
		order := Order{Worker: k, Quarantine: Quarantine{clientID, task.At(now), until, info}, Before: w.QuarantineUntil}
		details := append(w.QuarantineDetails, order.Quarantine)
		data, err := json.Marshal(details[max(0, len(details)-maxDetails):])
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, quarantineSQL.Text, k.TaskQueueID, k.WorkerGroup, k.WorkerID, until.Time, data); err != nil {
			return err
		}
		if err := order.tell(ctx, tx); err != nil {
			return err
		}
		if r.Audit != nil {
			if err := r.Audit(ctx, tx, order); err != nil {
				return err
			}
		}
		w, err = readWorker(ctx, tx, k)
		return err
	})
	return w, err
}

var (
	// The row to lock is made where there is none.
	lockDetailsSQL = pg.Statement{Name: "queue.lock-details", Text: `
INSERT INTO worker_details AS d (task_queue_id, worker_group, worker_id)
SELECT task_queue_id, worker_group, worker_id FROM queue_workers WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3
ON CONFLICT (task_queue_id, worker_group, worker_id) DO UPDATE SET expires = d.expires
RETURNING clock_timestamp()`}

	// A worker that stays away is remembered while its quarantine lasts, but not for ever.
	quarantineSQL = pg.Statement{Name: "queue.quarantine", Text: `
UPDATE worker_details SET quarantine_until = $4, quarantine_details = $5::json,
    expires = greatest(expires, now() + interval '1 day', least($4, now() + interval '1 year'))
WHERE task_queue_id = $1 AND worker_group = $2 AND worker_id = $3`}

	heldSQL = pg.Statement{Name: "queue.quarantined", Text: `
SELECT task_queue_id, worker_group, worker_id FROM worker_details WHERE quarantine_until > now()`}
)
