package logincmd

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
)

func newSignOut() *cobra.Command {
	csh := false
	cmd := &cobra.Command{
		Use:   "signout [ROOT-URL]",
		Short: "Delete the client that signing in has made, and forget its credentials",
		Long: `Has the server delete the client whose credentials are in the environment or stored, so that nobody
can use them any more, and removes what is stored. When the credentials are in the environment, the
output takes them out of it.`,
		Example: `  treeline signout
  eval $(treeline signout)   # after eval $(treeline signin)`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, err := rootURL(args)
			if err != nil {
				return err
			}
			entry, stored, err := client.Remembered(root)
			if err != nil {
				return err
			}
			inEnv := os.Getenv("TASKCLUSTER_CLIENT_ID") != "" && len(args) == 0
			if inEnv {
				entry = client.Stored{RootURL: root, ClientID: os.Getenv("TASKCLUSTER_CLIENT_ID"), AccessToken: os.Getenv("TASKCLUSTER_ACCESS_TOKEN")}
			}
			if !inEnv && !stored {
				return fmt.Errorf("not signed in at %s", root)
			}
			_, err = post(cmd.Context(), root+"/login/cli/revoke", url.Values{"clientId": {entry.ClientID}, "accessToken": {entry.AccessToken}})
			if err != nil {
				err = fmt.Errorf("client %s was not deleted: %w", entry.ClientID, err)
			}
			if !inEnv {
				err = errors.Join(err, client.Forget(root))
			} else {
				set := settings{csh: csh}
				set.unset("TASKCLUSTER_CLIENT_ID")
				set.unset("TASKCLUSTER_ACCESS_TOKEN")
				_, werr := io.WriteString(cmd.OutOrStdout(), set.String())
				err = errors.Join(err, werr)
			}
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "Signed out: client %s is deleted.\n", entry.ClientID)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&csh, "csh", false, "print settings for csh")
	return cmd
}
