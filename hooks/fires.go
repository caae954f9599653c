package hooks

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// LastFire is a fire that was not declined.
type LastFire struct {
	TaskID    string
	By        FiredBy
	Time      time.Time
	Scheduled *time.Time // the date of the schedule, if that fired it
	Missed    int        // dates of the schedule after Scheduled that were left out, because nobody was there
	Error     string     // "" is success
	State     task.State // "" when the queue has no such task
}

// Mark is a place in the list of a hook's fires; the zero value is its start.
type Mark struct {
	Time   time.Time
	TaskID string
}

// LastFires returns up to limit fires of a hook, newest first, after a mark. A hook that never fired, or
// does not exist, is a fault.NotFound.
func (h *Hooks) LastFires(ctx context.Context, group, id string, after Mark, limit int) ([]LastFire, error) {
	fires, err := h.fires(ctx, group, id, after, limit)
	if err != nil {
		return nil, err
	}
	if len(fires) == 0 && after.TaskID == "" {
		return nil, fault.New(fault.NotFound, "The hook %s/%s has not fired within a year, or does not exist.", group, id)
	}
	if h.States == nil {
		return fires, nil
	}
	ids := make([]string, len(fires))
	for i, f := range fires {
		ids[i] = f.TaskID
	}
	states, err := h.States(ctx, ids)
	if err != nil {
		return nil, failed("states of tasks", err)
	}
	for i := range fires {
		fires[i].State = states[fires[i].TaskID]
	}
	return fires, nil
}

func (h *Hooks) fires(ctx context.Context, group, id string, after Mark, limit int) ([]LastFire, error) {
	var from *time.Time
	if after.TaskID != "" {
		from = &after.Time
	}
	rows, err := h.Pool.Query(ctx, lastFiresSQL.Text, group, id, from, after.TaskID, limit)
	if err != nil {
		return nil, failed("fires of "+group+"/"+id, err)
	}
	fires, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (LastFire, error) {
		var f LastFire
		err := r.Scan(&f.TaskID, &f.By, &f.Time, &f.Scheduled, &f.Missed, &f.Error)
		f.Time = f.Time.UTC()
		return f, err
	})
	return fires, failed("fires of "+group+"/"+id, err)
}

const pruneBatch = 1000

// Prune removes fires that are older than keep, in small steps, and returns how many. Any number of
// replicas may do it at once.
func (h *Hooks) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, h.Pool, pruneFiresSQL, pruneBatch, keep.Seconds())
	return n, failed("prune", err)
}

var (
	lastFiresSQL = pg.Statement{Name: "hooks.last_fires", Text: `
SELECT task_id, fired_by, fired, scheduled, missed, error FROM hook_fires
WHERE hook_group_id = $1 AND hook_id = $2 AND ($3::timestamptz IS NULL OR (fired, task_id) < ($3, $4))
ORDER BY fired DESC, task_id DESC LIMIT $5`}
	pruneFiresSQL = pg.Statement{Name: "hooks.prune_fires", Text: `
DELETE FROM hook_fires WHERE (hook_group_id, hook_id, task_id) IN (
	SELECT hook_group_id, hook_id, task_id FROM hook_fires WHERE fired < now() - make_interval(secs => $2) ORDER BY fired LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
