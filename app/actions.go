package app

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/action"
	pages "github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/form"
)

// makeActions joins actions with the decisions that list them and the hooks that start them.
func (a *App) makeActions() {
	a.actions = actions.New(actions.Deps{
		Pool: a.pool, Queue: a.queue, Objects: a.objects, Auth: a.auth, Hooks: a.hooks, Intake: a.intake, Feed: a.feed,
		RootURL: a.config.RootURL, Log: a.config.Log,
	})
}

func (a *App) startActions(ctx context.Context) {
	a.actions.Run(ctx)
	a.onStop(func(context.Context) error { a.actions.Stop(); return nil })
}

// actionRoles lets the decisions of local repositories have hooks made for their actions.
func (a *App) actionRoles(ctx context.Context) error {
	for name := range a.repos {
		role := intake.Role(push.Repository{Name: name, Kind: push.LocalGit})
		for of, scopes := range map[string][]string{":branch:*": intake.HookScopes(), ":cron:*": intake.CronScopes()} {
			err := a.role(ctx, role+of, scopes, "What a decision about the local repository "+name+" may list besides.")
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pageActions gives the pages what they ask of actions.
type pageActions struct{ *actions.Actions }

func (p pageActions) Offered(ctx context.Context, caller auth.Caller, groupID, taskID string) ([]pages.Offer, error) {
	list, err := p.Actions.Offered(ctx, caller, groupID, taskID)
	out := make([]pages.Offer, len(list))
	for i, o := range list {
		out[i] = pages.Offer{Name: o.Name, Title: o.Title, Description: o.Description, Permission: o.Permission, Schema: o.Schema, Allowed: o.Allowed, Why: o.Why}
	}
	return out, err
}

func (p pageActions) StartAction(ctx context.Context, caller auth.Caller, s pages.Start) (string, []form.Problem, error) {
	started, err := p.Start(ctx, caller, actions.Start{TaskGroupID: s.GroupID, Name: s.Name, TaskID: s.TaskID, Input: s.Input, Key: s.Key})
	if wrong, ok := errors.AsType[*action.InputError](err); ok {
		problems := make([]form.Problem, len(wrong.Problems))
		for i, w := range wrong.Problems {
			problems[i] = form.Problem{Path: w.Path, Message: w.Message}
		}
		return "", problems, nil
	}
	return started.TaskID, nil, err
}

// findIndexedIn lists the tasks that stand directly in an index namespace.
func (a *App) findIndexedIn(ctx context.Context, namespace string) ([]string, error) {
	const page = 1000
	var ids []string
	for after := ""; ; {
		list, err := a.index.ListTasks(ctx, namespace, after, page)
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			ids, after = append(ids, e.TaskID), e.Namespace[strings.LastIndexByte(e.Namespace, 0x2e)+1:]
		}
		if len(list) < page {
			return ids, nil
		}
	}
}

// PruneActionHooks removes the hooks of actions that nobody used and no decision asked for that long.
func (a *App) PruneActionHooks(ctx context.Context, unused time.Duration) error {
	_, err := a.actions.Prune(ctx, unused)
	return err
}
