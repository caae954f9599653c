package app

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// unwritableFor is how long a server counts as unable to work after the database refused to write. What runs by itself
// tries again within seconds.
const unwritableFor = 30 * time.Second

// healthy says why the server cannot work: its database does not answer, or takes no writes.
func (a *App) healthy(ctx context.Context) error {
	if err := a.pool.Ping(ctx); err != nil {
		return err
	}
	if a.metrics.SQL.Refused(unwritableFor) {
		return fault.New(fault.Unavailable, "the database refused to write within the last %v: its disk is full, or it is read-only", unwritableFor)
	}
	return nil
}
