package app

import (
	"slices"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/taskgraph/glob"
)

// isTry reports whether the configuration calls a branch of a repository try (try-branches).
func (a *App) isTry(repository, branch string) bool {
	d := a.described(push.Repository{Name: repository})
	return slices.ContainsFunc(d.TryBranches, func(pattern string) bool { return pattern != "" && glob.Match(pattern, branch) })
}
