package github

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/actions"
	"github.com/treeline-ci/treeline/app/github/buttons"
	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/templates"
)

// askForFile is how long GitHub is asked which buttons are wished. Without an answer the usual ones are offered: what
// may be done is asked when one is pressed.
const askForFile = 5 * time.Second

// offer says which buttons a completed check has, and in Markdown where the forms of actions are that need an input.
func (g *GitHub) offer(ctx context.Context, c checks.Check, tasks []checks.Task) ([]checks.Action, string, error) {
	place := buttons.PlaceOf(c, tasks)
	if place.For == "" {
		return nil, "", nil
	}
	owner, repo, _ := strings.Cut(c.Repository, "/")
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return nil, "", ignoreGone(err)
	}
	file := g.files.Get(r.ID, func() (*templates.File, error) {
		ctx, cancel := context.WithTimeout(ctx, askForFile)
		defer cancel()
		file, _, err := g.defaults(ctx, r)
		return file, err
	})
	there, _, err := g.startable(ctx, r, place)
	if err != nil {
		return nil, "", err
	}
	o := buttons.Choose(buttons.Wished(file, place, there), place, there, g.RootURL)
	out := make([]checks.Action, len(o.Buttons))
	for i, b := range o.Buttons {
		out[i] = checks.Action{Label: b.Label, Description: b.Description, Identifier: b.Identifier}
	}
	return out, o.Links(), nil
}

// startable are the actions on a task or a group, each with whether the repository's role may start it, and who starts
// them. A group without a list of actions has none.
func (g *GitHub) startable(ctx context.Context, r repository, p buttons.Place) ([]actions.Offer, auth.Caller, error) {
	caller, err := g.starter(ctx, r, p.TaskGroupID)
	if err != nil || g.Offered == nil {
		return nil, caller, ignoreGone(err)
	}
	there, err := g.Offered(ctx, caller, p.TaskGroupID, p.TaskID)
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.TooLarge:
		return nil, caller, nil
	}
	return there, caller, err
}

// starter is in whose name actions are started for people at GitHub: a role of the repository by what the build is
// for. Neither the scopes of who presses nor those of the change count.
func (g *GitHub) starter(ctx context.Context, r repository, group string) (auth.Caller, error) {
	c, err := g.ByTaskGroup(ctx, group)
	if err != nil {
		return auth.Caller{}, err
	}
	role := r.role() + ":buttons:" + buttons.Role(c)
	held, err := g.Expand(ctx, []string{"assume:" + role})
	return auth.Caller{ClientID: role, Scopes: held}, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// roleOf returns what somebody may do with a repository.
func (g *GitHub) roleOf(ctx context.Context, r repository, login string) (ghclient.Role, error) {
	switch {
	case login == "":
		return ghclient.NoRole, nil
	case strings.EqualFold(login, r.Owner):
		return ghclient.Administers, nil
	}
	return g.forge(r).RoleOf(ctx, login)
}
