package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/workers/fetchcontent"
	"github.com/treeline-ci/treeline/workers/runtask"
)

func newRunTaskCommand() *cobra.Command {
	return &cobra.Command{
		Use:   runtask.Usage,
		Short: "Check out the sources and run a task's command (tasks start this themselves)",
		Long: `Checks out each repository for which --NAME-checkout is given, fetches the artifacts named by
MOZ_FETCHES, and runs the command with its output marked line by line. Where the sources are stands in the
environment: NAME_HEAD_REPOSITORY, NAME_HEAD_REV, NAME_HEAD_REF, NAME_BASE_REPOSITORY, NAME_REPOSITORY_TYPE.

Started as root, as in a container, it becomes the user worker, or the one of --user and --group, before it
touches the network; as the first process of a container it looks after orphans.

Exit codes: the command's own; 72 a cache is unfit (drop it and try again), 73 a volume is not empty or a
directory cannot be made, 2 the arguments make no sense, 1 sources or fetches cannot be had.`,
		Example:            `  CI_HEAD_REPOSITORY=. CI_HEAD_REF=main treeline run-task --ci-checkout=src --task-cwd src -- make test`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asksForHelp(args) {
				return cmd.Help()
			}
			if os.Getpid() == 1 {
				return status(runtask.AsInit(cmd.Context(), os.Args, os.Environ(), cmd.OutOrStdout()))
			}
			return status(runtask.Run(cmd.Context(), args, os.Environ(), cmd.OutOrStdout()))
		},
	}
}

func newFetchContentCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fetch-content",
		Short: "Fetch files of the web, revisions of git and artifacts of tasks (tasks start this themselves)",
		Long: `Fetches content that later tasks use:

  ` + fetchcontent.Usage + `

static-url downloads a file whose digest and size must be as given; when entries are to be renamed, or the
file's name asks for another kind of archive, it is packed anew as .tar.zst. git-checkout-archive packs the
files of one commit. task-artifacts downloads what MOZ_FETCHES names, and unpacks it. What fails for a passing
reason is tried five times.`,
		Example: `  treeline fetch-content static-url --sha256 2c26…7ae --size 3 https://example.com/foo.txt foo.txt
  treeline fetch-content git-checkout-archive https://github.com/example/lib 9b2…f31 lib.tar.zst`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if asksForHelp(args) {
				return cmd.Help()
			}
			return status(fetchcontent.Run(cmd.Context(), args, os.Environ(), cmd.OutOrStdout()))
		},
	}
}

func asksForHelp(args []string) bool {
	return len(args) == 1 && (args[0] == "--help" || args[0] == "-h")
}

// status is the error that ends the program with the exit code; nil for 0.
func status(code int) error {
	if code == 0 {
		return nil
	}
	return exit.Code(code)
}
