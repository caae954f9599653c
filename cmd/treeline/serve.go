package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/cmd/treeline/serveflags"
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
  TREELINE_MASTER_KEY file:PATH or env:NAME with the master key, where those keys are wrapped; or the key
                      service that wraps them, awskms:///KEY, gcpkms:///projects/…,
                      azurekeyvault://VAULT/keys/KEY or transit:///KEY, each with ?deployment=NAME
                      (docs/operations/keys.md)
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
  TREELINE_ALARM_TO   whom to tell when somebody who is no task reads a secret: email:ADDRESS,
                      slack-channel:ID, matrix-room:ID or pulse:KEY, with spaces between; optional
  TREELINE_ALARM_EXCEPT
                      clients that may read secrets without an alarm, with spaces between; * at the
                      end stands for any rest; optional
  TREELINE_FRESH_SIGN_IN
                      how long ago who changes the deployment from a page may have signed in, such as
                      15m or 12h; off for any time; 1h when left out and TREELINE_LOGIN names a
                      provider that asks people who they are, otherwise off
  TREELINE_GITHUB_APP_ID, TREELINE_GITHUB_APP_KEY or TREELINE_GITHUB_APP_KEY_FILE,
  TREELINE_GITHUB_WEBHOOK_SECRETS, TREELINE_GITHUB_API, or TREELINE_GITHUB_SECRET
                      the GitHub App that the server is: id, private key or a file with it, secrets
                      of its webhooks with spaces between or file:PATH, and for GitHub Enterprise
                      Server the root of its API; or the name of the server's secret that holds
                      all that; optional
  TREELINE_BUG_TRACKER
                      the bug tracker that is searched for failures and in which people file bugs, as
                      --bug-tracker; optional. With TREELINE_BUG_TRACKER_TOKEN, or
                      TREELINE_BUG_TRACKER_TOKEN_FILE with it, the server files them
                      (docs/how-to/file-bugs.md)
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
	var flags serveflags.Flags
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the server on a PostgreSQL of yours",
		Long:    serveHelp,
		Example: `  DATABASE_URL=postgres://treeline@/treeline TREELINE_DATA=/var/lib/treeline treeline serve --listen 127.0.0.1:8080`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: logLevel(flags.Verbose)}))
			c, err := configured(ctx, &flags)
			if err != nil {
				return err
			}
			c.Log = log
			server, err := app.Start(ctx, c)
			if err != nil {
				return err
			}
			log.Info("serving", "rootUrl", server.RootURL())
			if err := tellSystemd(); err != nil {
				log.Error("systemd does not hear that the server serves", "err", err)
			}
			select {
			case <-ctx.Done():
			case err = <-server.Failed():
			}
			return errors.Join(err, stopWithin(ctx, c.DrainNotice+c.Drain+30*time.Second, server.Stop))
		},
	}
	flags.Add(cmd.Flags())
	return cmd
}

// configured reads the whole configuration, and makes the secrets when there are none.
func configured(ctx context.Context, flags *serveflags.Flags) (app.Config, error) {
	data := serveflags.Data()
	if data == "" {
		return app.Config{}, errors.New("set TREELINE_DATA to a directory that is kept")
	}
	c, problems := flags.Read()
	var all []error
	for _, p := range problems {
		all = append(all, p)
	}
	if all != nil {
		return c, errors.Join(all...)
	}
	if err := os.MkdirAll(data, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return c, err
	}
	var err error
	if c.Secrets, err = app.LoadSecrets(serveflags.SecretsFile(data)); err != nil {
		return c, err
	}
	_, err = c.Secrets.LoadKeys(ctx)
	return c, err
}

// logLevel is what is logged by a program that was asked to say more, or not.
func logLevel(verbose bool) slog.Level {
	if verbose {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
