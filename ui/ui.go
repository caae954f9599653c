package ui

import (
	"context"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/gzhttp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/shell"
)

// Deps are what the pages show and need. All must be given, but for Actions and GraphDiff.
type Deps struct {
	Queue   *queue.Queue
	Push    *push.Log
	Auth    *auth.Auth
	Feed    *event.Feed
	Login   *login.Login
	Hooks   *hooks.Hooks
	Actions Actions // nil: nothing is offered
	Cron    *cron.Calendar
	Pool    *pgxpool.Pool // for sessions only
	// GraphDiff reads a comparison of task graphs; nil where none are made.
	GraphDiff func(ctx context.Context, repository, name string) ([]byte, error)
	// Change is what of a forge a task group was made for; a fault.NotFound without. nil: there are no forges.
	Change  func(ctx context.Context, taskGroupID string) (Change, error)
	Shells  *shell.Hub // interactive shells; nil: none
	RootURL string     // as people reach it, such as "http://localhost:8080"
	Version string     // shown in the footer
	Log     *slog.Logger
}

// Change is a pull request, a tag, a release or a push at a forge.
type Change struct {
	What          string // such as "Pull request #12"
	Title, Author string // "" where that is not known
	URL           string // at the forge
	Repository    string // in the record of pushes
}

// UI serves the pages. It is safe for concurrent use.
type UI struct {
	deps     Deps
	log      *slog.Logger
	secure   bool // reached by https: cookies say so
	assets   assets
	pages    map[string]*template.Template
	sessions sessions
	owners   owners
}

// New returns the handler of everything that is not an API: pages, their data under /ui/api, and
// assets.
func New(deps Deps) (http.Handler, error) {
	u := &UI{deps: deps, log: deps.Log.With("room", "ui"), secure: strings.HasPrefix(deps.RootURL, "https:")}
	u.sessions = sessions{pool: deps.Pool}
	var err error
	if u.assets, err = loadAssets(dist); err != nil {
		return nil, err
	}
	if u.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if u.assets.Script == "" {
		u.log.Warn("this binary was built without the pages' scripts: pages are plain and do not move; run \"make ui\" and build again")
	}
	return u.routes(), nil
}

func (u *UI) routes() http.Handler {
	mux := http.NewServeMux()
	packed := func(h http.Handler) http.Handler { return gzhttp.GzipHandler(h) }
	page := func(pattern string, h func(*visit) error) { mux.Handle(pattern, packed(u.page(h))) }
	data := func(pattern string, h func(*visit) (any, error)) { mux.Handle(pattern, packed(u.data(h))) }

	page("GET /{$}", u.home)
	page("GET /jobs", u.jobs)
	page("GET /tasks", func(v *visit) error { return v.redirect("/tasks/groups") })
	page("GET /tasks/groups", u.groups)
	page("GET /tasks/groups/{group}", u.group)
	page("GET /tasks/{task}", u.task)
	page("GET /tasks/{task}/{rest...}", u.taskPart)
	page("GET /actions/{group}", u.actionList)
	page("GET /actions/{group}/{name}", u.actionForm)
	page("POST /actions/{group}/{name}", u.startAction)
	page("GET /cron", u.calendar)
	page("GET /graph-diff/{repo}/{name}", u.graphDiff)
	page("POST /cron/run", u.runCron)
	page("GET /hooks", u.hookList)
	page("GET /hooks/{group}/{id...}", u.hook)
	page("POST /hooks/{group}/{id...}", u.triggerHook)
	page("GET /login", u.loginPage)
	page("POST /login", u.login)
	page("POST /logout", u.logout)
	page("GET /login/{provider}", u.beginLogin)
	page("GET /login/{provider}/callback", u.finishLogin)
	data("POST /login/credentials", u.credentials)
	page("GET /profile", u.profile)
	page("POST /profile/sessions", u.endSessions)
	page("POST /profile/clients", u.deleteClient)
	page("GET /auth/clients/create", u.clientPage)
	page("POST /auth/clients/create", u.clientDecision)
	page("GET /login/oauth/authorize", u.siteAsks)
	page("GET /third-party", u.sitePage)
	page("POST /login/oauth/authorize/decision", u.siteDecision)
	page("POST /ui/theme", u.theme)
	page("GET /search", u.search)
	page("GET /logviewer", u.oldLogViewer)
	page("GET /push/{repo}/{revision}", u.oldPush)
	page("/", func(*visit) error { return errNoPage })

	data("GET /ui/api/jobs", u.jobsData)
	data("GET /ui/api/tasks/{task}", u.taskData)
	data("GET /ui/api/groups/{group}", u.groupData)
	data("POST /ui/api/tasks/{task}/{act}", u.act)
	data("GET /ui/api/actions/{group}", u.actionsData)
	data("POST /ui/api/actions/{group}/{name}", u.startData)
	mux.Handle("GET /ui/api/stream", u.data(u.stream))
	mux.Handle("GET /ui/api/logs/{task}/{run}/{name...}", u.data(u.logBytes))
	mux.Handle("GET /ui/assets/{name}", u.assets.handler())
	if u.deps.Shells != nil {
		script := ""
		if u.assets.Terminal != "" {
			script = "/ui/assets/" + u.assets.Terminal
		}
		u.deps.Shells.PeopleRoutes(mux, func(r *http.Request) (shell.Who, error) {
			s, err := u.sessionOf(r)
			return shell.Who{ClientID: s.clientID, Scopes: s.scopes}, err
		}, script)
	}
	return guard(http.NewCrossOriginProtection().Handler(mux))
}

// guard sets what every answer carries: no foreign content, no framing, no guessing of types.
func guard(next http.Handler) http.Handler {
	const policy = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; object-src 'none'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
