// Command treeline is the whole of Treeline: the server, the worker, the generator and the command
// line of its services.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// exitCode is an error that says how the program ends; its command has told the reason already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func run(ctx context.Context, args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	default:
		fmt.Fprintln(root.ErrOrStderr(), "treeline:", err)
		return 1
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "treeline",
		Short: "A CI system that lives in the tree",
		Long: `Treeline decides what a push needs, runs the work on a queue that loses nothing, and explains
every task.

Start the whole product on this machine with "treeline dev". The other commands speak to a server
named by TASKCLUSTER_ROOT_URL, with the credentials in TASKCLUSTER_CLIENT_ID and
TASKCLUSTER_ACCESS_TOKEN (and TASKCLUSTER_CERTIFICATE for temporary ones).`,
		Example: `  treeline dev                     # a sample repository, a server, workers
  treeline dev --repo ~/src/mine   # watch a repository of yours
  treeline group list              # what is going on`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: "run", Title: "Run Treeline:"},
		&cobra.Group{ID: "use", Title: "Use a running server:"},
		&cobra.Group{ID: "tree", Title: "Work on a repository's configuration:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("run", newDevCommand(), newServeCommand(), newWorkerCommand(), newRunTaskCommand(), newDBCommand(), newBenchCommand())
	add("use", newTaskCommand(), newGroupCommand(), newArtifactCommand(), newIndexCommand(), newAPICommand())
	add("tree", newTaskgraphCommand(), newConfigCommand(), newJSONECommand())
	return root
}

// stopWithin calls stop with a context that outlasts ctx by d.
func stopWithin(ctx context.Context, d time.Duration, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	return stop(ctx)
}
