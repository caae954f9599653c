// Package uitest runs the pages on real rooms and a real database, for the tests of their handlers
// and for those in a browser.
package uitest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/failing"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/login/loginapi"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/object/objectapi"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/queue/queueapi"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/triage/bugs"
	"github.com/treeline-ci/treeline/ui"
)

// The clients that every site has: one that may do all, one that may only rerun.
const (
	Admin      = "static/admin"
	AdminToken = "admin-token-of-a-test-0123456789"
	Dev        = "static/dev"
	DevToken   = "dev-token-of-a-test-0123456789ab"
)

// Site is the pages on a server of their own.
type Site struct {
	*queuetest.Env
	URL   string
	Pages *ui.Pages
	Pool  *pgxpool.Pool
	Push  *push.Log
	Auth  *auth.Auth
	// Failures follows the feed of the site.
	Failures *failures.Failures
	Feed     *event.Feed
	// Login is the room of people.
	Login *login.Login
	Cron  *cron.Calendar
	// Pools are worker pools of the providers "static" and "cloud"; nothing looks after them unless a test does.
	Pools *pools.Pools
	// Gauge is asked anew at every page.
	Gauge *gauge.Gauge
	// Triage is what was said of failures.
	Triage *triage.Book
	Hooks  *hooks.Hooks

	rooms
	log         *slog.Logger
	loginConfig login.Config
	objects     *object.Store
	server      *httptest.Server
	down        atomic.Bool
	lost        atomic.Pointer[[]string] // the paths that no answer comes for
	streams     atomic.Int64
}

// Option is a setting of New.
type Option func(*settings)

type settings struct {
	login func(rootURL string) login.Config
	bugs  bugs.Tracker
	fresh time.Duration
}

// WithTracker gives the site a bug tracker.
func WithTracker(tracker bugs.Tracker) Option { return func(s *settings) { s.bugs = tracker } }

// FreshSignIn has changes take a sign-in that is no older.
func FreshSignIn(d time.Duration) Option { return func(s *settings) { s.fresh = d } }

// SignInAt says where people sign in; config is given the address of the site.
func SignInAt(config func(rootURL string) login.Config) Option {
	return func(s *settings) { s.login = config }
}

// New starts a site that ends with the test.
func New(t testing.TB, options ...Option) *Site {
	t.Helper()
	pool := pgtest.DB(t)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	feed := event.NewFeed(pool, log)
	feed.Start(t.Context())
	t.Cleanup(feed.Stop)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{Pool: pool, Feed: feed, Push: push.New(pool, feed.Wake, log), URL: "http://" + listener.Addr().String(), log: log}
	set := settings{login: func(string) login.Config { return login.Config{} }}
	for _, option := range options {
		option(&set)
	}
	s.loginConfig = set.login(s.URL)
	s.Login, s.Auth = newLogin(t, s)
	s.objects, err = object.New(pool, object.Config{Dir: t.TempDir(), RootURL: s.URL, URLKey: []byte("0123456789abcdef0123456789abcdef"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.Env = queuetest.On(t, pool, func(d *queue.Deps) {
		d.Wake, d.Uploads, d.Quarantined = feed.Wake, uploads{s.objects}, auditQuarantine
	})
	s.Failures = failing.New(failing.Rooms{Pool: pool, Queue: s.Queue, Push: s.Push, Objects: s.objects, Wake: feed.Wake, Log: log})
	s.Failures.Start(t.Context(), feed)
	t.Cleanup(s.Failures.Stop)
	s.Cron = cron.New(pool, func() {}, log)
	s.Triage = triage.New(pool, feed.Wake)
	s.Hooks = newHooks(t, s)
	s.addPools(t)
	s.Pages, err = ui.New(ui.Deps{
		Rest:  newRest(t, s),
		Pools: s.Pools, Gauge: s.Gauge, Queue: s.Queue, Push: s.Push, Auth: s.Auth, Feed: feed, Login: s.Login, Cron: s.Cron, Triage: s.Triage, Hooks: s.Hooks, Objects: s.objects, Pool: pool, Failures: s.Failures, Record: s.records(), RootURL: s.URL, Version: "test", Log: log,
		Trace: s.Traces().Group, TracePush: s.Traces().OfPush,
		Schemas: queueapi.Service(s.Queue).Schemas, Bugs: set.bugs, FreshSignIn: set.fresh,
	})
	if err != nil {
		t.Fatal(err)
	}
	site, err := web.Mount([]web.Service{objectapi.Service(s.objects)}, s.Auth, web.Options{RootURL: s.URL, Fallback: s.withDoor(s.Pages), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	s.mounted(t, site, objectapi.Service(s.objects))
	s.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: s.gate(site)}}
	s.server.Start()
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// Down takes the server away, or brings it back.
func (s *Site) Down(down bool) {
	s.down.Store(down)
	if down {
		s.server.CloseClientConnections()
	}
}

// Lose drops what is asked of these paths, and no longer what it was told before.
func (s *Site) Lose(paths ...string) { s.lost.Store(&paths) }

// Streams is how many streams of events pages hold open.
func (s *Site) Streams() int { return int(s.streams.Load()) }

// gate ends every connection while the server is down, and those for what is lost.
func (s *Site) gate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lost := s.lost.Load()
		if s.down.Load() || lost != nil && slices.Contains(*lost, r.URL.Path) {
			panic(http.ErrAbortHandler)
		}
		if r.URL.Path == "/ui/api/stream" {
			s.streams.Add(1)
			defer s.streams.Add(-1)
		}
		next.ServeHTTP(w, r)
	})
}

// issuerToken is the access token of the client that signs people's credentials.
const issuerToken = "issuer-token-of-a-test-0123456789"

// newLogin makes the rooms of clients and people, as one server of any number has them.
func newLogin(t testing.TB, s *Site) (*login.Login, *auth.Auth) {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	static := []auth.StaticClient{
		{ClientID: Admin, AccessToken: AdminToken, Scopes: []string{"*"}, Description: "may do all"},
		{ClientID: Dev, AccessToken: DevToken, Scopes: []string{"queue:rerun-task:*"}, Description: "may rerun"},
		{ClientID: login.Issuer, AccessToken: issuerToken, Scopes: login.IssuerScopes(s.loginConfig), Description: "signs for people"},
	}
	a, err := auth.New(t.Context(), s.Pool, auth.Config{Log: s.log, Ring: ring, StaticClients: static})
	if err != nil {
		t.Fatal(err)
	}
	for role, scopes := range map[string][]string{auth.Anonymous: auth.AnonymousScopes(), "login-identity:*": login.PersonScopes()} {
		if err := a.EnsureRole(t.Context(), role, scopes, "of a test"); err != nil {
			t.Fatal(err)
		}
	}
	l, err := login.New(login.Deps{
		Pool: s.Pool, Auth: a, Ring: ring, Issuer: hawk.Credentials{ClientID: login.Issuer, AccessToken: issuerToken}, RootURL: s.URL, Log: s.log,
	}, s.loginConfig)
	if err != nil {
		t.Fatal(err)
	}
	return l, a
}

// withDoor hangs the door for programs beside the pages.
func (s *Site) withDoor(pages http.Handler) http.Handler {
	mux := http.NewServeMux()
	loginapi.New(s.Login, s.log).Routes(mux)
	mux.Handle("/", pages)
	return mux
}

// Repository registers a repository.
func (s *Site) Repository(t testing.TB, name string) {
	t.Helper()
	err := s.Push.Register(t.Context(), push.Repository{Name: name, Kind: "git-local", URL: "file:///srv/" + name, Path: "/srv/" + name, Level: 1, DefaultBranch: "main"})
	if err != nil {
		t.Fatal(err)
	}
}

// Record records a push of main; empty fields get something likely.
func (s *Site) Record(t testing.TB, p push.Push) push.Push {
	t.Helper()
	heads, err := s.Push.Heads(t.Context(), p.Repository)
	if err != nil {
		t.Fatal(err)
	}
	p.Branch = "main"
	p.Base = heads["main"]
	if p.Revision == "" {
		p.Revision = fmt.Sprintf("%x", slug.New()+"0123")[:40]
	}
	if p.Message == "" {
		p.Message = "Teach the queue to count\n\nIt could not."
	}
	if p.Author == "" {
		p.Author, p.Email = "Ada Lovelace", "ada@example.com"
	}
	p.Commits = append(p.Commits, push.Commit{Revision: p.Revision, Author: p.Author, Email: p.Email, Message: p.Message})
	p, fresh, err := s.Push.Record(t.Context(), p, p.Base)
	if err != nil || !fresh {
		t.Fatalf("record a push: fresh %v, error %v", fresh, err)
	}
	return p
}

// Decide makes tasks the group of a push; the first is its decision task.
func (s *Site) Decide(t testing.TB, p push.Push, tasks ...Job) (group string, ids []string) {
	t.Helper()
	group = slug.New()
	s.Create(t, group, queuetest.Define(queuetest.In(group), Named("Decision Task"), queuetest.OnQueue("built-in/decision")))
	s.outcome(t, p, push.Outcome{State: push.Decided, TaskGroupID: group})
	for _, j := range tasks {
		ids = append(ids, s.Task(t, j.State, append([]func(*task.Definition){queuetest.In(group), j.Define}, j.Changes...)...))
	}
	return group, ids
}

// Fail records that no tasks could be made of a push.
func (s *Site) Fail(t testing.TB, p push.Push, e push.Error) {
	t.Helper()
	s.outcome(t, p, push.Outcome{State: push.Failed, Error: &e})
}

func (s *Site) outcome(t testing.TB, p push.Push, o push.Outcome) {
	t.Helper()
	if err := s.Push.SetOutcome(t.Context(), p.Repository, p.ID, o); err != nil {
		t.Fatal(err)
	}
}

// Job is a task of a push.
type Job struct {
	State    task.State
	Name     string
	Platform string
	Group    string
	Symbol   string
	Changes  []func(*task.Definition)
}

// Define makes a definition that of the job.
func (j Job) Define(d *task.Definition) {
	d.Metadata.Name = j.Name
	if j.Symbol == "" {
		return
	}
	extra, err := json.Marshal(map[string]any{"treeherder": map[string]any{
		"symbol": j.Symbol, "groupSymbol": j.Group, "groupName": "Tests of " + j.Group, "tier": 1,
		"machine": map[string]any{"platform": j.Platform}, "collection": map[string]any{"opt": true},
	}})
	if err == nil {
		d.Extra = extra
	}
}

// Named names a task.
func Named(name string) func(*task.Definition) {
	return func(d *task.Definition) { d.Metadata.Name = name }
}
