package app

import (
	"context"

	"github.com/treeline-ci/treeline/app/treeherder"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/push"
)

// makePush makes the record of pushes; it tells Treeherder of them, if the configuration asks for it.
func (a *App) makePush() {
	var options []push.Option
	if c := a.config; c.Pulse.Treeherder {
		options = append(options, push.Telling(treeherder.Pushes(c.RootURL, pulse.PushExchange(c.Pulse.Namespace))))
	}
	a.push = push.New(a.pool, a.feed.Wake, a.config.Log, options...)
}

// startTreeherder begins to tell Treeherder of pushes and jobs, if the configuration asks for it.
func (a *App) startTreeherder(ctx context.Context) {
	if !a.config.Pulse.Treeherder {
		return
	}
	room := treeherder.New(treeherder.Deps{
		Queue: a.queue, Feed: a.feed, RootURL: a.config.RootURL, Log: a.config.Log,
	})
	a.untilStop(ctx, room.Run)
}
