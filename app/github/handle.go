package github

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// handle does what a delivery asks for and says in a few words what became of it. Each event has its effect from the
// table "Webhook events and effects" (vcs-integration 1.3); what is in no row is kept and does nothing.
func (g *GitHub) handle(ctx context.Context, d delivery) (string, error) {
	does, known := map[string]func(context.Context, *told) (string, error){
		"push": g.onPush, "pull_request": g.onPull, "issue_comment": g.onComment, "release": g.onRelease, "merge_group": g.onMergeGroup,
		"delete": g.onDelete, "installation": g.onInstallation, "installation_repositories": g.onInstallationRepositories,
		"installation_target": g.onInstallationTarget, "repository": g.onRepository, graphDiffEvent: g.onGraphDiff, "check_run": g.onCheckRun, "check_suite": g.onCheckSuite,
	}[d.Event]
	if !known {
		return ignored(d.Event, d.Action), nil
	}
	p, whole, err := readPayload(d)
	if err != nil {
		return "", err
	}
	t := &told{delivery: d, payload: p, whole: whole}
	outcome, err := does(ctx, t)
	if err == nil && t.repo.ID != 0 {
		err = g.announce(ctx, t)
	}
	return outcome, err
}

// told is a delivery that has been read.
type told struct {
	delivery
	payload
	whole map[string]any // for files that are rendered
	repo  repository
}

// ignored says why an event does nothing.
func ignored(event, action string) string {
	switch event {
	case "ping":
		return "ping: the webhook works"
	case "create":
		return "the branch or tag comes as a push too"
	case "check_run", "check_suite":
		return event + "." + action + ": GitHub tells of what we did"
	case "member", "membership", "organization", "team", "team_add":
		return "permissions are asked for each time; nothing is remembered of them"
	case "github_app_authorization":
		return "no tokens of people are kept"
	}
	if action != "" {
		event += "." + action
	}
	return event + " starts nothing"
}

// find finds the repository of a delivery, which it makes known; "" for why says that work may start for it.
func (g *GitHub) find(ctx context.Context, t *told) (why string, err error) {
	if t.payload.Installation.ID == 0 {
		return "the webhook is not one of the App: it names no installation", nil
	}
	if t.repo, err = g.know(ctx, t.payload.Installation.ID, t.payload.Repository); err != nil {
		return "", err
	}
	if !t.repo.Enabled {
		return "the repository is archived", nil
	}
	return "", nil
}

func (g *GitHub) onDelete(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	if t.RefType != "branch" {
		return "a tag was deleted", nil
	}
	return "the branch is forgotten", g.Push.DropHead(ctx, t.repo.Name, t.Ref)
}

func (g *GitHub) onInstallation(ctx context.Context, t *told) (string, error) {
	in := t.payload.Installation
	state := "active"
	switch t.payload.Action {
	case "deleted":
		state = "deleted"
	case "suspend":
		state = "suspended"
	case "created", "unsuspend", "new_permissions_accepted":
	default:
		return ignored("installation", t.payload.Action), nil
	}
	if err := g.setInstallation(ctx, in, state); err != nil {
		return "", err
	}
	g.client.Forget(in.ID) // its tokens have other permissions now, or none
	if state != "active" {
		_, err := g.Pool.Exec(ctx, disableSQL.Text, in.ID, []int64{})
		if err != nil {
			return "", fmt.Errorf("github: installation %d: %w", in.ID, pg.Classify(err))
		}
		return "the installation is " + state, g.Checks.EndInstallation(ctx, in.ID, "the installation is "+state)
	}
	n, err := g.sync(ctx, in.ID)
	if err == nil {
		err = g.Checks.Resume(ctx, in.ID)
	}
	return fmt.Sprintf("the installation reaches %d repositories", n), err
}

func (g *GitHub) onInstallationRepositories(ctx context.Context, t *told) (string, error) {
	in := t.payload.Installation
	if err := g.setInstallation(ctx, in, "active"); err != nil {
		return "", err
	}
	var gone []int64
	for _, r := range t.Removed {
		gone = append(gone, r.ID)
	}
	if _, err := g.Pool.Exec(ctx, disableRepositorySQL.Text, gone); err != nil {
		return "", fmt.Errorf("github: installation %d: %w", in.ID, pg.Classify(err))
	}
	if err := g.Checks.EndRepositories(ctx, gone, "the repository was taken from the App"); err != nil {
		return "", err
	}
	g.client.Forget(in.ID) // a token reaches what its installation reached when it was made
	n, err := g.sync(ctx, in.ID)
	if err == nil {
		err = g.Checks.Resume(ctx, in.ID)
	}
	return fmt.Sprintf("the installation reaches %d repositories", n), err
}

func (g *GitHub) onInstallationTarget(ctx context.Context, t *told) (string, error) {
	n, err := g.sync(ctx, t.payload.Installation.ID)
	return fmt.Sprintf("the account was renamed; %d repositories", n), err
}

func (g *GitHub) onRepository(ctx context.Context, t *told) (string, error) {
	switch t.payload.Action {
	case "renamed", "transferred", "edited", "archived", "unarchived", "privatized", "publicized", "created":
	case "deleted":
		ids := []int64{t.payload.Repository.ID}
		_, err := g.Pool.Exec(ctx, disableRepositorySQL.Text, ids)
		if err == nil {
			err = g.Checks.EndRepositories(ctx, ids, "the repository was deleted")
		}
		return "the repository is gone", err
	default:
		return ignored("repository", t.payload.Action), nil
	}
	if _, err := g.find(ctx, t); err != nil && !errors.Is(err, fault.NotFound) {
		return "", err
	}
	return "what is known of the repository is up to date", nil
}

// tagOrBranch takes a ref apart.
func tagOrBranch(ref string) (name string, isTag bool) {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return tag, true
	}
	return strings.TrimPrefix(ref, "refs/heads/"), false
}
