package hooks

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Pause keeps a hook from firing by its schedule and by messages until Resume; who calls for it still gets a task. The
// definition stays as it is.
func (h *Hooks) Pause(ctx context.Context, actor, group, id string) error {
	return h.pause(ctx, actor, group, id, true)
}

// Resume ends a pause. Dates and messages of the meantime are left out.
func (h *Hooks) Resume(ctx context.Context, actor, group, id string) error {
	return h.pause(ctx, actor, group, id, false)
}

func (h *Hooks) pause(ctx context.Context, actor, group, id string, pause bool) error {
	changed := false
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		r, old, err := h.lock(ctx, tx, group, id)
		if err != nil {
			return err
		}
		if old == nil {
			return notFound(group, id)
		}
		if changed = (r.paused != nil) != pause; !changed {
			return nil
		}
		action := "paused"
		if pause {
			_, err = tx.Exec(ctx, pauseSQL.Text, group, id, actor)
		} else {
			action = "resumed"
			var next time.Time
			if next, err = h.nextOf(&r); err == nil {
				_, err = tx.Exec(ctx, resumeSQL.Text, group, id, date(next))
			}
		}
		if err != nil {
			return err
		}
		if len(old.Bindings) > 0 {
			if _, err := tx.Exec(ctx, changeSQL.Text); err != nil {
				return err
			}
		}
		if h.Audit == nil {
			return nil
		}
		return h.Audit(ctx, tx, Deed{Actor: actor, Hook: old.Name(), Action: action})
	})
	if err != nil {
		return failed("pause "+group+"/"+id, err)
	}
	if changed {
		h.changed()
	}
	return nil
}

func (h *Hooks) nextOf(r *row) (time.Time, error) {
	schedule, err := parseSchedule(r.Schedule)
	return cron.First(schedule, r.now), err
}

var (
	pauseSQL = pg.Statement{Name: "hooks.pause", Text: `
UPDATE hook_definitions SET paused = now(), paused_by = $3 WHERE hook_group_id = $1 AND hook_id = $2`}
	resumeSQL = pg.Statement{Name: "hooks.resume", Text: `
UPDATE hook_definitions SET paused = NULL, paused_by = '', next_date = $3, due = $3, failures = 0, bound = now() WHERE hook_group_id = $1 AND hook_id = $2`}
)
