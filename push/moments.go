package push

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Moments are when a push came and was decided, and where it was made.
type Moments struct {
	URL, Kind string    // of the repository
	Dated     time.Time // when the forge took it, by its clock; zero where it does not say
	Received  time.Time // when it was recorded
	Decided   time.Time // when its graph was in the queue, or it was known that there is none; zero before
}

// Moments returns the moments of a push; a fault.NotFound without one.
func (l *Log) Moments(ctx context.Context, repository string, id int64) (Moments, error) {
	rows, err := l.pool.Query(ctx, momentsSQL.Text, repository, id)
	if err != nil {
		return Moments{}, fmt.Errorf("push: moments of %s %d: %w", repository, id, pg.Classify(err))
	}
	m, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Moments])
	if err != nil {
		return Moments{}, fmt.Errorf("push: moments of %s %d: %w", repository, id, pg.Classify(err))
	}
	return m, nil
}

// Anywhere returns the newest push of a whole revision, in whatever repository.
func (l *Log) Anywhere(ctx context.Context, revision string) (Push, error) {
	return l.one(ctx, "anywhere", anywhereSQL, revision)
}

var (
	momentsSQL = pg.Statement{Name: "push.moments", Text: `
		SELECT r.url, r.kind, coalesce(p.dated, '0001-01-01 00:00:00Z'), p.pushed,
			CASE WHEN p.state IN ('decided', 'failed', 'ignored') THEN p.pushed + make_interval(secs => p.decision_millis / 1000.0) ELSE '0001-01-01 00:00:00Z' END
		FROM pushes p JOIN repositories r ON r.name = p.repository WHERE p.repository = $1 AND p.id = $2`}

	anywhereSQL = pg.Statement{Name: "push.anywhere", Text: `
		SELECT ` + columns + ` FROM pushes WHERE revision = $1 ORDER BY pushed DESC LIMIT 1`}
)
