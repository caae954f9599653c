package app

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

// makeHooks joins hooks with the queue, where their tasks go, and with the messages of the feed.
func (a *App) makeHooks() {
	own := pulse.NewMapping(a.config.Pulse.Namespace)
	deps := hooks.Deps{
		Pool: a.pool, Ring: a.ring, Log: a.config.Log, Wake: a.feed.Wake,
		Create: a.createForHook, States: a.statesOf, Audit: auditHook,
		Kinds: own.Kinds(), Own: own.Has,
		Messages: func(e *event.Event) (hooks.Message, bool, error) {
			m, ok, err := own.Of(e)
			return hooks.Message{Exchange: m.Exchange, Keys: m.Keys, Payload: m.Body}, ok, err
		},
	}
	a.hooks = hooks.New(deps)
}

// createForHook creates a task with the scopes of a hook's role. Whoever fired the hook lends it none.
func (a *App) createForHook(ctx context.Context, c hooks.Creation) error {
	t := queue.NewTask{ID: c.TaskID}
	if err := json.Unmarshal(c.Definition, &t.Definition); err != nil {
		return fault.New(fault.BadInput, "The task is none: %v.", err)
	}
	if err := t.Prepare(); err != nil {
		return err
	}
	held, err := a.auth.Expand(ctx, c.Scopes)
	if err != nil {
		return err
	}
	if err := scope.Check(c.Role, false, held, scopes.Create(t.Definition)); err != nil {
		return err
	}
	_, err = a.queue.Create(ctx, t.ID, t.Definition)
	return err
}

// statesOf tells the states of those tasks that exist.
func (a *App) statesOf(ctx context.Context, ids []string) (map[string]task.State, error) {
	states := make(map[string]task.State, len(ids))
	list, err := a.queue.Statuses(ctx, ids)
	for _, s := range list {
		states[s.TaskID] = s.State
	}
	return states, err
}

func auditHook(ctx context.Context, tx pgx.Tx, actor, hook, action string) error {
	return auth.Audit(ctx, tx, auth.Record{EntityType: "hook", EntityID: hook, ClientID: actor, Action: action})
}

// startHooks begins to fire what is due.
func (a *App) startHooks(ctx context.Context) {
	a.hooks.Start(ctx, a.feed)
	a.onStop(func(context.Context) error { a.hooks.Stop(); return nil })
}
