package retention

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Noted is a job as the database knows it.
type Noted struct {
	Job      string
	Failures int    // in a row
	Error    string // why the last run did not end well
	Late     bool   // it is due for more than an hour, and nobody does it
}

// All says what the servers wrote down of their jobs, for whoever is no server.
func All(ctx context.Context, pool *pgxpool.Pool) ([]Noted, error) {
	rows, err := pool.Query(ctx, notedSQL.Text)
	if err != nil {
		return nil, failed(notedSQL, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Noted])
	if err != nil {
		return nil, failed(notedSQL, err)
	}
	return list, nil
}

// A job of something that is no more, such as a GitHub App, is late for ever: a day later nobody minds.
var notedSQL = pg.Statement{Name: "retention.noted", Text: `
SELECT job, coalesce(failures, 0), coalesce(error, ''), next_run BETWEEN now() - interval '1 day' AND now() - interval '1 hour' FROM retention_jobs ORDER BY job`}
