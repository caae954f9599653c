// Package figures reads how the rooms of a server stand, for metrics and for the page of the status, and knows all of their
// statements by name.
package figures

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/github"
	apphg "github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/retention"
)

// Rooms are those of a server. It is safe for concurrent use.
type Rooms struct {
	Pool      *pgxpool.Pool
	Log       *slog.Logger
	Began     time.Time                       // when the server did
	Refused   func(within time.Duration) bool // whether the database refused to write
	Gauge     *gauge.Gauge
	Feed      *event.Feed
	Notify    *notify.Notify
	Hooks     *hooks.Hooks
	Push      *push.Log
	Pools     *pools.Pools
	Retention *retention.Retention
	GitHub    *github.GitHub // nil without an App
	Mercurial *apphg.Watch   // nil without repositories
}
