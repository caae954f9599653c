package app

import (
	"context"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
)

// openForge answers with what reads a repository.
func (a *App) openForge(ctx context.Context, r push.Repository) (intake.Forge, error) {
	if repo, ok := a.repos[r.Name]; ok && r.Kind == push.LocalGit {
		return intake.LocalForge(repo), nil
	}
	if repo, ok := a.mercurial[r.Name]; ok && r.Kind == push.Mercurial {
		return mercurialForge{repo}, nil
	}
	if a.github != nil && r.Kind == push.GitHub {
		return a.openGitHub(ctx, r)
	}
	return nil, fault.New(fault.NotFound, "this server has no repository %s; a repository of kind %s must be in its configuration", r.Name, r.Kind)
}
