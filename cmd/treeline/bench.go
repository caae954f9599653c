package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/bench"
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
	cmd.AddCommand(newBenchCommitCommand())
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
	var asJSON bool
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
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if o.Program, err = os.Executable(); err != nil {
				return fmt.Errorf("find this program, to run a server with: %w", err)
			}
			dir, err := os.MkdirTemp(o.Data, "treeline-bench-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if err := os.Chmod(dir, 0o755); err != nil { // tasks may run as another user
				return err
			}
			o.Data = filepath.Join(dir, "data")
			o.Log = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			report, err := bench.Commit(cmd.Context(), o)
			if err != nil {
				return err
			}
			return printReport(cmd.OutOrStdout(), report, asJSON)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Commits, "commits", 30, "how many commits")
	f.IntVar(&o.Workers, "workers", 2, "worker processes")
	f.StringVar(&o.Data, "dir", "", "directory on the disk to measure (default: that of temporary files)")
	f.StringVar(&o.Changed, "change", "README.md", "file of the sample repository that each commit changes")
	f.BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}
