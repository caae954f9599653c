package app

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/replica"
)

const (
	tellUpgrade  = 30 * time.Second
	retryUpgrade = time.Minute
)

// startReplica has everybody see that this server runs, and which program it is.
func (a *App) startReplica(ctx context.Context) error {
	schema, err := pg.Newest()
	if err != nil {
		return err
	}
	b := build()
	book := replica.New(a.pool, a.config.Log, replica.Here(b.Version, b.Commit, schema))
	book.Start(ctx)
	a.onStop(func(ctx context.Context) error { book.Stop(ctx); return nil })
	return nil
}

// finishUpgrade does what versions of the schema do online, beside everything else.
func (a *App) finishUpgrade(ctx context.Context) error {
	log := a.config.Log
	var told time.Time
	tell := pg.Tell(func(v pg.Version) {
		if v.Online.Finished != nil {
			log.InfoContext(ctx, "the online part of a schema version is done", "version", v.Number, "name", v.Name, "rows", v.Online.Rows)
		} else if time.Since(told) > tellUpgrade {
			told = time.Now()
			log.InfoContext(ctx, "the online part of a schema version is under way", "version", v.Number, "name", v.Name,
				"rows", v.Online.Rows, "of", v.Online.Total, "left", v.Online.Left().Round(time.Second))
		}
	})
	for {
		err := pg.Finish(ctx, a.pool, tell)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		log.WarnContext(ctx, "the online part of a schema version cannot go on; tried again soon", "err", err, "in", retryUpgrade)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryUpgrade):
		}
	}
}
