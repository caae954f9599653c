// Package admincmd is the command "treeline admin": a deployment as a directory of YAML, and what a
// second person says of changes.
package admincmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/admin/check"
	"github.com/treeline-ci/treeline/admin/plan"
	"github.com/treeline-ci/treeline/admin/resource"
	"github.com/treeline-ci/treeline/admin/server"
	"github.com/treeline-ci/treeline/admin/tree"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
)

// Body is what a command does with a server.
type Body func(cmd *cobra.Command, c *client.Client, args []string) error

// Connect wraps the body of a command: it connects, and explains errors.
type Connect func(Body) func(*cobra.Command, []string) error

// options are what the sub-commands share.
type options struct {
	dir     string
	filter  string
	json    bool
	connect Connect
}

// New makes the command.
func New(connect Connect) *cobra.Command {
	o := &options{connect: connect}
	cmd := &cobra.Command{
		Use: "admin", Short: "Administer a deployment as code, and approve changes", Args: cobra.NoArgs,
		Long: `Keeps a deployment as a directory of YAML says: roles and what is granted to projects, clients, hooks,
worker pools, the denylist, and which secrets there must be. Only what the directory's list "managed"
names is touched. It speaks the public API alone, so it works with every server that is compatible
with Taskcluster.

The language of the directory: docs/reference/admin-directory.md. How to begin, and how to be told of
drift: docs/how-to/administer-as-code.md.

Exit codes: 0 done, and nothing differs; 1 something differs, does not hold, or went wrong.`,
		Example: `  treeline admin import ops/            # begin with what the server has
  treeline admin diff --dir ops         # what differs, and which scopes would grow
  treeline admin check --dir ops        # what must always hold
  treeline admin apply --dir ops        # make it so
  treeline admin apply --dir ops --allow-scope-growth --expect 4f1c09d2a7b3e855
  treeline admin diff --dir ops --filter 'kind == "role" && id startsWith "repo:"'
  treeline admin generate --dir ops --server-config > repositories.yml
  treeline admin approvals list`,
	}
	cmd.AddCommand(o.generate(), o.current(), o.diff(), o.check(), o.apply(), o.imports(), o.driftHook(), o.audit(), o.approvals())
	return cmd
}

func (o *options) flags(cmd *cobra.Command, filter bool) *cobra.Command {
	cmd.Flags().StringVar(&o.dir, "dir", ".", "the directory")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON, for programs")
	if filter {
		cmd.Flags().StringVar(&o.filter, "filter", "", "only resources of which this holds, such as 'kind == \"role\" && id startsWith \"repo:\"'; it can use kind, id, action, scopes and description")
	}
	return cmd
}

// read reads the directory, and says all that is wrong with it.
func (o *options) read(cmd *cobra.Command) (*tree.Tree, error) {
	t, err := tree.Read(os.DirFS(o.dir))
	var problems tree.Problems
	if errors.As(err, &problems) {
		fmt.Fprintln(cmd.ErrOrStderr(), problems.Error())
		mistakes := "mistakes"
		if len(problems) == 1 {
			mistakes = "mistake"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%d %s in %s; nothing is done\n", len(problems), mistakes, o.dir)
		return nil, exit.Told
	}
	if err != nil {
		return nil, fmt.Errorf("the directory %s: %w", o.dir, err)
	}
	return t, nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// planned compares the directory with the server.
func (o *options) planned(cmd *cobra.Command, c *client.Client) (*tree.Tree, *plan.Plan, error) {
	filter, err := check.NewFilter(o.filter)
	if err != nil {
		return nil, nil, err
	}
	t, err := o.read(cmd)
	if err != nil {
		return nil, nil, err
	}
	have, err := server.New(c).State(cmd.Context(), t.Managed)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Make(t.Resources(), have, t.Managed, now(), func(c plan.Change) (bool, error) {
		body := c.After
		if body == nil {
			body = c.Before
		}
		return filter.Keep(c.Key, string(c.Action), body)
	})
	return t, p, err
}

// kept are those of a set that the filter and, if given, patterns choose.
func (o *options) kept(set resource.Set, managed resource.Patterns) ([]resource.Resource, error) {
	filter, err := check.NewFilter(o.filter)
	if err != nil {
		return nil, err
	}
	list := []resource.Resource{}
	for _, r := range set.Sorted() {
		keep, err := filter.Keep(r.Key, "", r.Body)
		if err != nil {
			return nil, fmt.Errorf("--filter: %s: %w", r.Key, err)
		}
		if keep && managed.Match(r.Key) {
			list = append(list, r)
		}
	}
	return list, nil
}

// show prints resources, as JSON or as they would stand in a directory.
func (o *options) show(cmd *cobra.Command, list []resource.Resource) error {
	if o.json {
		return printJSON(cmd.OutOrStdout(), list)
	}
	for _, r := range list {
		where := ""
		if r.At != "" {
			where = "  (" + r.At + ")"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s%s\n", r.Key, where)
		var body map[string]any
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return fmt.Errorf("%s: %w", r.Key, err)
		}
		if len(body) == 0 {
			continue
		}
		text, err := yamlText(body)
		if err != nil {
			return err
		}
		fmt.Fprint(cmd.OutOrStdout(), text)
	}
	return nil
}
