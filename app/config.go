package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/app/github"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/trace/export"
	"github.com/treeline-ci/treeline/triage/bugs"
)

// Config is the whole configuration of a server. Check fills defaults and says what is missing.
type Config struct {
	RootURL     string       // as clients and browsers reach the server, e.g. https://ci.example.com
	Listen      string       // address to listen on; the default is 127.0.0.1:8080
	Listener    net.Listener // used instead of Listen when given
	DatabaseURL string       // a PostgreSQL 15 or newer

	// DataDir keeps what is not in the database: the contents of artifacts.
	DataDir string

	Secrets Secrets

	// KeysEvery is how often the key service is asked whether it still unwraps the keys: 15 minutes when zero.
	KeysEvery time.Duration

	// Repositories are git repositories on this machine to watch, by path.
	Repositories []LocalRepository

	// Remote are Mercurial repositories, and what is to be added to what is known of others.
	Remote []Repository

	// ClaimTimeout is how long a worker may be silent before its task is given to another: 20
	// minutes when zero.
	ClaimTimeout time.Duration

	// LocalNames refuses requests that call the server by a name other than RootURL's or this
	// machine's own: right for a server that only this machine may reach.
	LocalNames bool

	// StaticClients are clients that exist by configuration, besides the root and queue clients.
	StaticClients []auth.StaticClient

	// Cloud says which credentials of other systems auth hands out; none when empty.
	Cloud cloud.Config

	// Login says how people sign in besides with credentials; not at all when empty.
	Login login.Config

	// Objects says where contents are kept besides DataDir; nowhere when empty.
	Objects Objects

	// Pulse says on which RabbitMQ the events are published for listeners; on none when its URL is
	// empty. Its log is that of the server.
	Pulse pulse.Config

	// HgPushes says on which RabbitMQ hg.mozilla.org tells of pushes, as hints; on none when its URL is empty.
	HgPushes pulse.Config

	// Traces says where traces are sent; nowhere when empty.
	Traces export.Config

	// Notify says how mail and messages get out; not at all when empty.
	Notify Notify

	// Bugs is the bug tracker that pages search and people file bugs in; nil: there is none.
	Bugs bugs.Tracker

	// GitHub says which GitHub App the server is; none when empty.
	GitHub github.Config

	// Pools says which providers worker pools have; only the static one when empty.
	Pools setup.Config

	// InternalURL is how the other servers of this deployment reach this one, such as http://10.0.0.3:8080: shells
	// whose ends are at different servers go through it. There is one server when empty.
	InternalURL string

	// PoolsEvery is the time between two looks at a worker pool: 10 s when zero.
	PoolsEvery time.Duration

	// Roles are made at the start, unless they are there.
	Roles map[string][]string

	// Alarms says who hears of secrets that people read.
	Alarms Alarms

	// FreshSignIn is how long ago who changes the deployment from a page may have signed in; 0: any time.
	FreshSignIn time.Duration
	// TwoPersons names what only two persons together may change.
	TwoPersons []auth.Guard

	// Anonymous are scopes that everybody has, until an operator changes the role anonymous; the
	// recommended set when nil.
	Anonymous []string

	// Drain is what requests that run get to come to their end when the server stops: 5 s when zero. DrainNotice
	// is how long before that the heartbeats say so, while requests are still taken: for the proxy in front.
	Drain, DrainNotice time.Duration

	// Keep says how long things are kept that Keeps names; the default where it says nothing.
	Keep map[string]time.Duration

	// Proxies are those in front of the server whose X-Forwarded-For is believed.
	Proxies web.Proxies

	// Limits say how often somebody may ask; throttle.Defaults when nil.
	Limits map[throttle.Kind]throttle.Rate

	// Metrics says where they can be scraped; nowhere when empty.
	Metrics metrics.Config

	Log *slog.Logger
}

// LocalRepository is a git repository on this machine.
type LocalRepository struct {
	Name string // "" takes the directory's name
	Path string
}

// Check fills defaults and returns an error that names every setting at fault and its remedy.
func (c *Config) Check() error {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8080"
	}
	if c.RootURL == "" {
		c.RootURL = "http://" + c.Listen
	}
	if c.Limits == nil {
		c.Limits = throttle.Defaults()
	}
	c.RootURL = strings.TrimSuffix(c.RootURL, "/")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Pulse.Log, c.HgPushes.Log = c.Log, c.Log
	if c.Drain == 0 {
		c.Drain = defaultDrain
	}
	var problems []error
	if u, err := url.Parse(c.RootURL); err != nil || u.Host == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
		problems = append(problems, fmt.Errorf("root URL %q: give scheme and host, such as https://ci.example.com", c.RootURL))
	}
	if c.DatabaseURL == "" {
		problems = append(problems, errors.New("database: set DATABASE_URL, such as postgres://treeline@localhost/treeline"))
	}
	if n := pg.Connections(c.DatabaseURL); n < MinConnections {
		problems = append(problems, fmt.Errorf("database: pool_max_conns=%d in DATABASE_URL: give %d or more, since some of a server's work asks for a second connection while it holds one, and would wait for ever",
			n, MinConnections))
	}
	if c.DataDir == "" {
		problems = append(problems, errors.New("data directory: set TREELINE_DATA to a directory that is kept"))
	}
	if c.Pulse.URL != "" {
		if err := c.Pulse.Check(); err != nil {
			problems = append(problems, fmt.Errorf("pulse (--pulse-url or TREELINE_PULSE_URL): %w", err))
		}
	}
	if c.Pulse.Treeherder && c.Pulse.URL == "" {
		problems = append(problems, errors.New("treeherder (--treeherder or TREELINE_TREEHERDER): its messages need a broker, give --pulse-url or TREELINE_PULSE_URL"))
	}
	if err := c.Login.Check(c.RootURL); err != nil {
		problems = append(problems, fmt.Errorf("login (%s): %w", login.Setting, err))
	}
	problems = append(problems, c.Secrets.check(), c.GitHub.Check(), c.Notify.check(), c.Alarms.check(c.Notify), c.Metrics.Check(), c.checkKeep(), c.checkOdd())
	return errors.Join(problems...)
}

// MinConnections is how many connections each of a server's two pools must be allowed to open: what follows decisions,
// builds at GitHub, cron files, closed trees and reports of pushes holds one while it asks for another, five at a time at most.
const MinConnections = 8

// checkOdd refuses what can be read, and cannot be meant.
func (c *Config) checkOdd() error {
	var problems []error
	for name, d := range map[string]time.Duration{"drain": c.Drain, "drain-notice": c.DrainNotice, "claim-timeout": c.ClaimTimeout} {
		if d < 0 {
			problems = append(problems, fmt.Errorf("--%s: %v is less than nothing", name, d))
		}
	}
	if c.Listener == nil && c.Metrics.Address == c.Listen {
		problems = append(problems, fmt.Errorf("metrics: %q is where the server itself listens: give another port", c.Listen))
	}
	return errors.Join(problems...)
}
