// Package standing tells how the bridge to GitHub stands: what came and is not handled, and how the repositories are.
package standing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how the bridge to GitHub stands.
type Figures struct {
	Waiting  int           // webhooks that are stored and not handled
	Oldest   time.Duration // how long the one waits that waits longest
	Failed   int           // given up within the last day
	Enabled  int           // repositories
	Disabled int
	Compared time.Duration // how long ago branches were held against the record, of the repository where it is longest ago; 0 without any
	Blocked  int           // installations of which GitHub takes no requests for now
}

// Of tells how the bridge stands.
func Of(ctx context.Context, pool *pgxpool.Pool) (f Figures, err error) {
	err = pool.QueryRow(ctx, figuresSQL.Text).Scan(&f.Waiting, &f.Oldest, &f.Failed, &f.Enabled, &f.Disabled, &f.Compared, &f.Blocked)
	if err != nil {
		return f, fmt.Errorf("github: figures: %w", pg.Classify(err))
	}
	return f, nil
}

// Statements lists every statement of the package, to be counted by name.
func Statements() []pg.Statement { return []pg.Statement{figuresSQL} }

var figuresSQL = pg.Statement{Name: "github.figures", Text: `
		SELECT d.n, d.oldest, (SELECT count(*) FROM github_deliveries WHERE state = 'failed' AND received > clock_timestamp() - interval '1 day')::int,
			r.enabled, r.disabled, r.compared, (SELECT count(*) FROM github_installations WHERE state = 'active' AND blocked_until > clock_timestamp())::int
		FROM (SELECT count(*)::int AS n, coalesce(greatest(clock_timestamp() - min(received), '0'), '0') AS oldest FROM github_deliveries WHERE state = 'new') AS d,
			(SELECT count(*) FILTER (WHERE enabled)::int AS enabled, count(*) FILTER (WHERE NOT enabled)::int AS disabled,
				coalesce(greatest(clock_timestamp() - min(CASE WHEN compared = '-infinity' THEN updated ELSE compared END) FILTER (WHERE enabled), '0'), '0') AS compared
			FROM github_repositories) AS r`}
