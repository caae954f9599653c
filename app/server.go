package app

import (
	"net/http"

	"github.com/treeline-ci/treeline/app/actions/actionsapi"
	"github.com/treeline-ci/treeline/app/githubapi"
	"github.com/treeline-ci/treeline/app/graphapi"
	"github.com/treeline-ci/treeline/app/hgapi"
	"github.com/treeline-ci/treeline/app/treeherder/pushlogapi"
	"github.com/treeline-ci/treeline/auth/authapi"
	"github.com/treeline-ci/treeline/cron/cronapi"
	"github.com/treeline-ci/treeline/event/eventapi"
	"github.com/treeline-ci/treeline/history/historyapi"
	"github.com/treeline-ci/treeline/hooks/hooksapi"
	"github.com/treeline-ci/treeline/index/indexapi"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/login/loginapi"
	"github.com/treeline-ci/treeline/notify/notifyapi"
	"github.com/treeline-ci/treeline/object/objectapi"
	"github.com/treeline-ci/treeline/pools/poolsapi"
	"github.com/treeline-ci/treeline/purgecache/purgecacheapi"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/secrets/secretsapi"
	"github.com/treeline-ci/treeline/ui"
	"github.com/treeline-ci/treeline/workers/payload"
)

// handler hangs every door into one server: the services under /api, the references and schemas
// made from their tables, the local repositories under /git, and the pages for the rest.
func (a *App) handler() (http.Handler, error) {
	shells, err := a.shells()
	if err != nil {
		return nil, err
	}
	lab := a.lab()
	self := &itself{}
	pages, err := ui.New(ui.Deps{
		Rest:   a.rest(self),
		Shells: shells, Queue: a.queue, Pools: a.pools, Gauge: a.gauge, Push: a.push, Failures: a.failures, Triage: a.triage(), Bugs: a.config.Bugs, Auth: a.auth, Feed: a.feed, Actions: pageActions{a.actions}, Login: a.login, Cron: a.calendar, Hooks: a.hooks,
		Objects: a.objects, Pool: a.pool, GraphDiff: a.graphDiff, Record: graphapi.Records(a.graphs()), Change: a.shownChange, RootURL: a.config.RootURL, Version: build().Version, Log: a.config.Log,
		Trace: a.tracing().Group, TracePush: a.tracing().OfPush,
		Schemas: queueapi.Service(a.queue).Schemas, Lab: lab, Starter: lab.Starter, Proposals: a.proposals(), Limits: a.limits, FreshSignIn: a.config.FreshSignIn,
	})
	if err != nil {
		return nil, err
	}
	rest, repos, sites := &web.Mux{}, &web.Mux{}, &web.Mux{}
	newGitServer(a.repos, a.auth, a.config.Log).routes(repos)
	loginapi.New(a.login, a.config.Log).Routes(sites)
	hang(rest, repos, web.Throttled(a.limits, "", repos))
	hang(rest, sites, web.Throttled(a.limits, throttle.SignIn, sites))
	shells.WorkerRoutes(rest)
	shells.PeerRoutes(rest)
	rest.Handle("/", pages)

	a.patterns = append(rest.Patterns(), pages.Patterns()...)

	services := []web.Service{
		authapi.Service(a.auth, authapi.WithCloud(a.cloud)), queueapi.Service(a.queue), indexapi.Service(a.index, indexapi.WithArtifacts(a.locateArtifact)),
		objectapi.Service(a.objects), eventapi.Service(a.feed), graphapi.Service(a.graphs()), historyapi.Service(a.history), githubapi.Service(a.github, a.config.RootURL), actionsapi.Service(a.actions), notifyapi.Service(a.notify),
		hooksapi.Service(a.hooks), secretsapi.Service(a.secrets), purgecacheapi.Service(a.purges), cronapi.Service(a.calendar), poolsapi.Service(a.pools),
	}
	services = append(services, hgapi.Service(a.hg), pushlogapi.Service(a.push), a.traceService())
	for i := range services {
		a.proposing(services[i].Endpoints)
	}
	a.services = services
	references, err := exchangeReferences(a.config.Pulse.Namespace)
	if err != nil {
		return nil, err
	}
	options := web.Options{
		RootURL: a.config.RootURL, Build: build(), Fallback: rest, Healthy: a.pool.Ping, Stopping: a.gate.stopping, Log: a.config.Log,
		LocalNames: a.config.LocalNames, Proxies: a.config.Proxies, Limits: a.limits, References: references, Schemas: payload.Published(),
	}
	options.Observe = a.observed
	return self.mount(services, countedAuth{a.auth, a.metrics}, options)
}

// hang puts each address of doors into a server, behind a handler.
func hang(mux *web.Mux, doors *web.Mux, behind http.Handler) {
	for _, pattern := range doors.Patterns() {
		mux.Handle(pattern, behind)
	}
}
