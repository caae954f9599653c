package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/quickstart"
	"github.com/treeline-ci/treeline/app/graphapi"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/ui/create"
)

// makeGitHub makes the room of the GitHub App, if there is one in the configuration.
func (a *App) makeGitHub(ctx context.Context) (err error) {
	if a.config.GitHub, err = StoredGitHub(ctx, a.secrets, a.config.GitHub, "treeline/github"); err != nil {
		return err
	}
	if a.config.GitHub.AppID == 0 {
		return nil
	}
	a.github, err = github.New(github.Deps{
		Config: a.config.GitHub, Pool: a.pool, Queue: a.queue, Push: a.push, Feed: a.feed, Expand: a.auth.Expand, Trigger: a.triggerForGitHub, Level: a.levelOf,
		Offered: func(ctx context.Context, caller auth.Caller, group, task string) ([]actions.Offer, error) {
			return a.actions.Offered(ctx, caller, group, task)
		},
		StartAction: func(ctx context.Context, caller auth.Caller, s actions.Start) (actions.Started, error) {
			return a.actions.Start(ctx, caller, s)
		},
		Story: graphapi.Stories(a.graphs()), Artifact: a.publicArtifact,
		Create: func(ctx context.Context, role string, tasks []templates.Task, before func(string) error, more ...string) error {
			return a.intake.Create(ctx, role, tasks, before, more...)
		},
		Past: a.pastOf, Keep: a.keepPage, Handled: a.metrics.Webhook, RootURL: a.config.RootURL, Log: a.config.Log,
	})
	return err
}

// publicArtifact opens an artifact of a run that anybody may read and that is stored here.
func (a *App) publicArtifact(ctx context.Context, taskID string, run int, name string) (io.ReadSeekCloser, error) {
	found, names, err := a.queue.FollowLinks(ctx, taskID, run, name)
	if err != nil {
		return nil, err
	}
	for _, n := range append(names, name) {
		if !strings.HasPrefix(n, "public/") || !found.StorageType.Stored() {
			return nil, fault.New(fault.NotFound, "The artifact %s of task %s is not public, or not stored here.", name, taskID)
		}
	}
	_, content, err := a.objects.Open(ctx, found.ObjectName())
	return content, err
}

// changes are what the App told of; nil without one.
func (a *App) changes() intake.Changes {
	if a.github == nil {
		return nil
	}
	return a.github
}

// triggerForGitHub fires a hook that a .taskcluster.yml asks for.
func (a *App) triggerForGitHub(ctx context.Context, h github.HookCall) (bool, error) {
	payload, err := json.Marshal(h.Payload)
	if err != nil {
		return false, fmt.Errorf("app: hook %s/%s: %w", h.Group, h.ID, err)
	}
	fired, err := a.hooks.Fire(ctx, hooks.Fire{Group: h.Group, ID: h.ID, By: hooks.TriggerHook, ClientID: "treeline/github", Payload: payload, TaskID: h.TaskID})
	return err == nil && !fired.Declined, err
}

// githubForge reads a repository at GitHub as intake does.
type githubForge struct{ *ghclient.Forge }

func (f githubForge) Tree(ctx context.Context, revision string) (intake.Tree, error) {
	return f.Forge.Tree(ctx, revision)
}

// Describe tells of a head without a record of its push; GitHub counts no pushes.
func (f githubForge) Describe(ctx context.Context, revision string) (push.Push, string, error) {
	p, err := f.Forge.Describe(ctx, revision)
	return p, "", err
}

func (a *App) openGitHub(ctx context.Context, r push.Repository) (intake.Forge, error) {
	forge, err := a.github.Forge(ctx, r)
	if err != nil {
		return nil, err
	}
	return githubForge{forge}, nil
}

// proposals make pull requests for the page quickstart; nil without an App.
func (a *App) proposals() create.Proposals {
	if a.github == nil {
		return nil
	}
	return &quickstart.Proposals{Pool: a.pool, Forge: a.github.Forge, RootURL: a.config.RootURL, Note: func(ctx context.Context, by, repository string, what any) error {
		return a.auth.Note(ctx, auth.Record{EntityType: "repository", EntityID: repository, ClientID: by, Action: "pull request asked for", After: what})
	}}
}

// startGitHub starts the room's loops.
func (a *App) startGitHub(ctx context.Context) error {
	if a.github == nil {
		return nil
	}
	if err := a.relevel(ctx); err != nil {
		return err
	}
	a.github.Start(ctx)
	a.onStop(func(context.Context) error { a.github.Stop(); return nil })
	return nil
}
