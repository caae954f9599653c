package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

// makeHooks joins hooks with the queue, where their tasks go, and with the messages of the feed.
func (a *App) makeHooks() error {
	own := pulse.NewMapping(a.config.Pulse.Namespace)
	deps := hooks.Deps{
		Pool: a.pool, Ring: a.ring, Log: a.config.Log, Wake: a.feed.Wake,
		Create: a.createForHook, States: a.statesOf, Audit: auditHook, Failed: a.mailHookFailure,
		Kinds: own.Kinds(), Own: own.Has,
		Messages: func(e *event.Event) (hooks.Message, bool, error) {
			m, ok, err := own.Of(e)
			return hooks.Message{Exchange: m.Exchange, Keys: m.Keys, Payload: m.Body}, ok, err
		},
	}
	if a.config.Pulse.URL != "" {
		listener, err := pulse.NewListener(a.config.Pulse, "hooks")
		if err != nil {
			return err
		}
		deps.Broker = hookBroker{listener}
	}
	a.hooks = hooks.New(deps)
	return nil
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

func auditHook(ctx context.Context, tx pgx.Tx, d hooks.Deed) error {
	r := auth.Record{EntityType: "hook", EntityID: d.Hook, ClientID: d.Actor, Action: d.Action, Own: d.Own}
	if d.Before != nil {
		r.Before = d.Before
	}
	if d.After != nil {
		r.After = d.After
	}
	return auth.Audit(ctx, tx, r)
}

// startHooks begins to fire what is due.
func (a *App) startHooks(ctx context.Context) {
	a.hooks.Start(ctx, a.feed)
	a.onStop(func(context.Context) error { a.hooks.Stop(); return nil })
}

// mailHookFailure tells a hook's owner that it fired and no task could be made. A fire is told of once,
// whichever replicas try.
func (a *App) mailHookFailure(ctx context.Context, f hooks.Failure) {
	m := f.Hook.Metadata
	var text strings.Builder
	fmt.Fprintf(&text, "The hook %s could not make its task (it was fired by %s).\n\n%s\n", notify.Code(f.Hook.Name()), f.By, notify.Block(short(f.Message, 8000)))
	if f.Failures > 1 {
		fmt.Fprintf(&text, "\nIt has failed %d times in a row.\n", f.Failures)
	}
	if !f.Next.IsZero() {
		fmt.Fprintf(&text, "\nIt is fired next at %s UTC. A hook that keeps failing is fired less often, until it succeeds or is changed.\n", f.Next.UTC().Format("2006-01-02 15:04:05"))
	}
	err := a.notify.Mail(ctx, notify.Email{
		Address: m.Owner, Subject: "Hook " + short(f.Hook.Name(), 150) + " failed", Content: text.String(), State: "failed",
		Link: &notify.Link{Text: "Open the hook", Href: a.config.RootURL + "/hooks/" + f.Hook.Group + "/" + url.PathEscape(f.Hook.ID)},
		Why:  "You get this because you are the owner of the hook, and its emailOnError is on.",
		Key:  "hooks/" + f.Hook.Name() + "/" + f.TaskID,
	})
	if err != nil {
		a.config.Log.WarnContext(ctx, "the owner of a failing hook is not told by mail", "hook", f.Hook.Name(), "err", err)
	}
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
