package github

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Restored readies what is known of GitHub in a database that was put back to an earlier point: webhooks that had
// arrived since do not come again, so the branches of all repositories are held against the record at once, and so are
// check runs.
func Restored(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, compareBranchesSQL.Text); err != nil {
		return fmt.Errorf("github: restored: %w", pg.Classify(err))
	}
	return checks.Restored(ctx, tx)
}

// -infinity is of repositories of which there is no record yet.
var compareBranchesSQL = pg.Statement{Name: "github.compare-branches", Text: `
UPDATE github_repositories SET compared = 'epoch' WHERE compared > 'epoch'`}
