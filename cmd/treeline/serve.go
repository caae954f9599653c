package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/internal/metrics"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/trace/export"
)

// serveHelp is what the command says about itself.
const serveHelp = `Runs the server. Any number of servers may share one database.

DATABASE_URL, TREELINE_PULSE_URL, TREELINE_HGPUSHES_URL and keys of S3 may stand in files, which variables of the same
names with _FILE at their ends name.

Environment:
  DATABASE_URL        where PostgreSQL (15 or newer) is; required
  TREELINE_ROOT_URL   the address at which clients and browsers reach the server
  TREELINE_DATA       directory for the contents of artifacts and for secrets.json, which is made
                      at the first start; servers that share a database share both
  TREELINE_ENCRYPTION_KEYS, TREELINE_ENCRYPTION_KEYS_FILE
                      the keys that seal secrets and tokens in the database, the current one first,
                      or a file with them; optional, in place of the one in secrets.json
  TREELINE_MASTER_KEY file:PATH or env:NAME with the master key, where those keys are wrapped
  TREELINE_CLOUD_CREDENTIALS
                      a YAML file that says which credentials of AWS, Google Cloud, Azure, Sentry,
                      websocktunnel and GitHub the server hands out; optional
  TREELINE_OBJECT_STORES
                      a YAML file that says in which S3 buckets and directories, of which regions,
                      artifacts are kept besides TREELINE_DATA; optional
  TREELINE_INTERNAL_URL
                      where several servers share the work: how the others reach this one, such as
                      http://10.0.0.3:8080; needed for shells in tasks
  TREELINE_LOGIN      a YAML file that says where people sign in, OpenID Connect providers and GitHub,
                      and which other sites may ask them for credentials; optional
  TREELINE_POOLS      a YAML file that says which providers worker pools have: this machine, containers,
                      AWS, Google Cloud, Azure (docs/reference/worker-pools.md); optional
  TREELINE_REPOSITORIES
                      a YAML file of Mercurial repositories, and of the branches whose .cron.yml is
                      followed; optional
  TREELINE_TWO_PERSONS
                      what only two persons together may change, with spaces between: types and
                      patterns such as role:repo:github.com/acme/* secret:release/*; optional
  TREELINE_GITHUB_APP_ID, TREELINE_GITHUB_APP_KEY or TREELINE_GITHUB_APP_KEY_FILE,
  TREELINE_GITHUB_WEBHOOK_SECRETS, TREELINE_GITHUB_API, or TREELINE_GITHUB_SECRET
                      the GitHub App that the server is: id, private key or a file with it, secrets
                      of its webhooks with spaces between or file:PATH, and for GitHub Enterprise
                      Server the root of its API; or the name of the server's secret that holds
                      all that; optional
  TREELINE_TRUSTED_PROXIES
                      addresses and networks of the reverse proxies in front, as --trusted-proxies
  TREELINE_LIMITS     how often somebody may ask, as --limits (docs/operations/security.md)
  TREELINE_METRICS    where Prometheus may scrape /metrics, as --metrics-address; an address that other
                      machines reach needs TREELINE_METRICS_TOKEN, or TREELINE_METRICS_TOKEN_FILE with
                      it, which the scraper shows (docs/operations/monitor.md)
  TREELINE_PULSE_URL  the RabbitMQ on which events are published for listeners, such as
                      amqps://user:password@host:5671/vhost; optional
  TREELINE_HGPUSHES_URL
                      the RabbitMQ on which hg.mozilla.org tells of pushes, as hints to look at once,
                      such as amqps://user:password@pulse.mozilla.org:5671; optional
  TREELINE_TREEHERDER set to anything, as --treeherder
  TREELINE_PULSE_NAMESPACE
                      what the names of the exchanges there begin with; see --pulse-namespace
  TREELINE_SMTP_URL   the server by which mail is sent, such as smtp://user:password@mail.example.com:587
                      or smtps://…; optional, as are the settings of Slack and Matrix and the file
                      TREELINE_NOTIFY with all of them (docs/reference/notify.md)
  TREELINE_MAIL_FROM  the address that mail comes from, such as Treeline <ci@example.com>
  OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_…
                      the receiver of OpenTelemetry's protocol to which traces of pushes are sent,
                      such as http://localhost:4318, and how; optional (docs/how-to/trace-a-push.md)`

func newServeCommand() *cobra.Command {
	var c app.Config
	var repos []string
	var verbose bool
	var metricsAddress string
	var proxies, limits string
	var receiver string
	outgoing := notifyFlags{}
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the server on a PostgreSQL of yours",
		Long:    serveHelp,
		Example: `  DATABASE_URL=postgres://treeline@/treeline TREELINE_DATA=/var/lib/treeline treeline serve --listen 127.0.0.1:8080`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			c.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: logLevel(verbose)}))
			data := os.Getenv("TREELINE_DATA")
			if data == "" {
				return errors.New("set TREELINE_DATA to a directory that is kept")
			}
			if err := os.MkdirAll(data, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			secrets, err := app.LoadSecrets(filepath.Join(data, "secrets.json"))
			if err != nil {
				return err
			}
			if _, err := secrets.LoadKeys(ctx); err != nil {
				return err
			}
			if c.Cloud, err = cloud.LoadConfig(os.Getenv(cloud.Setting)); err != nil {
				return err
			}
			if c.Login, err = login.LoadConfig(os.Getenv(login.Setting), os.Getenv); err != nil {
				return err
			}
			if c.GitHub, err = settings.LoadConfig(); err != nil {
				return err
			}
			if c.Objects, err = app.LoadObjects(os.Getenv("TREELINE_OBJECT_STORES")); err != nil {
				return err
			}
			if c.Notify, err = app.LoadNotify(outgoing.getenv); err != nil {
				return err
			}
			if c.Traces, err = export.FromEnv(receiver, os.Getenv); err != nil {
				return err
			}
			if c.Remote, err = app.LoadRepositories(os.Getenv("TREELINE_REPOSITORIES")); err != nil {
				return err
			}
			if c.TwoPersons, err = auth.ParseGuards(os.Getenv("TREELINE_TWO_PERSONS")); err != nil {
				return err
			}
			if c.Proxies, err = web.ParseProxies(cmp.Or(proxies, os.Getenv("TREELINE_TRUSTED_PROXIES"))); err != nil {
				return fmt.Errorf("--trusted-proxies or TREELINE_TRUSTED_PROXIES: %w", err)
			}
			if c.Limits, err = throttle.Parse(cmp.Or(limits, os.Getenv("TREELINE_LIMITS"))); err != nil {
				return fmt.Errorf("--limits or TREELINE_LIMITS: %w", err)
			}
			if c.Metrics, err = metrics.LoadConfig(metricsAddress, os.Getenv); err != nil {
				return err
			}
			if c.Pools, err = setup.Load(os.Getenv(setup.Setting)); err != nil {
				return err
			}
			c.Secrets = secrets
			if err := addresses(&c); err != nil {
				return err
			}
			c.RootURL, c.InternalURL = os.Getenv("TREELINE_ROOT_URL"), os.Getenv("TREELINE_INTERNAL_URL")
			c.DataDir = filepath.Join(data, "objects")
			for _, path := range repos {
				c.Repositories = append(c.Repositories, app.LocalRepository{Path: path})
			}
			server, err := app.Start(ctx, c)
			if err != nil {
				return err
			}
			c.Log.Info("serving", "rootUrl", server.RootURL())
			select {
			case <-ctx.Done():
			case err = <-server.Failed():
			}
			return errors.Join(err, stopWithin(ctx, c.DrainNotice+c.Drain+30*time.Second, server.Stop))
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log details too")
	cmd.Flags().StringVar(&c.Listen, "listen", "127.0.0.1:8080", "address to listen on")
	cmd.Flags().StringArrayVar(&repos, "repo", nil, "git repository on this machine to watch (repeatable)")
	cmd.Flags().DurationVar(&c.ClaimTimeout, "claim-timeout", 0, "how long a worker may be silent before its tasks are given to others (default 20m)")
	cmd.Flags().StringVar(&c.Pulse.URL, "pulse-url", "", "RabbitMQ on which events are published; other users of this machine see it, TREELINE_PULSE_URL they do not")
	cmd.Flags().StringVar(&c.Pulse.Namespace, "pulse-namespace", "", "what the names of the exchanges begin with: exchange/NAMESPACE-queue/v1/… (default taskcluster, which existing listeners know)")
	cmd.Flags().BoolVar(&c.Pulse.Treeherder, "treeherder", false, "also publish what Treeherder reads: pushes and jobs (or set TREELINE_TREEHERDER)")
	cmd.Flags().StringVar(&proxies, "trusted-proxies", "", "addresses and networks of the reverse proxies in front, whose X-Forwarded-For is believed, such as 10.0.0.5,10.1.0.0/16")
	cmd.Flags().StringVar(&limits, "limits", "", "how often somebody may ask: KIND=PER-SECOND/BURST or KIND=off, such as \"anonymous=50/500 costly=off\"")
	cmd.Flags().StringVar(&metricsAddress, "metrics-address", "", "host and port at which Prometheus may scrape /metrics, such as 127.0.0.1:9100 (TREELINE_METRICS)")
	cmd.Flags().StringVar(&receiver, "otlp-endpoint", "", "receiver of OpenTelemetry's protocol to which traces are sent, such as http://localhost:4318 (OTEL_EXPORTER_OTLP_ENDPOINT)")
	outgoing.add(cmd.Flags())
	cmd.Flags().DurationVar(&c.Drain, "drain", 25*time.Second, "how long requests may go on that run when the server is told to stop")
	cmd.Flags().DurationVar(&c.DrainNotice, "drain-notice", 0, "how long before that the heartbeats say that it stops, for the proxy in front to see")
	c.Keep = map[string]time.Duration{}
	keepFlags(cmd.Flags(), c.Keep)
	return cmd
}

// addresses fills what the command line does not say of the database and of RabbitMQ from the environment. They hold
// passwords, so they may stand in files.
func addresses(c *app.Config) error {
	var problems []error
	setting := func(name string) string {
		value, err := app.Setting(name)
		problems = append(problems, err)
		return value
	}
	c.DatabaseURL = setting("DATABASE_URL")
	c.Pulse.URL = cmp.Or(c.Pulse.URL, setting("TREELINE_PULSE_URL"))
	c.HgPushes.URL = setting("TREELINE_HGPUSHES_URL")
	c.Pulse.Namespace = cmp.Or(c.Pulse.Namespace, os.Getenv("TREELINE_PULSE_NAMESPACE"))
	c.Pulse.Treeherder = c.Pulse.Treeherder || os.Getenv("TREELINE_TREEHERDER") != ""
	return errors.Join(problems...)
}

// notifyFlags are the settings of notifications that the command line has, by their variables of the
// environment, before which they go.
type notifyFlags map[string]*string

func (f notifyFlags) add(flags *pflag.FlagSet) {
	flag := func(variable, name, usage string) { f[variable] = flags.String(name, "", usage+" ("+variable+")") }
	flag("TREELINE_NOTIFY", "notify", "YAML file with the settings of mail, Slack and Matrix")
	flag("TREELINE_SMTP_URL", "smtp-url", "server by which mail is sent; other users of this machine see it, the variable they do not")
	flag("TREELINE_MAIL_FROM", "mail-from", "address that mail comes from")
	flag("TREELINE_SLACK_URL", "slack-url", "address of Slack's API, where it is not Slack's own")
	flag("TREELINE_MATRIX_URL", "matrix-url", "address of the Matrix homeserver")
}

func (f notifyFlags) getenv(name string) string {
	if value := f[name]; value != nil && *value != "" {
		return *value
	}
	return os.Getenv(name)
}

// logLevel is what is logged by a program that was asked to say more, or not.
func logLevel(verbose bool) slog.Level {
	if verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
