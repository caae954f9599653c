package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/dev"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/pools/provider/setup"
	"github.com/treeline-ci/treeline/trace/export"
)

func newDevCommand() *cobra.Command {
	var c dev.Config
	var verbose bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole product on this machine: database, server, workers, a repository",
		Long: `Runs a private PostgreSQL, the server and workers, and watches a git repository: commit there,
and the work starts. Without --repo it makes a sample repository with a small real project.

Everything is kept in the data directory; stop with Ctrl-C and start again with the same command.
Only where tasks of root run as user nobody, who cannot enter that directory, workers keep theirs below
/var/tmp/treeline-…, which goes at the next start once the data directory is removed.
DATA/env holds the address and credentials as the four TASKCLUSTER_ variables. TREELINE_LOGIN may name
a file that says how people sign in, TREELINE_REPOSITORIES one of Mercurial repositories and followed
branches, TREELINE_POOLS one of providers of worker pools, and TREELINE_SMTP_URL and its like how mail is
sent, as for "treeline serve".

--github-double starts a double of GitHub on this machine: a site on which pull requests are opened, commented
and merged, with the checks and buttons of this server. Nothing of it is kept, and nothing leaves the machine.`,
		Example: `  treeline dev
  treeline dev --repo . --port 9000
  treeline dev --github-double
  . treeline-data/env && treeline group list`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelWarn
			if verbose {
				level = slog.LevelDebug
			}
			c.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			c.Out = cmd.OutOrStdout()
			program, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program, to run workers with: %w", err)
			}
			c.Program = program
			if c.Login, err = login.LoadConfig(os.Getenv(login.Setting), os.Getenv); err != nil {
				return err
			}
			if c.Notify, err = app.LoadNotify(os.Getenv); err != nil {
				return err
			}
			if c.Traces, err = export.FromEnv("", os.Getenv); err != nil {
				return err
			}
			if c.Remote, err = app.LoadRepositories(os.Getenv("TREELINE_REPOSITORIES")); err != nil {
				return err
			}
			if c.Pools, err = setup.Load(os.Getenv(setup.Setting)); err != nil {
				return err
			}
			return dev.Run(cmd.Context(), c)
		},
	}
	cmd.Flags().StringVar(&c.Repo, "repo", "", "git repository to watch (default: a sample)")
	cmd.Flags().StringVar(&c.Data, "data", "treeline-data", "directory for everything that is kept")
	cmd.Flags().IntVar(&c.Port, "port", 8080, "port of the server on 127.0.0.1; 0 takes a free one, at the next start the same")
	cmd.Flags().IntVar(&c.Workers, "workers", 2, "how many tasks may run at once")
	cmd.Flags().BoolVar(&c.GitHubDouble, "github-double", false, "run a double of GitHub too, with the sample repository, whose App this server is")
	cmd.Flags().BoolVar(&c.AcceptImages, "accept-images", false, "do tasks that name a container image, without it")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "log what happens")
	return cmd
}
