// Package actioncmd has the commands of treeline taskgraph that are about actions and cron: what people
// may do with the tasks of a push (actions), doing it in an action task (action-callback) or trying it
// out (test-action-callback), and what a tree does at set times (cron).
package actioncmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
)

// Attach adds the commands to treeline taskgraph.
func Attach(cmd *cobra.Command) *cobra.Command {
	cmd.AddCommand(newActionsCommand(), newCallbackCommand(), newTestCommand(), newCronCommand())
	return cmd
}

// artifactsDir is where an action task leaves what it publishes.
const artifactsDir = "artifacts"

// actionsCommand is one use of treeline taskgraph actions.
type actionsCommand struct {
	*graphcmd.Session
	table bool
}

func newActionsCommand() *cobra.Command {
	c := &actionsCommand{Session: graphcmd.NewSession(false)}
	cmd := &cobra.Command{
		Use:   "actions",
		Short: "Print actions.json: what people may do with the tasks of a decision",
		Long: `Prints actions.json: the actions that every tree has, those that config.yml asks for, and those that
taskcluster/actions.star registers.` + graphcmd.ParametersHelp,
		Example: "  treeline taskgraph actions -p parameters.yml\n  treeline taskgraph actions --table",
		Args:    cobra.NoArgs,
		RunE:    c.Does(func(ctx context.Context, _ []string) error { return c.print(ctx) }),
	}
	c.Flags(cmd)
	cmd.Flags().BoolVarP(&c.table, "table", "T", false, "print a table for people")
	return cmd
}

func (c *actionsCommand) print(ctx context.Context) error {
	sets, err := c.Parameters(ctx)
	if err != nil {
		return err
	}
	cfg, err := config.Load(c.Tree(), c.Root())
	if err != nil {
		return err
	}
	for _, p := range sets {
		if c.table {
			err = c.printTable(ctx, cfg, p)
		} else {
			err = c.printJSON(ctx, cfg, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *actionsCommand) printJSON(ctx context.Context, cfg *config.GraphConfig, p *params.Parameters) error {
	actions, err := decision.Actions(ctx, decision.ActionsInput{
		Params: p, Config: cfg, Tree: c.Tree(), TaskclusterYML: c.TaskclusterYML(), DecisionTaskID: os.Getenv("TASK_ID"), RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"),
	})
	if err != nil {
		return err
	}
	b, err := decision.JSON(actions)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Out(), "%s\n", b)
	return err
}

func (c *actionsCommand) printTable(ctx context.Context, cfg *config.GraphConfig, p *params.Parameters) error {
	registry, err := newRegistry(ctx, c.Session, cfg, p)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Out(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ORDER\tNAME\tCALLBACK\tON\tPERMISSION\tFROM\tTITLE")
	for _, d := range registry.All() {
		from := "every tree"
		if d.File != "" {
			from = fmt.Sprintf("%s:%d", d.File, d.Line)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", d.Order, d.Name, d.Callback, on(d), d.Permission, from, d.Title)
	}
	return w.Flush()
}

// on says what an action is for.
func on(d action.Definition) string {
	if d.OnGroup() {
		return "the group"
	}
	b, err := json.Marshal(d.Context)
	if err != nil || string(b) == "[{}]" {
		return "any task"
	}
	return "tasks " + string(b)
}

// newRegistry gives the actions of the session's tree; what its Starlark prints goes to the remarks.
func newRegistry(ctx context.Context, s *graphcmd.Session, cfg *config.GraphConfig, p *params.Parameters) (*action.Registry, error) {
	return action.New(ctx, action.Tree{Config: cfg, Params: p, Files: s.Tree(), Star: starFiles(s)})
}

func starFiles(s *graphcmd.Session) *star.Files {
	return star.NewFiles(s.Tree(), star.Options{Print: func(line string) { fmt.Fprintf(s.Err(), "print: %s\n", line) }})
}

// printIndented writes v as JSON for people and programs.
func printIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
