package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

const historyHelp = "file with what is known of earlier pushes, as \"treeline taskgraph history\" writes it; \"server\" asks the server"

// askServer is the value of --history that asks the server.
const askServer = "server"

// past gives the table of earlier pushes when a strategy asks, the same each time.
func (g *generator) past(ctx context.Context, p *params.Parameters) history.Source {
	switch g.history {
	case "":
		return nil
	case askServer:
		return sync.OnceValues(func() (*history.Table, error) {
			c, err := client.FromEnv(nil)
			if err != nil {
				return nil, fmt.Errorf("--history %s: %w", askServer, err)
			}
			t, err := serverHistory(ctx, c, p.String("project"), branchOf(p.String("head_ref")))
			if errors.Is(err, fault.NotFound) {
				return nil, nil // no push before this one
			}
			return t, err
		})
	}
	name := g.history
	return sync.OnceValues(func() (*history.Table, error) { return fileHistory(name) })
}

func fileHistory(name string) (*history.Table, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--history: %w", err)
	}
	t, err := history.Read(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("--history %s: %w", name, err)
	}
	return t, nil
}

func serverHistory(ctx context.Context, c *client.Client, project, branch string) (*history.Table, error) {
	query := url.Values{}
	if branch != "" {
		query.Set("branch", branch)
	}
	t := &history.Table{}
	if err := c.Call(ctx, "history", http.MethodGet, "/project/"+url.PathEscape(project)+"/table", query, nil, t); err != nil {
		return nil, fmt.Errorf("history of %s: %w", project, err)
	}
	return t, t.Check()
}

// branchOf is the branch that a ref names.
func branchOf(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

func newHistoryCommand() *cobra.Command {
	var branch, output string
	cmd := &cobra.Command{
		Use:   "history PROJECT",
		Short: "Print what the server knows of a project's earlier pushes",
		Long: `Prints the table from which strategies such as skip-unless-backstop and skip-low-value decide: the
pushes of a branch, the regressions among them, and how often the tasks of each label ran, failed and
how long they took. It is the table that a push to the branch would get now. Given to other commands
with --history, it shows what such a push would run.

The server is TASKCLUSTER_ROOT_URL; the scope is history:read:PROJECT.`,
		Example: `  treeline taskgraph history demo -o history.json
  treeline taskgraph history demo --branch release
  treeline taskgraph optimized -p parameters.yml --history history.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client.FromEnv(nil)
			if err != nil {
				return err
			}
			t, err := serverHistory(cmd.Context(), c, args[0], branch)
			if err != nil {
				return err
			}
			b, err := t.Bytes()
			if err != nil {
				return err
			}
			if output == "" {
				_, err = cmd.OutOrStdout().Write(b)
				return err
			}
			return os.WriteFile(output, b, 0o644)
		},
	}
	f := cmd.Flags()
	f.StringVar(&branch, "branch", "", "the branch (default: that of the latest push)")
	f.StringVarP(&output, "output", "o", "", "write to this file")
	return cmd
}
