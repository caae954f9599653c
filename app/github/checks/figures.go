package checks

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Figures are how far GitHub is behind what it is to show.
type Figures struct {
	Due       int           // check runs and statuses that it is to be told of now
	Later     int           // those put off after an error, or by the pace
	Oldest    time.Duration // how long the one waits that waits longest
	Marks     int           // revisions that are yet to be looked at
	Remaining int           // requests that GitHub takes still, of the installation with the fewest; -1 when that is not known
}

// Figures tells how far GitHub is behind.
func (c *Checks) Figures(ctx context.Context) (f Figures, err error) {
	err = c.Pool.QueryRow(ctx, figuresSQL.Text).Scan(&f.Due, &f.Later, &f.Oldest, &f.Marks, &f.Remaining)
	if err != nil {
		return f, fmt.Errorf("checks: figures: %w", pg.Classify(err))
	}
	return f, nil
}

var figuresSQL = pg.Statement{Name: "checks.figures", Text: `
		SELECT count(*) FILTER (WHERE due <= clock_timestamp())::int, count(*) FILTER (WHERE due > clock_timestamp())::int,
			coalesce(greatest(clock_timestamp() - min(updated), '0'), '0'),
			(SELECT count(DISTINCT (repository_id, sha)) FROM github_check_marks)::int,
			coalesce((SELECT min(remaining) FROM github_pace WHERE refilled > clock_timestamp()), -1)
		FROM github_checks WHERE sent < wanted AND ended = ''`}
