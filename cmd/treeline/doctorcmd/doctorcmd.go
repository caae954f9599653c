// Package doctorcmd is the command "treeline doctor": it makes the checks of a deployment from its configuration, runs
// them, and tells what they found.
package doctorcmd

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/serveflags"
	"github.com/treeline-ci/treeline/doctor"
	"github.com/treeline-ci/treeline/internal/build"
	"github.com/treeline-ci/treeline/internal/pg"
)

const help = `Looks whether a deployment is as it has to be, and says of what it finds what is wrong, which promise that
breaks, and what to do. docs/operations/doctor.md lists all that it can find.

Give it the environment and the flags of "treeline serve", on the machine where that runs. It reads the configuration as
the server does, and tells of settings that cannot be meant; it looks at the database, writes to each object store and
removes it again, signs in to GitHub, RabbitMQ, mail, Slack and Matrix, connects to the receiver of traces, and asks the
deployment at its root URL. Nobody gets a message of it, and it changes nothing.

From elsewhere, --root-url alone looks at a deployment from outside: its address, certificate, clock and health.

Exit codes: 0 nothing is wrong (hints may be there), 1 there are findings, 2 something could not be looked at.`

// options are the flags of the command besides the server's.
type options struct {
	flags   serveflags.Flags
	rootURL string
	ca      string
	json    bool
	quiet   bool
	only    []string
	limit   time.Duration
	servers int
	age     time.Duration // of a transaction
	slot    int64         // MB
}

// New makes the command.
func New() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look whether a deployment is as it has to be", Long: help, Args: cobra.NoArgs,
		Example: `  treeline doctor
  treeline doctor --only "database settings" --only backups --json
  treeline doctor --root-url https://ci.example.com`,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.flags.Add(cmd.Flags())
	cmd.Flags().StringVar(&o.rootURL, "root-url", "", "root URL of the deployment (default $TREELINE_ROOT_URL); without DATABASE_URL, look from outside only")
	cmd.Flags().StringVar(&o.ca, "ca", "", "file of PEM certificates to trust at the root URL, besides the system's")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "tell of findings alone, not of each check")
	cmd.Flags().StringArrayVar(&o.only, "only", nil, "run only checks whose name has this in it (repeatable)")
	cmd.Flags().DurationVar(&o.limit, "limit", doctor.Limit, "time for each check")
	cmd.Flags().IntVar(&o.servers, "servers", 0, "how many servers share the database at most (default: one more than now)")
	cmd.Flags().DurationVar(&o.age, "transaction-age", doctor.OldTransaction, "how long a transaction may be open")
	cmd.Flags().Int64Var(&o.slot, "slot-keeps", doctor.SlotKeeps>>20, "how many MB of the log a replication slot that nobody reads may keep")
	return cmd
}

func (o *options) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	checks, closer, err := o.checks(ctx)
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "treeline:", err)
		return exit.Code(doctor.Blinded)
	}
	defer closer()
	if len(o.only) > 0 {
		checks = slices.DeleteFunc(checks, func(c doctor.Check) bool {
			return !slices.ContainsFunc(o.only, func(part string) bool { return strings.Contains(c.Name, part) })
		})
	}
	if len(checks) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "treeline: no check has such a name")
		return exit.Code(doctor.Blinded)
	}
	progress := doctor.Printer{Out: cmd.ErrOrStderr(), Colours: colours(cmd.ErrOrStderr())}
	report := doctor.Run(ctx, checks, doctor.Options{Limit: o.limit, Done: func(r doctor.Result) {
		if !o.quiet && !o.json {
			fmt.Fprintln(progress.Out, progress.Line(r))
		}
	}})
	if o.json {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	} else {
		err = doctor.Printer{Out: cmd.OutOrStdout(), Colours: colours(cmd.OutOrStdout())}.Report(report)
	}
	if code := report.Exit(); err == nil && code != doctor.Fine {
		return exit.Code(code)
	}
	return err
}

func colours(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}

// checks makes all that can be looked at. closer ends what they needed.
func (o *options) checks(ctx context.Context) (checks []doctor.Check, closer func(), err error) {
	closer = func() {}
	trust, err := authorities(o.ca)
	if err != nil {
		return nil, closer, err
	}
	if os.Getenv("DATABASE_URL") == "" && os.Getenv("DATABASE_URL_FILE") == "" {
		root := doctor.Root{URL: strings.TrimSuffix(o.rootURL, "/"), Trust: trust}
		if root.URL == "" {
			root.URL = strings.TrimSuffix(os.Getenv("TREELINE_ROOT_URL"), "/")
		}
		if root.URL == "" {
			return nil, closer, errors.New("which deployment? Give the environment of its server (DATABASE_URL, TREELINE_DATA, …), or --root-url")
		}
		return root.Checks(), closer, nil
	}
	d := load(ctx, &o.flags)
	if o.rootURL != "" {
		d.config.RootURL = strings.TrimSuffix(o.rootURL, "/")
	}
	checks = d.own()
	pool, err := pg.Open(ctx, plain(d.config.DatabaseURL), pg.MaxConns(4), pg.Application("treeline doctor"))
	if err != nil {
		checks = append(checks, fixed("database", doctor.Found("db-unreachable", "%v", err)))
	} else {
		closer = pool.Close
		checks = append(checks, d.database(pool, o)...)
	}
	root := doctor.Root{URL: d.config.RootURL, Version: build.Read().Version, Trust: trust}
	if d.secrets {
		root.Self = hawk.Credentials{ClientID: app.RootClient, AccessToken: d.config.Secrets.RootToken}
	}
	checks = append(checks, root.Checks()...)
	return append(checks, d.others(pool)...), closer, nil
}

// fixed is a check whose outcome is known.
func fixed(name string, found ...doctor.Finding) doctor.Check {
	return doctor.Check{Name: name, Look: func(context.Context) ([]doctor.Finding, error) { return found, nil }}
}

// plain is the database's address without a way of asking that a pooler may not take: the doctor has to get through
// where servers do not.
func plain(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return address
	}
	q := u.Query()
	q.Del("default_query_exec_mode")
	u.RawQuery = q.Encode()
	return u.String()
}

func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	trust, err := x509.SystemCertPool()
	if err != nil {
		trust = x509.NewCertPool()
	}
	if !trust.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--ca: %s has no certificate in PEM", path)
	}
	return trust, nil
}
