package checks

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Restored readies the checks of a database that was put back to an earlier point: GitHub may show check runs that it
// does not know of. They are looked for before they are made, and every recent revision is held against what GitHub
// shows as soon as a server runs. So are the branches of all repositories: webhooks that had arrived after the point do
// not come again.
func Restored(ctx context.Context, tx pgx.Tx) error {
	for _, s := range []pg.Statement{maybeMadeSQL, compareAllSQL, compareBranchesSQL} {
		if _, err := tx.Exec(ctx, s.Text); err != nil {
			return fmt.Errorf("checks: restored: %w", pg.Classify(err))
		}
	}
	return nil
}

var (
	maybeMadeSQL  = pg.Statement{Name: "checks.maybe-made", Text: `UPDATE github_checks SET perhaps = true WHERE github_id = 0 AND ended = ''`}
	compareAllSQL = pg.Statement{Name: "checks.compare-all", Text: `UPDATE github_check_heads SET compared = '-infinity'`}

	// -infinity is of repositories of which there is no record yet.
	compareBranchesSQL = pg.Statement{Name: "checks.compare-branches", Text: `UPDATE github_repositories SET compared = 'epoch' WHERE compared > 'epoch'`}
)
