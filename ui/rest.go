package ui

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/indexpages"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/manual"
	"github.com/treeline-ci/treeline/ui/secretpages"
	"github.com/treeline-ci/treeline/ui/small"
	"github.com/treeline-ci/treeline/ui/trees"
)

// Rest are what the smaller pages show. A page whose room is nil is left out.
type Rest struct {
	Index   *index.Index
	Secrets *secrets.Secrets
	Trees   *trees.Book
	Purges  *purgecache.PurgeCache
	Notify  *notify.Notify
	Pulse   *pulse.Mapping
	// Site is the whole server, and Try its API as the documentation tries it: with small.Authenticator. They are
	// asked for when a page is shown.
	Site, Try func() http.Handler
	// State is how the deployment is, for operators.
	State func(ctx context.Context) *small.State
	// Parts are what may be missing of the server.
	Parts func(ctx context.Context) []small.Part
}

// purge is what has caches dropped; nil: nobody can.
func (d Deps) purge() func(ctx context.Context, workerPoolID, cacheName string) error {
	if d.Purges == nil {
		return nil
	}
	return d.Purges.Purge
}

// rest are the smaller pages.
func (d Deps) rest(viewer *logs.Pages, stream *live.Live) (list []area, artifacts *indexpages.Pages, book *manual.Pages) {
	artifacts = &indexpages.Pages{Index: d.Index, Queue: d.Queue, Objects: d.Objects, Logs: viewer, RootURL: d.RootURL}
	if d.Index != nil && d.Objects != nil {
		list = append(list, artifacts)
	}
	if d.Secrets != nil {
		list = append(list, &secretpages.Pages{Secrets: d.Secrets})
	}
	if d.Trees != nil {
		list = append(list, &trees.Pages{Book: d.Trees, Push: d.Push, Live: stream})
	}
	first := &home.Pages{Queue: d.Queue, Push: d.Push, Live: stream, Gauge: d.Gauge, Failures: d.Failures, Trees: d.Trees, Settings: &home.Settings{Pool: d.Pool}}
	few := &small.Pages{Purges: d.Purges, Notify: d.Notify, Feed: d.Feed, Messages: d.Pulse, Site: d.Site, Try: d.Try, Parts: d.Parts, State: d.State}
	book = &manual.Pages{Methods: few.Methods}
	return append(list, first, few, book), artifacts, book
}
