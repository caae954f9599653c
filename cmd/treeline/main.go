// Command treeline is the whole of Treeline: the server, the worker, the generator and the command
// line of its services.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/cmd/treeline/aboutcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/actioncmd"
	"github.com/treeline-ci/treeline/cmd/treeline/dbcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/docscmd"
	"github.com/treeline-ci/treeline/cmd/treeline/doctorcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/githubcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/importcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/localcmd"
	"github.com/treeline-ci/treeline/cmd/treeline/logincmd"
	"github.com/treeline-ci/treeline/cmd/treeline/trycmd"
	"github.com/treeline-ci/treeline/internal/build"
	"github.com/treeline-ci/treeline/internal/slug"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// exitInterrupted is what shells have for a program that Ctrl-C ended.
const exitInterrupted = 130

func run(ctx context.Context, args []string) int {
	return execute(ctx, newRootCommand(), args)
}

// execute runs a command line and returns its exit code; errors have been told.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := checkCommand(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	var code exit.Code
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		fmt.Fprintln(root.ErrOrStderr(), "treeline: interrupted")
		return exitInterrupted
	default:
		fmt.Fprintln(root.ErrOrStderr(), "treeline:", err)
		if id := idAsFlags(args, err); id != "" { // of 64 ids one begins so
			fmt.Fprintf(root.ErrOrStderr(), "  remedy: when %s is an id, write -- before it: everything behind -- is no flag\n", id)
		}
		return 1
	}
}

// checkCommand refuses a word that is no sub-command, for which cobra would print the help and call
// it a success.
func checkCommand(root *cobra.Command, args []string) error {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd.Runnable() || !cmd.HasParent() {
		return nil // cobra says what is wrong, if anything
	}
	for _, word := range rest {
		if !strings.HasPrefix(word, "-") {
			return fmt.Errorf("unknown command %q for %q: \"%s --help\" lists them", word, cmd.CommandPath(), cmd.CommandPath())
		}
	}
	return nil
}

// nameUsage makes errors about flags and arguments say what was expected.
func nameUsage(cmd *cobra.Command) {
	usage := func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w\n  usage: %s\n  \"%s --help\" says more", err, cmd.UseLine(), cmd.CommandPath())
	}
	cmd.SetFlagErrorFunc(usage)
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		nameUsage(sub)
	}
}

// idAsFlags returns the id that was taken for flags when err is about flags; "" otherwise.
func idAsFlags(args []string, err error) string {
	_, unknown := errors.AsType[*pflag.NotExistError](err)
	_, valueless := errors.AsType[*pflag.ValueRequiredError](err)
	_, bad := errors.AsType[*pflag.InvalidSyntaxError](err)
	if unknown || valueless || bad {
		for _, arg := range args {
			if arg == "--" {
				break
			}
			if strings.HasPrefix(arg, "-") && slug.Valid(arg) {
				return arg
			}
		}
	}
	return ""
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "treeline",
		Short: "A CI system that lives in the tree",
		Long: `Treeline decides what a push needs, runs the work on a queue that loses nothing, and explains
every task.

Start the whole product on this machine with "treeline dev". The other commands speak to the server
that "treeline signin" signed in to, or to that named by TASKCLUSTER_ROOT_URL, with the credentials in
TASKCLUSTER_CLIENT_ID and TASKCLUSTER_ACCESS_TOKEN (and TASKCLUSTER_CERTIFICATE for temporary ones).`,
		Example: `  treeline dev                     # a sample repository, a server, workers
  treeline dev --repo ~/src/mine   # watch a repository of yours
  treeline group list              # what is going on`,
		Version:       build.Read().String(),
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
	add("run", newDevCommand(), newServeCommand(), newWorkerCommand(), newRunTaskCommand(), newFetchContentCommand(), dbcmd.New(), doctorcmd.New(), newBenchCommand(), docscmd.New(), aboutcmd.NewVersion(), aboutcmd.NewHealth())
	add("use", logincmd.New()...)
	add("use", newTaskCommand(), newGroupCommand(), newActionCommand(), newArtifactCommand(), newCotCommand(), newIndexCommand(), newEventsCommand(), newCronCommand(), newTraceCommand(), newHgCommand(), newSecretCommand(), githubcmd.New(), newNotifyCommand(), newAPICommand(), newAdminCommand())
	add("tree", localcmd.Attach(actioncmd.Attach(graphcmd.New())), newConfigCommand(), newJSONECommand(), trycmd.New(), importcmd.New())
	nameUsage(root)
	return root
}

// stopWithin calls stop with a context that outlasts ctx by d.
func stopWithin(ctx context.Context, d time.Duration, stop func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d)
	defer cancel()
	return stop(ctx)
}
