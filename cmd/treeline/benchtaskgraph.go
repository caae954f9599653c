package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/bench/generator"
)

func newBenchTaskgraphCommand() *cobra.Command {
	var (
		asJSON bool
		dir    string
	)
	o := generator.Options{}
	cmd := &cobra.Command{
		Use:   "taskgraph",
		Short: "How long the generator takes for graphs of 25 to 100,000 tasks",
		Long: `Writes synthetic repositories and runs "treeline taskgraph" on them, whole processes, several times
each. Beside the medians stands what the Python program taskgraph took for graphs of the same shape on
a quiet machine of 2 cores, and what Treeline wants to reach there: compare on such a machine only.`,
		Example: `  treeline bench taskgraph
  treeline bench taskgraph --large --runs 3 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Log = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
			return inDirectory(dir, func(program, data string) error {
				if err := os.Mkdir(data, 0o755); err != nil {
					return err
				}
				o.Program, o.Dir = program, filepath.Clean(data)
				report, err := generator.Run(cmd.Context(), o)
				if err != nil {
					return err
				}
				if asJSON {
					return report.JSON(cmd.OutOrStdout())
				}
				return report.Table(cmd.OutOrStdout())
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Runs, "runs", 5, "processes for each figure")
	f.BoolVar(&o.Large, "large", false, "measure 100,000 tasks, too: that takes some gigabytes of memory")
	f.StringVar(&dir, "dir", "", "directory for the repositories (default: that of temporary files)")
	f.BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}
