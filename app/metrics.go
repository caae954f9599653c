package app

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/figures"
	"github.com/treeline-ci/treeline/internal/chore"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/stamp"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// makeMetrics makes the registry, and has lines of the log counted and given the ids of their contexts.
func (a *App) makeMetrics() {
	b := build()
	a.metrics = metrics.New(metrics.Options{Version: b.Version, Revision: b.Commit, Statements: figures.Statements()})
	a.config.Log = slog.New(stamp.Handler(a.metrics.Lines(a.config.Log.Handler())))
	a.config.Pulse.Log, a.config.HgPushes.Log = a.config.Log, a.config.Log
}

// traced has a pool's statements counted.
func (a *App) traced(c *pgxpool.Config) { c.ConnConfig.Tracer = a.metrics.SQL }

// startMetrics begins to answer scrapes, where the configuration says so.
func (a *App) startMetrics(ctx context.Context) error {
	a.metrics.Connections("main", a.pool)
	a.metrics.Connections("queue", a.queuePool)
	a.metrics.Limits(a.refused)
	a.metrics.Read(ctx, a.config.Log, a.figures().Readings()...)
	if !a.config.Metrics.Enabled() {
		return nil
	}
	server, at, err := a.metrics.Serve(a.config.Metrics, a.config.Log, func(err error) {
		a.config.Log.ErrorContext(ctx, "metrics can no longer be scraped", "err", err)
	})
	if err != nil {
		return err
	}
	a.config.Log.InfoContext(ctx, "metrics can be scraped", "address", "http://"+at.String()+metrics.Path)
	a.onStop(func(context.Context) error { return server.Close() })
	return nil
}

// refused is how many requests the limits refused, by kind.
func (a *App) refused() map[string]uint64 {
	out := map[string]uint64{}
	for kind, n := range a.limits.Refused() {
		out[string(kind)] = n
	}
	return out
}

// Metrics is what the server counts.
func (a *App) Metrics() *metrics.Metrics { return a.metrics }

// chores is a context whose rounds are counted.
func (a *App) chores(ctx context.Context) context.Context { return chore.With(ctx, a.metrics.Round) }

// observed counts requests.
func (a *App) observed(_ context.Context, s web.Seen) {
	a.metrics.Request(s.Service, s.Name, s.Method, s.Status, s.Took, s.Stream)
}

// taskObserver counts what happens to tasks.
func (a *App) taskObserver() queue.Observer {
	return queue.Observer{
		Created: a.metrics.Created, Claimed: a.metrics.Claimed, Met: a.metrics.Latency,
		Resolved: func(taskQueueID string, state task.State, reason task.ReasonResolved) {
			a.metrics.Resolved(taskQueueID, string(state), string(reason))
		},
	}
}

// countedAuth counts who is let in, and who is not.
type countedAuth struct {
	web.Authenticator
	metrics *metrics.Metrics
}

// Authenticate implements web.Authenticator.
func (c countedAuth) Authenticate(ctx context.Context, r web.AuthRequest) (web.AuthResult, error) {
	out, err := c.Authenticator.Authenticate(ctx, r)
	switch {
	case err == nil:
		c.metrics.Authenticated(out.Scheme)
	case ctx.Err() == nil:
		kind := fault.KindOf(err)
		c.metrics.Refused(kind == fault.Internal || kind == fault.Unavailable)
	}
	return out, err
}

// figures reads how the rooms stand.
func (a *App) figures() *figures.Rooms {
	in := &figures.Rooms{
		Pool: a.pool, Log: a.config.Log, Began: a.began, Refused: a.metrics.SQL.Refused, Gauge: a.gauge, Feed: a.feed, Notify: a.notify, Hooks: a.hooks, Push: a.push, Pools: a.pools,
		Retention: a.retention, GitHub: a.github,
	}
	if len(a.mercurial) > 0 {
		in.Mercurial = a.hg
	}
	return in
}
