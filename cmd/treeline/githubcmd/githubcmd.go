// Package githubcmd is the command "treeline github": it makes the GitHub App that a server is, and tells how it
// stands.
package githubcmd

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/settings"
	"github.com/treeline-ci/treeline/app/github/setup"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
)

// New makes the command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use: "github", Short: "Make the GitHub App of a server, and see how it stands", Args: cobra.NoArgs,
		Long: `A server is one GitHub App: its webhooks tell what happened, and its check runs what became of it.
"setup" makes the App, "status" says how it stands at GitHub.`,
	}
	cmd.AddCommand(newSetup(), newStatus())
	return cmd
}

func newStatus() *cobra.Command {
	var asJSON bool
	var root string
	cmd := &cobra.Command{
		Use: "status", Short: "Say what the App may do, where it is installed, and whether webhooks arrive", Args: cobra.NoArgs,
		Long: `Asks GitHub, with the App's own key: which permissions and events are missing and what they are for,
where the App is installed and which repositories it reaches there, and which webhooks did not arrive.
It reads the settings of "treeline serve": TREELINE_GITHUB_APP_ID, TREELINE_GITHUB_APP_KEY_FILE and so on.

Exit codes: 0 all is well; 1 something is not, or GitHub could not be asked.`,
		Example: `  . treeline-github/github.env && treeline github status
  treeline github status --root-url https://ci.example.com --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := settings.LoadConfig()
			if err != nil {
				return err
			}
			if c.AppID == 0 {
				return fmt.Errorf("%s is not set: read the file that \"treeline github setup\" wrote, as with `. treeline-github/github.env`", settings.AppIDSetting)
			}
			s, err := setup.Look(cmd.Context(), ghclient.Config{AppID: c.AppID, Key: c.Key, API: c.API}, root)
			if err != nil {
				return err
			}
			if err := printStatus(cmd.OutOrStdout(), s, asJSON); err != nil {
				return err
			}
			if len(s.Problems) > 0 {
				return exit.Told
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	cmd.Flags().StringVar(&root, "root-url", os.Getenv("TREELINE_ROOT_URL"), "address of the server, to hold the webhook against (TREELINE_ROOT_URL)")
	return cmd
}

// shownRepositories is how many repositories of an installation are named.
const shownRepositories = 20

func printStatus(w io.Writer, s setup.Status, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(s)
	}
	fmt.Fprintf(w, "App        %s (%d), %s\nWebhooks   to %s: %d looked at, %d failed\n", s.Name, s.ID, s.Page, s.Webhook, s.Deliveries.Looked, s.Deliveries.Failed)
	for _, in := range s.Installations {
		what := fmt.Sprintf("%d repositories", len(in.Repositories))
		if in.All {
			what = "all repositories, " + fmt.Sprint(len(in.Repositories))
		}
		if in.Suspended {
			what = "suspended"
		}
		fmt.Fprintf(w, "Installed  at %s (%d): %s\n", in.Account, in.ID, what)
		for _, r := range in.Repositories[:min(len(in.Repositories), shownRepositories)] {
			fmt.Fprintf(w, "           %s\n", r)
		}
		if more := len(in.Repositories) - shownRepositories; more > 0 {
			fmt.Fprintf(w, "           and %d more\n", more)
		}
	}
	if len(s.Problems) == 0 {
		_, err := fmt.Fprintln(w, "All is well.")
		return err
	}
	fmt.Fprintln(w, "\nTo be mended:")
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  - %s\n", p)
	}
	return nil
}

// signedIn connects to the server whose secrets are to hold the App's.
func signedIn() (*client.Client, error) {
	c, err := client.FromEnv(nil)
	if err != nil {
		return nil, fmt.Errorf("--secret: %w", err)
	}
	return c, nil
}

// quoted writes a value for a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
