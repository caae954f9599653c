package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/bench"
	"github.com/treeline-ci/treeline/internal/fault"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast Treeline is here",
		Long: `Measures Treeline from outside, as its users see it, and prints tables. Nothing is asserted.

The cost of an fdatasync is printed with the figures: what is promised to be kept has to be on the
disk, so compare figures of one machine at one time only.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newBenchCommitCommand(), newBenchQueueCommand(), newBenchTaskgraphCommand())
	return cmd
}

// printReport writes a report for people or programs.
func printReport(w io.Writer, r *bench.Report, asJSON bool) error {
	if asJSON {
		return r.JSON(w)
	}
	return r.Table(w)
}

func newBenchCommitCommand() *cobra.Command {
	var (
		asJSON bool
		dir    string
	)
	o := bench.CommitOptions{}
	cmd := &cobra.Command{
		Use:   "commit",
		Short: "Time from git commit to the first task at work",
		Long: `Starts "treeline dev" with the sample repository in a directory of its own, waits until the first
push is green, and then commits again and again. Each step on the way is timed by the server's own
events; the last ones by who follows the feed and the log.`,
		Example: `  treeline bench commit
  treeline bench commit --commits 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			return inDirectory(dir, func(program, data string) error {
				o.Program, o.Data = program, data
				report, err := bench.Commit(cmd.Context(), o)
				if err != nil {
					return err
				}
				return printReport(cmd.OutOrStdout(), report, asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Commits, "commits", 30, "how many commits")
	f.IntVar(&o.Workers, "workers", 2, "worker processes")
	f.StringVar(&dir, "dir", "", "directory on the disk to measure (default: that of temporary files)")
	f.StringVar(&o.Changed, "change", "README.md", "file of the sample repository to which each commit adds a line that begins with #")
	f.BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func newBenchQueueCommand() *cobra.Command {
	var (
		asJSON, noBatches bool
		rootURL, dir      string
	)
	o := bench.QueueOptions{}
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "What the queue does in a second",
		Long: `Calls the queue as workers and decision tasks do, for a while each, and cancels in the end what it
has made. Without --root-url it starts a server of its own. With it, the credentials in the
TASKCLUSTER_ variables must hold the scope *; any server with the API of a Taskcluster queue will
do, with --no-batches for those without createTasks.

Beside each rate stands what a Taskcluster of release 106 did on a machine of 2 cores, and what
Treeline wants to do there: compare with them on such a machine only. cpu ms is the time of all the
server's processes for one call (of a claim of 32, for one task); it is known for servers of our own.`,
		Example: `  treeline bench queue
  treeline bench queue --each 10s --json
  treeline bench queue --parts creates,claims --old 1000000
  treeline bench queue --root-url https://ci.example.org --no-batches`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			for _, p := range o.Parts {
				if !slices.Contains(bench.PartNames(), p) {
					return fault.New(fault.Invalid, "--parts: there is no part %q, but %s", p, strings.Join(bench.PartNames(), ", "))
				}
			}
			if rootURL != "" {
				o.RootURL, o.Batches = rootURL, !noBatches
				o.Credentials = hawk.Credentials{
					ClientID:    os.Getenv("TASKCLUSTER_CLIENT_ID"),
					AccessToken: os.Getenv("TASKCLUSTER_ACCESS_TOKEN"),
					Certificate: os.Getenv("TASKCLUSTER_CERTIFICATE"),
				}
				report, err := bench.Queue(cmd.Context(), o)
				if report == nil {
					return err
				}
				return errors.Join(printReport(cmd.OutOrStdout(), report, asJSON), err)
			}
			return inDirectory(dir, func(program, data string) error {
				report, err := bench.OwnQueue(cmd.Context(), program, data, o)
				if err != nil {
					return err
				}
				return printReport(cmd.OutOrStdout(), report, asJSON)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&rootURL, "root-url", "", "server to measure (default: one of our own)")
	f.StringSliceVar(&o.Parts, "parts", nil, "only these: "+strings.Join(bench.PartNames(), ", "))
	f.BoolVar(&noBatches, "no-batches", false, "the server has no createTasks")
	f.StringVar(&dir, "dir", "", "directory on the disk to measure (default: that of temporary files)")
	f.DurationVar(&o.Each, "each", 3*time.Second, "how long each load lasts")
	f.IntVar(&o.Group, "group", 10000, "tasks of the big group")
	f.IntVar(&o.Old, "old", 0, "afterwards make so many tasks, cancel them, and measure all again")
	f.BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

// inDirectory calls do with this program and a directory for a server of its own, which is removed.
func inDirectory(parent string, do func(program, data string) error) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to run a server with: %w", err)
	}
	dir, err := os.MkdirTemp(parent, "treeline-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // tasks may run as another user
		return err
	}
	return do(program, filepath.Join(dir, "data"))
}
