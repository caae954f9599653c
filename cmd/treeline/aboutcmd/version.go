// Package aboutcmd has the commands that tell of the program and of a server: version and health.
package aboutcmd

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/internal/build"
)

// NewVersion makes the command that says which Treeline this is.
func NewVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Say which Treeline this is",
		Long:    "Says the version and the commit it was built from. A running server answers the same at /__version__.",
		Example: `  treeline version --json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := build.Read()
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(info)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "treeline %s (%s, %s/%s)\n", info, info.Go, info.OS, info.Arch)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON: version, commit, time, modified, go, os, arch")
	return cmd
}
