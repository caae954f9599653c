package app

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/backup"
	"github.com/treeline-ci/treeline/event"
)

// Restored readies a database that was put back to an earlier point, and in which no server runs, for servers
// (docs/operations/backup.md). by says who did it. With nothingLost it is written down only that the database moved.
func Restored(ctx context.Context, pool *pgxpool.Pool, by string, nothingLost bool) (backup.Lineage, error) {
	return backup.Restored(ctx, pool, backup.Restore{
		By: by, NothingLost: nothingLost, Rooms: []func(context.Context, pgx.Tx) error{event.Restored, checks.Restored},
	})
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
