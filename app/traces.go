package app

import (
	"context"

	"github.com/treeline-ci/treeline/app/github/timing"
	"github.com/treeline-ci/treeline/app/tracing"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/trace/export"
	"github.com/treeline-ci/treeline/trace/traceapi"
)

// tracing makes traces of what the rooms know.
func (a *App) tracing() tracing.Rooms {
	r := tracing.Rooms{Queue: a.queue, Push: a.push, RootURL: a.config.RootURL}
	if a.github != nil {
		r.GitHub = func(ctx context.Context, group string) (timing.Build, bool, error) {
			return timing.Read(ctx, a.pool, group)
		}
	}
	return r
}

// traceService is the door of traces.
func (a *App) traceService() web.Service {
	r := a.tracing()
	return traceapi.Service(traceapi.Deps{Find: r.Find, Group: r.Group, Push: r.OfPush, Version: build().Version})
}

// startTraces begins to send traces, if the configuration says where to.
func (a *App) startTraces(ctx context.Context) {
	if !a.config.Traces.On() {
		return
	}
	r := a.tracing()
	e := &export.Exporter{
		Config: a.config.Traces, Version: build().Version, Pool: a.pool, Feed: a.feed, Group: r.Group, Push: r.OfPush, Log: a.config.Log.With("room", "trace"),
	}
	a.untilStop(ctx, e.Run)
}
