package github

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Installed reports whether the App is installed at a repository.
func (g *GitHub) Installed(ctx context.Context, owner, repo string) (bool, error) {
	r, err := g.named(ctx, owner, repo)
	if errors.Is(err, fault.NotFound) {
		return false, nil
	}
	return r.Enabled, err
}

// Newest returns the newest build of a push to a branch; nil when there is none.
func (g *GitHub) Newest(ctx context.Context, owner, repo, branch string) (*Build, error) {
	list, err := g.builds(ctx, branchSQL, owner, repo, branch)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}

// CreateStatus sets a status of a revision in the App's name.
func (g *GitHub) CreateStatus(ctx context.Context, owner, repo, sha string, s ghclient.CommitStatus) error {
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return err
	}
	return ghclient.AsFault(g.forge(r).SetStatus(ctx, sha, s))
}

// CreateComment writes a comment in the App's name.
func (g *GitHub) CreateComment(ctx context.Context, owner, repo string, number int, text string) error {
	r, err := g.named(ctx, owner, repo)
	if err != nil {
		return err
	}
	return ghclient.AsFault(g.forge(r).Comment(ctx, number, "", text))
}

var branchSQL = pg.Statement{Name: "github.newest-of-branch", Text: `
	SELECT ` + buildColumns + ` FROM github_builds
	WHERE lower(organization) = lower($1) AND lower(repository) = lower($2) AND branch = $3 AND event_type = 'push' ORDER BY created DESC LIMIT 1`}
