package ui

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/object"
	manager "github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/trace"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui/access"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/again"
	"github.com/treeline-ci/treeline/ui/calendar"
	"github.com/treeline-ci/treeline/ui/connect"
	"github.com/treeline-ci/treeline/ui/create"
	"github.com/treeline-ci/treeline/ui/debug"
	"github.com/treeline-ci/treeline/ui/diffview"
	"github.com/treeline-ci/treeline/ui/find"
	"github.com/treeline-ci/treeline/ui/groups"
	"github.com/treeline-ci/treeline/ui/health"
	"github.com/treeline-ci/treeline/ui/home"
	"github.com/treeline-ci/treeline/ui/hookview"
	"github.com/treeline-ci/treeline/ui/jobs"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/logs"
	"github.com/treeline-ci/treeline/ui/moved"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/pools"
	"github.com/treeline-ci/treeline/ui/session"
	"github.com/treeline-ci/treeline/ui/shell"
	"github.com/treeline-ci/treeline/ui/tasks"
	"github.com/treeline-ci/treeline/ui/traces"
	"github.com/treeline-ci/treeline/ui/why"
)

// dist holds what "make ui" builds; without it the pages work, but do not move.
//
//go:embed all:dist
var dist embed.FS

//go:embed src/style/*.css src/icons.svg src/favicon.svg
var sources embed.FS

// Deps are what the pages show and need. All must be given, but for Actions and GraphDiff.
type Deps struct {
	Queue *queue.Queue
	Push  *push.Log
	// Failures is what is remembered of how tasks fail.
	Failures *failures.Failures
	Auth     *auth.Auth
	Feed     *event.Feed
	Login    *login.Login
	Hooks    *hooks.Hooks
	Actions  actions.Actions // nil: nothing is offered
	Cron     *cron.Calendar
	Triage   *triage.Book
	// Bugs is the bug tracker; nil: there is none.
	Bugs    bugs.Tracker
	Objects *object.Store // logs are read from it
	Pool    *pgxpool.Pool // for sessions, and where the lines of logs are
	// GraphDiff reads a comparison of task graphs; nil where none are made.
	GraphDiff func(ctx context.Context, repository, name string) ([]byte, error)
	// Record reads what a decision wrote down of why its tasks are there; nil: nothing is recorded.
	Record func(ctx context.Context, decision string) (*explain.Record, error)
	// Change is what of a forge a task group was made for; a fault.NotFound without. nil: there are no forges.
	Change func(ctx context.Context, taskGroupID string) (groups.Change, error)
	// Trace and TracePush make the trace of a task group and that of a push without tasks.
	Trace     func(ctx context.Context, taskGroupID string) (*trace.Trace, error)
	TracePush func(ctx context.Context, repository string, id int64) (*trace.Trace, error)
	// Starter writes a first configuration for a repository; nil: there is no quickstart.
	Starter func(ctx context.Context, repository string) (create.Starter, error)
	// Proposals make pull requests of what Starter writes; nil: there are none.
	Proposals create.Proposals
	// Lab tries configurations; nil: there is no page for that.
	Lab     debug.Lab
	Schemas fs.FS          // of the queue's requests
	Pools   *manager.Pools // worker pools
	Gauge   *gauge.Gauge   // how task queues stand
	Shells  *shell.Hub     // interactive shells; nil: none
	Rest
	RootURL string // as people reach it, such as "http://localhost:8080"
	Version string // shown in the footer
	Log     *slog.Logger
	Limits  *throttle.Limits // how often somebody may ask; nil: as often as they like
	// FreshSignIn is how long ago who changes the deployment from a page may have signed in; 0: any time.
	FreshSignIn time.Duration
}

// Pages is the handler of everything that is not an API. It is safe for concurrent use.
type Pages struct {
	http.Handler
	kit *page.Kit
}

// Patterns lists the patterns of all pages and their data, as of http.ServeMux.
func (p *Pages) Patterns() []string { return p.kit.Mux().Patterns() }

// Parse parses the templates of all pages, for tests; otherwise each is parsed when its page is first shown.
func (p *Pages) Parse() error { return p.kit.Parse() }

// area is the pages of one subject.
type area interface{ Register(*page.Kit) error }

// New returns the handler of everything that is not an API: pages, their data under /ui/api, and
// assets.
func New(d Deps) (*Pages, error) {
	log := d.Log.With("room", "ui")
	assets, err := page.LoadAssets(sources, dist)
	if err != nil {
		return nil, err
	}
	if assets.Script == "" {
		log.Warn("this binary was built without the pages' scripts: pages are plain and do not move; run \"make ui\" and build again")
	}
	sessions := &session.Store{Pool: d.Pool, Auth: d.Auth, Login: d.Login, Secure: strings.HasPrefix(d.RootURL, "https:"), Log: log}
	kit, err := page.New(page.Deps{Sessions: sessions, Repositories: d.Push.Repositories, Assets: assets, RootURL: d.RootURL, Version: d.Version, Log: log, Limits: d.Limits, Fresh: d.FreshSignIn})
	if err != nil {
		return nil, err
	}
	for _, a := range d.areas(log, sessions, terminalOf(assets)) {
		if err := a.Register(kit); err != nil {
			return nil, err
		}
	}
	if d.Shells != nil {
		d.Shells.PeopleRoutes(kit.Mux(), func(r *http.Request) (shell.Who, error) {
			s, err := sessions.Of(r)
			return shell.Who{ClientID: s.ClientID, Scopes: s.Scopes}, err
		})
	}
	return &Pages{guard(http.NewCrossOriginProtection().Handler(kit)), kit}, nil
}

// areas are the pages by subject.
func (d Deps) areas(log *slog.Logger, sessions *session.Store, terminal string) []area {
	stream := &live.Live{Feed: d.Feed, Push: d.Push, Cron: d.Cron, Log: log}
	machines := &pools.Pages{Pools: d.Pools, Queue: d.Queue, Gauge: d.Gauge, Live: stream, Log: log}
	offers := &actions.Pages{Queue: d.Queue, Push: d.Push, Actions: d.Actions}
	viewer := &logs.Pages{Tracker: d.trackerName(), Failures: d.Failures, Queue: d.Queue, Push: d.Push, Live: stream, Objects: d.Objects, Pool: d.Pool, RootURL: d.RootURL, Log: log}
	repeat := &again.Again{Queue: d.Queue, Actions: d.Actions, Log: log}
	reasons := &why.Why{Queue: d.Queue, Push: d.Push, Record: d.Record}
	rest, artifacts, book := d.rest(viewer, stream)
	tracker := d.tracker()
	return append(rest, []area{
		stream, offers, viewer, reasons, repeat,
		&health.Pages{Tracker: d.trackerName(), Queue: d.Queue, Push: d.Push, Failures: d.Failures, Triage: d.Triage, Again: repeat, Live: stream, Prices: d.prices},
		moved.Pages{},
		&traces.Pages{Record: d.Push, Live: stream, Group: d.Trace, Push: d.TracePush, Version: d.Version},
		&find.Pages{Queue: d.Queue, Push: d.Push, More: []func(*page.Visit, string, int) ([]find.Hit, error){machines.Hits, book.Hits}},
		&jobs.Pages{Queue: d.Queue, Push: d.Push, Cron: d.Cron, Triage: d.Triage, Failures: d.Failures, Objects: d.Objects, Actions: offers, Bugs: tracker, Filings: d.filings(tracker), Prices: d.prices, Live: stream, Log: log},
		&groups.Pages{Queue: d.Queue, Push: d.Push, Actions: offers, Live: stream, ChangeOf: d.Change},
		&tasks.Pages{
			Artifact: artifacts.Show, Queue: d.Queue, Push: d.Push, Actions: offers, Logs: viewer, Live: stream, Why: reasons, Failures: d.Failures,
			Triage: d.Triage, Again: repeat, Objects: d.Objects, Purge: d.purge(), RootURL: d.RootURL, Log: log,
		},
		&create.Pages{Queue: d.Queue, Schemas: d.Schemas, RootURL: d.RootURL, Starter: d.Starter, Proposals: d.Proposals, Repositories: d.repositoryNames},
		machines,
		&debug.Pages{Lab: d.Lab, Repositories: d.repositoryNames, Starter: d.starterFiles},
		&connect.Pages{Queue: d.Queue, Live: stream, Shells: d.Shells, Script: terminal},
		&hookview.Pages{Hooks: d.Hooks, Queue: d.Queue, Auth: d.Auth, Feed: d.Feed, Live: stream},
		&calendar.Pages{Cron: d.Cron, Push: d.Push, Queue: d.Queue, Log: log},
		&diffview.Pages{Stored: d.GraphDiff},
		&access.Pages{Live: stream, Auth: d.Auth, Login: d.Login, Sessions: sessions, Settings: &home.Settings{Pool: d.Pool}, Log: log},
	}...)
}

// repositoryNames are the names of what is watched.
func (d Deps) repositoryNames(ctx context.Context) ([]string, error) {
	list, err := d.Push.Repositories(ctx)
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.Name
	}
	return names, err
}

// starterFiles are the files of the quickstart by path.
func (d Deps) starterFiles(ctx context.Context, repository string) (map[string]string, error) {
	if d.Starter == nil {
		return nil, nil
	}
	s, err := d.Starter(ctx, repository)
	files := map[string]string{}
	for _, f := range s.Files {
		files[f.Name] = f.Content
	}
	return files, err
}

// terminalOf is the address of the terminal's script; "" when the program was built without it.
func terminalOf(a *page.Assets) string {
	if a.Terminal == "" {
		return ""
	}
	return "/ui/assets/" + a.Terminal
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

// prices are what an hour of a worker of each pool costs, for pools that say it; of none where their currencies differ.
func (d Deps) prices(ctx context.Context, ids []string) (map[string]float64, string, error) {
	out, currency := map[string]float64{}, ""
	if d.Pools == nil {
		return out, currency, nil
	}
	for _, id := range ids {
		p, err := d.Pools.Prices(ctx, id)
		if err != nil {
			return nil, "", err
		}
		if !p.Set() {
			continue
		}
		if currency != "" && p.Currency != currency {
			return nil, "", nil
		}
		out[id], currency = p.Of(""), p.Currency
	}
	return out, currency, nil
}
