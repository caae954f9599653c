package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/ui"
	"github.com/treeline-ci/treeline/ui/small"
	"github.com/treeline-ci/treeline/ui/trees"
)

// itself is the server as its own pages ask it: for its references and its health, and for calls that people try on
// the pages of the documentation.
type itself struct{ site, try http.Handler }

// mount makes both from the same tables.
func (s *itself) mount(services []web.Service, auth web.Authenticator, options web.Options) (_ http.Handler, err error) {
	if s.site, err = web.Mount(services, auth, options); err != nil {
		return nil, err
	}
	options.Fallback, options.LocalNames = nil, false
	s.try, err = web.Mount(services, small.Authenticator{}, options)
	return s.site, err
}

// rest is what the smaller pages show.
func (a *App) rest(self *itself) ui.Rest {
	return ui.Rest{
		Index: a.index, Secrets: a.secrets, Purges: a.purges, Notify: a.notify, Trees: a.trees(), Pulse: pulse.NewMapping(a.config.Pulse.Namespace),
		Site: func() http.Handler { return self.site }, Try: func() http.Handler { return self.try }, Parts: a.parts, State: a.figures().State,
	}
}

func (a *App) trees() *trees.Book { return &trees.Book{Pool: a.pool, Wake: a.feed.Wake} }

// parts are what a server can do without.
func (a *App) parts(ctx context.Context) []small.Part {
	problem := ""
	if err := a.pool.Ping(ctx); err != nil {
		problem = "does not answer"
	}
	return []small.Part{
		{Name: "Database", For: "everything", There: true, Problem: problem},
		{Name: "RabbitMQ", For: "messages for listeners", There: a.config.Pulse.URL != ""},
		{Name: "GitHub", For: "pushes and pull requests of repositories there", There: a.github != nil},
		{Name: "Mercurial", For: "pushes of repositories there", There: len(a.mercurial) > 0},
		{Name: "Mail", For: "notifications by mail", There: a.notify.Deps.Mail != nil},
		{Name: "Slack", For: "notifications there", There: a.notify.Deps.Slack != nil},
		{Name: "Matrix", For: "notifications there", There: a.notify.Deps.Matrix != nil},
		{Name: "Sign-in", For: "people with accounts elsewhere", There: len(a.login.Choices()) > 0},
	}
}

// followPushes tells who pushes to a tree that is not open. The first consumer to start begins with what happens from
// then on.
func (a *App) followPushes(ctx context.Context) {
	book := a.trees()
	err := a.feed.Consume(ctx, "tree-pushes", event.Interest{Kinds: []string{"push-created"}, Fresh: true}, func(ctx context.Context, _ pgx.Tx, events []event.Event) error {
		for _, e := range events {
			if err := a.tellPusher(ctx, book, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		a.config.Log.ErrorContext(ctx, "nobody is told of pushes to closed trees", "err", err)
	}
}

// tellPusher mails somebody that the tree they pushed to is closed, once a push.
func (a *App) tellPusher(ctx context.Context, book *trees.Book, e event.Event) error {
	t, err := book.Tree(ctx, e.Topic)
	if err != nil || t.State == trees.Open {
		return err
	}
	var body struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(e.Payload, &body); err != nil {
		return nil //nolint:nilerr // no push can be found by it, today or later
	}
	p, err := a.push.Get(ctx, e.Topic, body.ID)
	if errors.Is(err, fault.NotFound) || err == nil && p.Email == "" {
		return nil
	}
	if err != nil {
		return err
	}
	subject := "The tree " + t.Repository + " is closed"
	if t.State == trees.Approval {
		subject = "Pushes to " + t.Repository + " need an approval"
	}
	err = a.notify.Mail(ctx, notify.Email{
		Address: p.Email, Subject: subject, State: "failed",
		Content: "You pushed " + notify.Code(p.Revision) + " to it. " + t.ChangedBy + " said why it is not open:\n\n" + notify.Block(t.Reason) + "\n",
		Link:    &notify.Link{Text: "The tree", Href: a.config.RootURL + "/trees/" + url.PathEscape(t.Repository)},
		Why:     "You get this because the push has your address.", Key: fmt.Sprintf("tree/%s/%d", t.Repository, p.ID),
	})
	if errors.Is(err, notify.ErrOff) || errors.Is(err, notify.ErrDenied) || errors.Is(err, notify.ErrLimited) || fault.KindOf(err) == fault.Invalid {
		a.config.Log.InfoContext(ctx, "who pushed to a closed tree is not told by mail", "repository", t.Repository, "push", p.ID, "why", err)
		return nil
	}
	return err
}

// startTrees begins to tell who pushes to trees that are not open.
func (a *App) startTrees(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var loop sync.WaitGroup
	loop.Go(func() { a.followPushes(ctx) })
	a.onStop(func(context.Context) error { cancel(); loop.Wait(); return nil })
}
