package app

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/app/treeherder"
	"github.com/treeline-ci/treeline/event/pulse"
)

// startTreeherder begins to tell Treeherder of pushes and jobs, if the configuration asks for it.
func (a *App) startTreeherder(ctx context.Context) {
	if !a.config.Pulse.Treeherder {
		return
	}
	room := treeherder.New(treeherder.Deps{
		Queue: a.queue, Push: a.push, Feed: a.feed, RootURL: a.config.RootURL, Exchange: pulse.PushExchange(a.config.Pulse.Namespace), Log: a.config.Log,
	})
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- room.Run(ctx) }()
	a.onStop(func(context.Context) error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}
