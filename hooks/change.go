package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// The kinds of events that changes append to the feed.
const (
	hookCreated = "hook-created"
	hookUpdated = "hook-updated"
	hookDeleted = "hook-deleted"

	hookFired = "hook-fired" // for pages; nothing of it goes to listeners
)

// Create makes a hook and returns it with its defaults. The same definition again changes nothing;
// another one is a fault.Conflict. actor is who asks.
func (h *Hooks) Create(ctx context.Context, actor string, hook Hook) (Hook, error) {
	err := h.change(ctx, actor, false, &hook, func(old *Hook) (string, error) {
		switch {
		case old == nil:
			return hookCreated, nil
		case equal(*old, hook):
			return "", nil
		}
		return "", fault.New(fault.Conflict, "The hook %s exists already, with another definition.", hook.Name())
	})
	return hook, err
}

// Update changes a hook; one that does not exist is a fault.NotFound. Its failures are forgotten.
func (h *Hooks) Update(ctx context.Context, actor string, hook Hook) (Hook, error) {
	err := h.change(ctx, actor, false, &hook, func(old *Hook) (string, error) {
		if old == nil {
			return "", notFound(hook.Group, hook.ID)
		}
		return hookUpdated, nil
	})
	return hook, err
}

// Ensure makes a hook what the definition says, on behalf of the server itself: it creates it, changes it,
// or leaves it alone.
func (h *Hooks) Ensure(ctx context.Context, actor string, hook Hook) error {
	return h.change(ctx, actor, true, &hook, func(old *Hook) (string, error) {
		switch {
		case old == nil:
			return hookCreated, nil
		case equal(*old, hook):
			return "", nil
		}
		return hookUpdated, nil
	})
}

// change writes a definition, if decide, which gets what is there, names the event that this is.
func (h *Hooks) change(ctx context.Context, actor string, own bool, hook *Hook, decide func(old *Hook) (string, error)) error {
	changed := false
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		changed = false
		var now time.Time
		if err := tx.QueryRow(ctx, nowSQL.Text).Scan(&now); err != nil {
			return err
		}
		next, err := h.complete(hook, now)
		if err != nil {
			return err
		}
		row, old, err := h.lock(ctx, tx, hook.Group, hook.ID)
		if err != nil {
			return err
		}
		kind, err := decide(old)
		if err != nil || kind == "" {
			return err
		}
		if old == nil {
			created, err := h.insert(ctx, tx, hook, next)
			if err != nil {
				return err
			}
			if !created { // by somebody else, a moment ago: look again
				return errRace
			}
		} else if err := h.update(ctx, tx, hook, row, next); err != nil {
			return err
		}
		changed = true
		return h.told(ctx, tx, actor, hook, kind, old, own)
	})
	if errors.Is(err, errRace) {
		return h.change(ctx, actor, own, hook, decide)
	}
	if err != nil {
		return failed("write "+hook.Name(), err)
	}
	if changed {
		h.changed()
	}
	return nil
}

// errRace ends a transaction that met a hook made at the same moment.
var errRace = errors.New("the hook is being made by somebody else")

// lock reads a hook for a change; old is nil when there is none.
func (h *Hooks) lock(ctx context.Context, tx pgx.Tx, group, id string) (row, *Hook, error) {
	rows, err := tx.Query(ctx, lockSQL.Text, group, id)
	if err != nil {
		return row{}, nil, err
	}
	list, err := pgx.CollectRows(rows, scanRow)
	if err != nil || len(list) == 0 {
		return row{}, nil, err
	}
	return list[0], &list[0].Hook, nil
}

func (h *Hooks) insert(ctx context.Context, tx pgx.Tx, hook *Hook, next time.Time) (bool, error) {
	token, err := h.seal(TokenColumn, hook.Group, hook.ID, slug.New())
	if err != nil {
		return false, err
	}
	taskID, err := h.seal(TaskColumn, hook.Group, hook.ID, slug.Nice())
	if err != nil {
		return false, err
	}
	metadata, bindings, err := encoded(hook)
	if err != nil {
		return false, err
	}
	tag, err := tx.Exec(ctx, insertSQL.Text, hook.Group, hook.ID, metadata, hook.Schedule, bindings, string(hook.Task), string(hook.TriggerSchema), token, taskID, date(next))
	return tag.RowsAffected() > 0, err
}

// update keeps the date that is due when the schedule stays as it is: an edit loses no fire.
func (h *Hooks) update(ctx context.Context, tx pgx.Tx, hook *Hook, old row, next time.Time) error {
	taskID := old.sealedTaskID
	due := date(next)
	if slices.Equal(hook.Schedule, old.Schedule) && old.next != nil && (old.failures == 0 || old.next.Before(next)) {
		next = *old.next
		if due = old.due; old.failures > 0 {
			due = old.next
		}
	} else {
		var err error
		if taskID, err = h.seal(TaskColumn, hook.Group, hook.ID, slug.Nice()); err != nil {
			return err
		}
	}
	metadata, bindings, err := encoded(hook)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, updateSQL.Text, hook.Group, hook.ID, metadata, hook.Schedule, bindings, string(hook.Task), string(hook.TriggerSchema),
		taskID, date(next), due, !slices.Equal(hook.Bindings, old.Bindings))
	return err
}

func encoded(hook *Hook) (metadata, bindings string, err error) {
	m, err := json.Marshal(hook.Metadata)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(hook.Bindings)
	return string(m), string(b), err
}

// date is a time for a column that may be null.
func date(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// told records a change in the trail and in the feed, and marks the copies of bindings as old.
func (h *Hooks) told(ctx context.Context, tx pgx.Tx, actor string, hook *Hook, kind string, old *Hook, own bool) error {
	if len(hook.Bindings) > 0 || old != nil && len(old.Bindings) > 0 {
		if _, err := tx.Exec(ctx, changeSQL.Text); err != nil {
			return err
		}
	}
	if h.Audit != nil {
		action := map[string]string{hookCreated: "created", hookUpdated: "updated", hookDeleted: "deleted"}[kind]
		d := Deed{Actor: actor, Hook: hook.Name(), Action: action, Before: old, After: hook, Own: own}
		if kind == hookDeleted {
			d.After = nil
		}
		if err := h.Audit(ctx, tx, d); err != nil {
			return err
		}
	}
	body, err := json.Marshal(map[string]string{"hookGroupId": hook.Group, "hookId": hook.ID})
	if err != nil {
		return err
	}
	return event.Append(ctx, tx, event.Event{Kind: kind, Topic: hook.Name(), Payload: body})
}

// Remove removes a hook with its fires; one that does not exist is removed already.
func (h *Hooks) Remove(ctx context.Context, actor, group, id string) error {
	hook := Hook{Group: group, ID: id}
	gone := false
	err := pg.Tx(ctx, h.Pool, func(ctx context.Context, tx pgx.Tx) error {
		_, old, err := h.lock(ctx, tx, group, id)
		if gone = old != nil; err != nil || !gone {
			return err
		}
		for _, s := range []pg.Statement{deleteSQL, deleteFiresSQL, deleteMessagesSQL} {
			if _, err := tx.Exec(ctx, s.Text, group, id); err != nil {
				return err
			}
		}
		return h.told(ctx, tx, actor, &hook, hookDeleted, old, false)
	})
	if err != nil {
		return failed("remove "+hook.Name(), err)
	}
	if gone {
		h.changed()
	}
	return nil
}

func notFound(group, id string) error {
	return fault.New(fault.NotFound, "There is no hook %s/%s.", group, id)
}

var (
	nowSQL    = pg.Statement{Name: "hooks.now", Text: `SELECT clock_timestamp()`}
	insertSQL = pg.Statement{Name: "hooks.insert", Text: `
INSERT INTO hook_definitions (hook_group_id, hook_id, metadata, schedule, bindings, task, trigger_schema, sealed_trigger_token, sealed_next_task_id, next_date, due)
VALUES ($1, $2, $3::text::json, $4, $5::text::jsonb, $6::text::json, $7::text::json, $8, $9, $10, $10) ON CONFLICT DO NOTHING`}
	updateSQL = pg.Statement{Name: "hooks.update", Text: `
UPDATE hook_definitions SET metadata = $3::text::json, schedule = $4, bindings = $5::text::jsonb, task = $6::text::json, trigger_schema = $7::text::json,
	sealed_next_task_id = $8, next_date = $9, due = $10, failures = 0, modified = now(),
	bound = CASE WHEN $11 THEN now() ELSE bound END, binding_error = CASE WHEN $11 THEN '' ELSE binding_error END
WHERE hook_group_id = $1 AND hook_id = $2`}
	deleteSQL         = pg.Statement{Name: "hooks.delete", Text: `DELETE FROM hook_definitions WHERE hook_group_id = $1 AND hook_id = $2`}
	deleteFiresSQL    = pg.Statement{Name: "hooks.delete_fires", Text: `DELETE FROM hook_fires WHERE hook_group_id = $1 AND hook_id = $2`}
	deleteMessagesSQL = pg.Statement{Name: "hooks.delete_messages", Text: `DELETE FROM hook_messages WHERE hook_group_id = $1 AND hook_id = $2`}
	changeSQL         = pg.Statement{Name: "hooks.change", Text: `UPDATE hook_changes SET version = version + 1`}
)
