package app

import (
	"context"

	"github.com/treeline-ci/treeline/app/failing"
	"github.com/treeline-ci/treeline/triage"
)

// makeFailures makes the room that remembers how tasks of pushes fail.
func (a *App) makeFailures() {
	a.failures = failing.New(failing.Rooms{Pool: a.pool, Queue: a.queue, Push: a.push, Objects: a.objects, Wake: a.feed.Wake, Log: a.config.Log})
}

// triage is the book of what people say of failures.
func (a *App) triage() *triage.Book { return triage.New(a.pool, a.feed.Wake) }

// startFailures begins to follow the feed.
func (a *App) startFailures(ctx context.Context) {
	a.failures.Start(ctx, a.feed)
	a.onStop(func(context.Context) error { a.failures.Stop(); return nil })
}
