// Package app is the assembly hall: the only place where rooms meet. Start opens the database,
// makes the rooms, hangs their doors into one server, and starts the loops; Stop ends all that in
// reverse.
//
// One push, from commit to green, is read in this order: intake/push.go, templates/render.go,
// queue/create.go, queue/claim.go, workers/work.go, taskgraph/generate.go, queue/resolve.go, and
// home again through intake/report.go.
package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/app/actions"
	appcron "github.com/treeline-ci/treeline/app/cron"
	"github.com/treeline-ci/treeline/app/github"
	apphg "github.com/treeline-ci/treeline/app/hg"
	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/cron"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/hg"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/localgit"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/gauge"
	"github.com/treeline-ci/treeline/retention"
	"github.com/treeline-ci/treeline/secrets"
)

// The clients that exist by configuration (taskcluster-map 4.12).
const (
	RootClient  = "static/taskcluster/root"
	queueClient = "static/taskcluster/queue"
)

// App is a running server.
type App struct {
	config  Config
	metrics *metrics.Metrics
	began   time.Time
	pool    *pgxpool.Pool

	queuePool *pgxpool.Pool
	ring      *crypt.Ring // seals what the database must not show
	auth      *auth.Auth
	cloud     *cloud.Cloud
	feed      *event.Feed
	index     *index.Index
	objects   *object.Store
	queue     *queue.Queue
	push      *push.Log
	history   *history.History
	failures  *failures.Failures
	hooks     *hooks.Hooks
	login     *login.Login
	notify    *notify.Notify
	intake    *intake.Intake
	actions   *actions.Actions
	secrets   *secrets.Secrets
	purges    *purgecache.PurgeCache
	pools     *pools.Pools
	gauge     *gauge.Gauge
	repos     map[string]*localgit.Repo
	github    *github.GitHub // nil without an App
	mercurial map[string]*hg.Repo
	hg        *apphg.Watch
	calendar  *cron.Calendar
	cron      *appcron.Cron
	retention *retention.Retention // what removes old rows

	limits   *throttle.Limits // how often somebody may ask
	services []web.Service    // what the server serves: the tables,
	patterns []string         // and the addresses of pages and other doors

	server *http.Server
	gate   gate
	stops  []func(context.Context) error // in the order of starting
	failed chan error
}

// Start brings a server up and returns when it answers. ctx limits the start and carries values;
// the server runs until Stop. The database is upgraded to this program's version.
func Start(ctx context.Context, c Config) (_ *App, err error) {
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	a := &App{config: c, limits: throttle.New(c.Limits, time.Now), failed: make(chan error, 1), repos: map[string]*localgit.Repo{}}
	a.began = time.Now()
	a.makeMetrics()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.openDatabase(ctx); err != nil {
		return nil, err
	}
	if err := a.makeRooms(ctx); err != nil {
		return nil, err
	}
	if err := a.checkKeys(ctx); err != nil {
		return nil, err
	}
	if err := a.bootstrap(ctx); err != nil {
		return nil, err
	}
	handler, err := a.handler()
	if err != nil {
		return nil, err
	}
	if err := a.serve(ctx, handler); err != nil {
		return nil, err
	}
	return a, a.startLoops(ctx)
}

// RootURL returns the address of the server.
func (a *App) RootURL() string { return a.config.RootURL }

// Failed delivers the error that ended the server, if it ends by itself.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the server. First requests come to their end (see drain), then everything else in the reverse of
// the order of starting: the loops, and at last the database.
func (a *App) Stop(ctx context.Context) error {
	var errs []error
	if a.server != nil && !a.gate.stopping() {
		errs = append(errs, a.drain(ctx))
	}
	for len(a.stops) > 0 {
		last := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		errs = append(errs, last(ctx))
	}
	return errors.Join(errs...)
}

func (a *App) onStop(f func(context.Context) error) { a.stops = append(a.stops, f) }

// untilStop runs something until the server stops, which waits for its end.
func (a *App) untilStop(ctx context.Context, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	a.onStop(func(context.Context) error {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

func (a *App) openDatabase(ctx context.Context) (err error) {
	if a.pool, err = pg.Open(ctx, a.config.DatabaseURL, a.traced); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { a.pool.Close(); return nil })
	if err := pg.Upgrade(ctx, a.pool, 0, pg.Later()); err != nil {
		return err
	}
	if err := a.meetDatabase(ctx); err != nil {
		return err
	}
	// The queue's statements all go by keys, and are most of the load.
	if a.queuePool, err = pg.Open(ctx, a.config.DatabaseURL, pg.KeepPlans(), a.traced); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { a.queuePool.Close(); return nil })
	return nil
}

// makeRooms makes each room and joins those that need another inside their transaction.
func (a *App) makeRooms(ctx context.Context) (err error) {
	c := a.config
	if a.ring, err = c.Secrets.Ring(); err != nil {
		return err
	}
	a.feed = event.NewFeed(a.pool, c.Log, event.Keep(c.keep("events")))
	people, err := a.loginClient()
	if err != nil {
		return err
	}
	static := append([]auth.StaticClient{
		{ClientID: RootClient, AccessToken: c.Secrets.RootToken, Scopes: []string{"*"}, Description: "The operator."},
		{ClientID: queueClient, AccessToken: c.Secrets.QueueToken, Scopes: []string{"*"}, Description: "Signs the credentials of tasks.", Overlap: auth.MaxOverlap},
		{ClientID: poolsClient, AccessToken: c.Secrets.poolsIssuer().AccessToken, Scopes: []string{"*"}, Description: "Signs the credentials of workers.", Overlap: auth.MaxOverlap},
	}, append(people, c.StaticClients...)...)
	a.auth, err = auth.New(ctx, a.pool, auth.Config{StaticClients: static, People: login.Issuer, Ring: a.ring, KeepAudit: c.keep("audit"), Wake: a.feed.Wake, Log: c.Log})
	if err != nil {
		return err
	}
	if err := a.auth.SetGuards(ctx, c.TwoPersons); err != nil {
		return err
	}
	if a.cloud, err = cloud.New(c.Cloud, c.Log); err != nil {
		return err
	}
	a.makeSecrets()
	if err := a.makeLogin(); err != nil {
		return err
	}
	if err := a.makeObjects(ctx); err != nil {
		return err
	}
	a.index = index.New(a.pool, index.WithLog(c.Log))
	a.makePush()
	a.history = history.New(a.pool, a.pushOf, history.WithLog(c.Log), history.WithKeep(c.keep("history")))
	a.queue = queue.New(queue.Deps{
		Pool: a.queuePool, Log: c.Log, Wake: a.feed.Wake, ClaimTimeout: c.ClaimTimeout,
		Index: indexWriter{a.index, c.Log}, Uploads: uploads{a.objects},
		Issuer:      hawk.Credentials{ClientID: queueClient, AccessToken: c.Secrets.QueueToken},
		Quarantined: auditQuarantine, Observe: a.taskObserver(),
	})
	a.makeFailures()
	for _, local := range c.Repositories {
		repo, err := localgit.Open(ctx, local.Path)
		if err != nil {
			return err
		}
		name := local.Name
		if name == "" {
			name = repo.Name()
		}
		a.repos[name] = repo
	}
	if err := a.makeNotify(); err != nil {
		return err
	}
	if err := a.makeHooks(); err != nil {
		return err
	}
	if err := a.makePools(ctx); err != nil {
		return err
	}
	a.makeGauge()
	if err := a.makeGitHub(ctx); err != nil {
		return err
	}
	a.intake = intake.New(intake.Deps{
		Queue: a.queue, Push: a.push, Objects: a.objects, Feed: a.feed, Local: a.repos, Open: a.openForge, Index: a.findIndexed, History: a.history,
		IndexedIn: a.findIndexedIn, Expand: a.auth.Expand, RootURL: c.RootURL, Log: c.Log, Cron: a.makeCalendar(), Changes: a.changes(),
		Try: a.isTry, LevelOf: a.levelOf,
	})
	a.makeActions()
	a.makeCron()
	a.makeRetention()
	return a.makeMercurial()
}

// bootstrap makes the roles without which nothing could happen. An operator may change them later:
// they are written when missing only.
func (a *App) bootstrap(ctx context.Context) error {
	scopes := a.config.Anonymous
	if scopes == nil {
		scopes = auth.AnonymousScopes()
	}
	if err := a.role(ctx, auth.Anonymous, scopes, "What everybody may do without credentials."); err != nil {
		return err
	}
	if err := a.actionRoles(ctx); err != nil {
		return err
	}
	for id, scopes := range a.config.Roles {
		if err := a.role(ctx, id, scopes, "Made by the configuration at the first start."); err != nil {
			return err
		}
	}
	for name := range a.repos {
		role := intake.Role(push.Repository{Name: name, Kind: push.LocalGit})
		err := a.role(ctx, role+":*", intake.RoleScopes(name), "What a push to the local repository "+name+" may do.")
		if err == nil {
			err = a.role(ctx, role+":action:*", intake.ActionScopes(), "What an action on a push to the local repository "+name+" may do beyond what a push may.")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// role makes a role unless there is one.
func (a *App) role(ctx context.Context, id string, scopes []string, description string) error {
	return a.auth.AddRole(ctx, id, auth.RoleInput{Scopes: scopes, Description: description})
}

func (a *App) serve(ctx context.Context, handler http.Handler) error {
	listener := a.config.Listener
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", a.config.Listen); err != nil {
			return fmt.Errorf("app: listen on %s: %w", a.config.Listen, err)
		}
	}
	base := a.gate.open(ctx)
	a.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: 20 * time.Second, IdleTimeout: 90 * time.Second, MaxHeaderBytes: 64 << 10,
		// Long polls and streams learn from their context when to wait no more.
		BaseContext: func(net.Listener) context.Context { return base },
	}
	go func() {
		if err := a.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("app: serve: %w", err)
		}
	}()
	return nil
}

func (a *App) startLoops(ctx context.Context) error {
	ctx = a.chores(context.WithoutCancel(ctx))
	if err := a.startMetrics(ctx); err != nil {
		return err
	}
	if err := a.startReplica(ctx); err != nil {
		return err
	}
	a.watchKeys(ctx)
	a.feed.Start(ctx)
	a.cloud.Start(ctx)
	a.onStop(a.objects.Stop)
	a.queue.Start(ctx)
	a.history.Start(ctx, a.feed)
	a.onStop(func(context.Context) error {
		a.history.Stop()
		a.queue.Stop()
		a.cloud.Stop()
		a.feed.Stop()
		return nil
	})
	a.startFailures(ctx)
	if err := a.startLogin(ctx); err != nil {
		return err
	}
	a.startNotify(ctx)
	a.startHooks(ctx)
	a.startPools(ctx)
	a.startGauge(ctx)
	a.startTreeherder(ctx)
	a.startTraces(ctx)
	a.startTrees(ctx)
	if err := a.startPulse(ctx); err != nil {
		return err
	}
	a.onStop(func(context.Context) error { a.intake.Stop(); return nil })
	a.startActions(ctx)
	if err := a.intake.Start(ctx); err != nil {
		return err
	}
	if err := a.startGitHub(ctx); err != nil {
		return err
	}
	if err := a.startCron(ctx); err != nil {
		return err
	}
	a.startRetention(ctx)
	a.untilStop(ctx, a.finishUpgrade)
	return a.startMercurial(ctx)
}
