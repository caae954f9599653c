package actions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Run starts the loop that makes the hooks of decisions as they end. It runs until Stop.
func (a *Actions) Run(ctx context.Context) {
	ctx, a.cancel = context.WithCancel(ctx)
	a.loops.Go(func() { a.follow(ctx) })
}

// Stop ends the loops and waits for them.
func (a *Actions) Stop() {
	if a.cancel != nil {
		a.cancel()
	}
	a.loops.Wait()
}

// follow makes the hooks that decisions name, so that other programs can trigger them, too. Start makes
// those that it needs by itself.
func (a *Actions) follow(ctx context.Context) {
	err := a.Feed.Consume(ctx, "action-hooks", event.Interest{Kinds: []string{"task-completed"}, First: true, Every: 100 * time.Millisecond}, func(ctx context.Context, _ pgx.Tx, events []event.Event) error {
		for _, e := range events {
			if err := a.decided(ctx, e.TaskID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		a.Log.ErrorContext(ctx, "hooks of actions are made only when they are used", "err", err)
	}
}

// decided makes the hooks of one decision. What is wrong with the tree is no error here: whoever starts
// the action is told.
func (a *Actions) decided(ctx context.Context, decision string) error {
	if _, err := a.Intake.Occasion(ctx, decision); err != nil {
		return ignorable(err)
	}
	g, err := a.read(ctx, decision, "")
	if err != nil {
		return ignorable(err)
	}
	seen := map[string]bool{}
	for _, e := range g.listing.Actions {
		if e.Kind != action.Hook || seen[e.HookGroupID+"/"+e.HookID] {
			continue
		}
		seen[e.HookGroupID+"/"+e.HookID] = true
		if err := a.ensure(ctx, g, []action.Entry{e}); err != nil {
			if ignorable(err) != nil {
				return err
			}
			a.Log.InfoContext(ctx, "a hook of actions is not made", "decision", decision, "hook", e.HookGroupID+"/"+e.HookID, "why", fault.Message(err))
		}
	}
	return nil
}

// ignorable drops errors that speak of what the tree asks for.
func ignorable(err error) error {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.Forbidden, fault.Conflict, fault.TooLarge, fault.BadInput:
		return nil
	}
	return err
}

// Prune removes hooks, with their roles, that no decision asked for and nobody used for that long, up to 100
// at once, and returns how many.
func (a *Actions) Prune(ctx context.Context, unused time.Duration) (removed int64, err error) {
	rows, err := a.Pool.Query(ctx, unusedSQL.Text, unused)
	if err != nil {
		return 0, fmt.Errorf("actions: unused hooks: %w", pg.Classify(err))
	}
	type hook struct{ Group, ID string }
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[hook])
	if err != nil {
		return 0, fmt.Errorf("actions: unused hooks: %w", pg.Classify(err))
	}
	a.making.Lock()
	defer a.making.Unlock()
	for _, h := range list {
		err := pg.Tx(ctx, a.Pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, lockHookSQL.Text, h.Group+"/"+h.ID); err != nil {
				return err
			}
			tag, err := tx.Exec(ctx, dropHookSQL.Text, h.Group, h.ID, unused)
			if err != nil || tag.RowsAffected() == 0 {
				return err // used in between
			}
			if err := a.Hooks.Remove(ctx, actor, h.Group, h.ID); err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			return a.Auth.DeleteRole(ctx, actor, roleOf(h.Group, h.ID))
		})
		if err != nil {
			return removed, fmt.Errorf("actions: remove hook %s/%s: %w", h.Group, h.ID, err)
		}
		a.Log.InfoContext(ctx, "a hook of actions that nobody needs any more is removed", "hook", h.Group+"/"+h.ID)
		removed++
	}
	return removed, nil
}

// Statements are the SQL of this package, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{freshSQL, lockHookSQL, useHookSQL, sharersSQL, unusedSQL, dropHookSQL}
}

var (
	unusedSQL = pg.Statement{Name: "actions.unused-hooks", Text: `
SELECT hook_group_id, hook_id FROM action_hooks GROUP BY hook_group_id, hook_id HAVING max(used) < now() - $1::interval
ORDER BY hook_group_id, hook_id LIMIT 100`}

	dropHookSQL = pg.Statement{Name: "actions.drop-hook", Text: `
DELETE FROM action_hooks WHERE hook_group_id = $1 AND hook_id = $2
	AND NOT EXISTS (SELECT FROM action_hooks WHERE hook_group_id = $1 AND hook_id = $2 AND used >= now() - $3::interval)`}
)
