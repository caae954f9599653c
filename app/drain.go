package app

import (
	"context"
	"errors"
	"time"

	"github.com/treeline-ci/treeline/internal/drain"
)

// What a server leaves requests when it stops, unless Config.Drain says otherwise, and what those get whose time
// was cut.
const (
	defaultDrain = 5 * time.Second
	afterCut     = 5 * time.Second
)

// gate is what the server and its requests know of its end.
type gate struct {
	begun chan struct{} // closed when it is to stop
	cut   context.CancelFunc
}

// open makes the context of all requests: it lasts until they are cut, and they learn from it when to wait no more.
func (g *gate) open(ctx context.Context) context.Context {
	g.begun = make(chan struct{})
	ctx, g.cut = context.WithCancel(drain.With(context.WithoutCancel(ctx), g.begun))
	return ctx
}

func (g *gate) stopping() bool {
	select {
	case <-g.begun:
		return true
	default:
		return false
	}
}

// drain ends serving, while everything that requests need still runs. From now on the heartbeats say that the
// server is about to stop, so that a proxy sends requests elsewhere, for which it gets Config.DrainNotice;
// whoever only waits for news gets an answer. Then no connection is taken any more, and requests that run have
// Config.Drain to come to their end, before their context ends.
func (a *App) drain(ctx context.Context) error {
	close(a.gate.begun)
	err := a.objects.Stop(ctx) // what follows a live log waits no more
	if a.config.DrainNotice > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(a.config.DrainNotice):
		}
	}
	// Not before: a proxy may just send something over a connection that is idle until then.
	a.server.SetKeepAlivesEnabled(false)
	grace, cancel := context.WithTimeout(ctx, a.config.Drain)
	defer cancel()
	if gone := a.server.Shutdown(grace); gone == nil {
		a.gate.cut()
		return err
	}
	a.config.Log.WarnContext(ctx, "requests are cut: they did not end in time", "after", a.config.Drain)
	a.gate.cut()
	last, cancel := context.WithTimeout(ctx, afterCut)
	defer cancel()
	if left := a.server.Shutdown(last); left != nil {
		return errors.Join(err, left, a.server.Close())
	}
	return err
}
