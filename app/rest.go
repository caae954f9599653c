package app

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/web"
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
		Site: func() http.Handler { return self.site }, Try: func() http.Handler { return self.try }, Parts: a.parts,
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
