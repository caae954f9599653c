package app

import (
	"context"

	"github.com/treeline-ci/treeline/app/whatif"
)

// lab tries configurations for the pages.
func (a *App) lab() *whatif.Lab {
	return whatif.New(whatif.Lab{
		Push: a.push, Open: a.openForge, At: a.intake.At, LevelOf: a.intake.Level, Pool: a.pool, RootURL: a.config.RootURL,
		Expand: func(ctx context.Context, scopes []string) ([]string, error) { return a.auth.Expand(ctx, scopes) },
	})
}
