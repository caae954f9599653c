package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/workers/runtask"
)

func newRunTaskCommand() *cobra.Command {
	return &cobra.Command{
		Use:   runtask.Usage,
		Short: "Check out the sources and run a task's command (tasks start this themselves)",
		Long: `Checks out each repository for which --NAME-checkout is given, fetches the artifacts named by
MOZ_FETCHES, and runs the command with its output marked line by line. Where the sources are stands in the
environment: NAME_HEAD_REPOSITORY, NAME_HEAD_REV, NAME_HEAD_REF, NAME_BASE_REPOSITORY, NAME_REPOSITORY_TYPE.`,
		Example:            `  CI_HEAD_REPOSITORY=. CI_HEAD_REF=main treeline run-task --ci-checkout=src --task-cwd src -- make test`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if code := runtask.Run(cmd.Context(), args, os.Environ(), cmd.OutOrStdout()); code != 0 {
				return exitCode(code)
			}
			return nil
		},
	}
}
