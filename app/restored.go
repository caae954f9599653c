package app

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Restored readies a database that was put back to an earlier point, and in which no server runs, for servers
// (docs/operations/backup.md). by says who did it. With nothingLost it is written down only that the database moved.
func Restored(ctx context.Context, pool *pgxpool.Pool, by string, nothingLost bool) (backup.Lineage, error) {
	return backup.Restored(ctx, pool, backup.Restore{
		By: by, NothingLost: nothingLost, Rooms: []func(context.Context, pgx.Tx) error{event.Restored, compareBranches, checks.Restored},
	})
}

// compareBranches has the branches of all repositories of the GitHub App held against the record at once: webhooks that
// had arrived after the point do not come again.
func compareBranches(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, compareBranchesSQL.Text); err != nil {
		return fmt.Errorf("app: %s: %w", compareBranchesSQL.Name, pg.Classify(err))
	}
	return nil
}

// meetDatabase looks whether the database is the one that it was. One that was put back is served: claims are told apart
// without help. But what else has to be done for it was forgotten.
func (a *App) meetDatabase(ctx context.Context) error {
	l, err := backup.Meet(ctx, a.pool)
	if err != nil {
		return err
	}
	if l.Moved() {
		a.config.Log.ErrorContext(ctx, "the database is not the one that it was: stop all servers, give the command treeline db restored, start them again",
			"why", l.Why(), "is", l.Is, "was", l.Known)
	}
	return nil
}

// -infinity is of repositories of which there is no record yet.
var compareBranchesSQL = pg.Statement{Name: "app.compare-branches", Text: `
UPDATE github_repositories SET compared = 'epoch' WHERE compared > 'epoch'`}
