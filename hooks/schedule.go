package hooks

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

const (
	batch    = 100              // hooks claimed at once
	abreast  = 8                // fired at once
	lease    = 2 * time.Minute  // after which a claimed hook is another's to fire
	maxSleep = 15 * time.Second // between looks, when nothing is due before
	minSleep = 20 * time.Millisecond

	// tardy is from when on a fire counts as late: then the task is created with the time of its creation,
	// because the queue takes none that is older than 15 minutes.
	tardy = 10 * time.Minute

	// Patience is how many scheduled fires may fail in a row before dates are left out.
	Patience     = 3
	firstBackoff = time.Minute
	maxBackoff   = 24 * time.Hour
	firstRetry   = 5 * time.Second
	maxRetry     = 15 * time.Minute
)

// schedules fires what is due until ctx ends.
func (h *Hooks) schedules(ctx context.Context) {
	for ctx.Err() == nil {
		n, sleep, err := h.Round(ctx)
		if err != nil && ctx.Err() == nil {
			h.Log.ErrorContext(ctx, "scheduled hooks cannot be fired; tried again soon", "err", err)
			sleep = time.Second
		}
		if n > 0 && err == nil {
			continue
		}
		timer := time.NewTimer(sleep)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-h.wake:
		}
		timer.Stop()
	}
}

// Round claims and fires up to 100 hooks that are due. It returns how many they were, and how long
// nothing more is due. Any number of replicas may do it at once: each hook is claimed by one of them, for
// two minutes.
func (h *Hooks) Round(ctx context.Context) (n int, sleep time.Duration, err error) {
	rows, err := h.Pool.Query(ctx, claimSQL.Text, batch, lease)
	if err != nil {
		return 0, 0, failed("claim", err)
	}
	claimed, err := pgx.CollectRows(rows, scanRow)
	if err != nil {
		return 0, 0, failed("claim", err)
	}
	if len(claimed) == 0 {
		return 0, h.untilDue(ctx), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lease*3/4)
	defer cancel()
	var group sync.WaitGroup
	slots := make(chan struct{}, abreast)
	for i := range claimed {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := h.fireScheduled(ctx, &claimed[i]); err != nil && ctx.Err() == nil {
				h.Log.ErrorContext(ctx, "a scheduled hook cannot be fired; tried again in two minutes", "hook", claimed[i].Name(), "err", err)
			}
		})
	}
	group.Wait()
	return len(claimed), 0, nil
}

// untilDue is how long nothing is due.
func (h *Hooks) untilDue(ctx context.Context) time.Duration {
	var wait *time.Duration
	if err := h.Pool.QueryRow(ctx, unlockSQL.Text).Scan(&wait); err != nil || wait == nil {
		return maxSleep
	}
	return min(max(*wait, minSleep), maxSleep)
}

// fireScheduled fires a claimed hook and moves it to its next date.
func (h *Hooks) fireScheduled(ctx context.Context, r *row) error {
	if r.next == nil { // an edit took the schedule away
		return nil
	}
	taskID, err := h.open(TaskColumn, r.Group, r.ID, r.sealedTaskID)
	if err != nil {
		return err
	}
	schedule, err := parseSchedule(r.Schedule)
	if err != nil {
		return err
	}
	date := r.next.UTC()
	a := attempt{by: Schedule, taskID: taskID, now: date, scheduled: &date, missed: missed(schedule, date, r.now), own: true}
	if r.now.Sub(date) > tardy {
		a.now = r.now
	}
	declined, outcome := h.attempt(ctx, &r.Hook, a)
	if outcome != nil && transient(outcome) {
		return h.retryScheduled(ctx, r, a, outcome)
	}
	// From the later of both, should the clock have been set back.
	from := r.now
	if date.After(from) {
		from = date
	}
	failures := 0
	if outcome != nil {
		failures = r.failures + 1
		from = from.Add(backoff(failures))
	}
	next := cron.First(schedule, from)
	err = h.moveOn(ctx, r, next, failures, func(ctx context.Context, tx pgx.Tx) error {
		if declined {
			return nil
		}
		return recordIn(ctx, tx, &r.Hook, a, outcome)
	})
	if err == nil && outcome != nil {
		h.tell(ctx, Failure{Hook: r.Hook, By: Schedule, TaskID: taskID, Message: explained(outcome), Failures: failures, Next: next})
	}
	return err
}

// missed counts the dates after the one that is fired that have passed already; they are left out.
func missed(schedule []*cron.Schedule, date, now time.Time) int {
	const most = 10000
	n := 0
	for at := cron.First(schedule, date); !at.IsZero() && !at.After(now) && n < most; at = cron.First(schedule, at) {
		n++
	}
	return n
}

// backoff is how long dates are left out after so many failures in a row.
func backoff(failures int) time.Duration {
	if failures < Patience {
		return 0
	}
	return min(firstBackoff<<min(failures-Patience, 20), maxBackoff)
}

// moveOn gives a hook its next date with a new task id, if it is still where the claim found it, and
// writes down what became of this one.
func (h *Hooks) moveOn(ctx context.Context, r *row, next time.Time, failures int, record func(ctx context.Context, tx pgx.Tx) error) error {
	sealed, err := h.seal(TaskColumn, r.Group, r.ID, slug.Nice())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	err = pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, movedSQL.Text, r.Group, r.ID, r.sealedTaskID, date(next), sealed, failures); err != nil {
			return err
		}
		return record(ctx, tx)
	})
	return failed("move "+r.Name()+" to its next date", err)
}

// retryScheduled leaves a hook at its date and with its task id, to be tried again.
func (h *Hooks) retryScheduled(ctx context.Context, r *row, a attempt, outcome error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	pause := min(firstRetry<<min(r.failures, 20), maxRetry)
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, retrySQL.Text, r.Group, r.ID, r.sealedTaskID, pause); err != nil {
			return err
		}
		return recordIn(ctx, tx, &r.Hook, a, outcome)
	})
	return failed("put "+r.Name()+" off", err)
}

// succeeded forgets the failures of a hook, and the dates left out because of them.
func (h *Hooks) succeeded(ctx context.Context, tx pgx.Tx, hook *Hook) error {
	schedule, err := parseSchedule(hook.Schedule)
	if err != nil {
		return err
	}
	var now time.Time
	var failures int
	rows, err := tx.Query(ctx, failedSQL.Text, hook.Group, hook.ID)
	if err != nil {
		return err
	}
	if _, err := pgx.ForEachRow(rows, []any{&failures, &now}, func() error { return nil }); err != nil || failures == 0 {
		return err
	}
	_, err = tx.Exec(ctx, succeededSQL.Text, hook.Group, hook.ID, date(cron.First(schedule, now)))
	return err
}

// tell lets the owner know of a failure, unless they asked not to.
func (h *Hooks) tell(ctx context.Context, f Failure) {
	if h.Failed != nil && f.Hook.Metadata.EmailOnError {
		h.Failed(context.WithoutCancel(ctx), f)
	}
}

var (
	claimSQL = pg.Statement{Name: "hooks.claim", Text: `
WITH due AS MATERIALIZED (
	SELECT hook_group_id AS g, hook_id AS h FROM hook_definitions WHERE due <= now() AND paused IS NULL ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE hook_definitions SET due = now() + $2 FROM due WHERE hook_group_id = g AND hook_id = h
RETURNING ` + rowColumns}

	movedSQL = pg.Statement{Name: "hooks.moved", Text: `
UPDATE hook_definitions SET next_date = $4, due = $4, sealed_next_task_id = $5, failures = $6
WHERE hook_group_id = $1 AND hook_id = $2 AND sealed_next_task_id = $3`}

	retrySQL = pg.Statement{Name: "hooks.retry", Text: `
UPDATE hook_definitions SET due = now() + $4, failures = failures + 1 WHERE hook_group_id = $1 AND hook_id = $2 AND sealed_next_task_id = $3`}

	unlockSQL = pg.Statement{Name: "hooks.until_due", Text: `SELECT min(due) - clock_timestamp() FROM hook_definitions WHERE due IS NOT NULL AND paused IS NULL`}

	failedSQL = pg.Statement{Name: "hooks.failures", Text: `
SELECT failures, now() FROM hook_definitions WHERE hook_group_id = $1 AND hook_id = $2 AND failures > 0 FOR UPDATE`}

	// A hook that waits at its date stays there.
	succeededSQL = pg.Statement{Name: "hooks.succeeded", Text: `
UPDATE hook_definitions SET failures = 0, due = CASE WHEN next_date <= now() THEN next_date ELSE least(next_date, $3) END, next_date = least(next_date, $3)
WHERE hook_group_id = $1 AND hook_id = $2`}
)
