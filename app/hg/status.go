package hg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Status is how a repository stands.
type Status struct {
	Name     string     `db:"name"`
	URL      string     `db:"-"` // "" for one that this server's configuration has not
	Pushlog  *bool      `db:"pushlog"`
	Cursor   int64      `db:"cursor"`
	Heads    int        `db:"heads"`
	Looked   *time.Time `db:"looked"`    // the last look that succeeded
	Next     *time.Time `db:"next_look"` // nil: at once
	Moved    *time.Time `db:"moved"`     // the last look that found something
	Hinted   *time.Time `db:"hinted"`    // the last hint
	Hints    int64      `db:"hints"`
	Failures int        `db:"failures"` // looks that failed since
	Error    string     `db:"error"`
}

// List tells how the repositories stand, by name.
func (w *Watch) List(ctx context.Context) ([]Status, error) {
	rows, err := w.Pool.Query(ctx, statusSQL.Text)
	if err != nil {
		return nil, fmt.Errorf("app/hg: status: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Status])
	if err != nil {
		return nil, fmt.Errorf("app/hg: status: %w", pg.Classify(err))
	}
	for i := range list {
		if r := w.repos[list[i].Name]; r != nil {
			list[i].URL = r.URL
		}
	}
	return list, nil
}

var statusSQL = pg.Statement{Name: "app/hg.status", Text: `
	SELECT name, pushlog, cursor, (SELECT count(*) FROM jsonb_object_keys(heads))::int AS heads, hints, failures, error,
		nullif(looked, '-infinity') AS looked, nullif(next_look, '-infinity') AS next_look, nullif(moved, '-infinity') AS moved,
		nullif(hinted, '-infinity') AS hinted
	FROM hg_repositories ORDER BY name`}
