package actioncmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// testCommand is one use of treeline taskgraph test-action-callback.
type testCommand struct {
	*graphcmd.Session
	asked
	inputFile string
	json      bool
}

func newTestCommand() *cobra.Command {
	c := &testCommand{Session: graphcmd.NewSession(false)}
	cmd := &cobra.Command{
		Use:   "test-action-callback CALLBACK",
		Short: "Say what an action would do, and do nothing",
		Long: `Runs an action on this machine and prints what it would do. It changes nothing.

With --task-group-id it works on what the server knows of that push, with the parameters of its decision
unless --parameters says others. Without it the graph is made here, of the checkout, and no task ran yet.` + graphcmd.ParametersHelp,
		Example: `  treeline taskgraph test-action-callback add-new-jobs --input input.yml
  treeline taskgraph test-action-callback rerun --task-group-id ID --task-id ID --json`,
		Args: cobra.ExactArgs(1),
		RunE: c.Does(func(ctx context.Context, args []string) error {
			c.callback = args[0]
			return c.run(ctx)
		}),
	}
	c.Flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.taskID, "task-id", "", "the task that the action is for")
	f.StringVar(&c.groupID, "task-group-id", "", "the task group that the action is for")
	f.StringVar(&c.inputFile, "input", "", "file with the input of the action, YAML or JSON; - reads standard input")
	f.BoolVar(&c.json, "json", false, "print JSON, for programs")
	return cmd
}

// tryID stands for the action task that there is none of.
func tryID() string { return taskgraph.TaskID("test-action-callback", "") }

func (c *testCommand) run(ctx context.Context) error {
	for name, id := range map[string]string{"--task-id": c.taskID, "--task-group-id": c.groupID} {
		if id != "" && !slug.Valid(id) {
			return fmt.Errorf("%s %q is not the id of a task", name, id)
		}
	}
	if c.taskID != "" && c.groupID == "" {
		return errors.New("--task-id needs --task-group-id: the push whose task it is")
	}
	if err := c.readInput(); err != nil {
		return err
	}
	cfg, err := config.Load(c.Tree(), c.Root())
	if err != nil {
		return err
	}
	call := action.Call{
		ActionTaskID: tryID(), TaskGroupID: c.groupID, TaskID: c.taskID, Input: c.input, Config: cfg, Now: time.Now(),
		Star: starFiles(c.Session), RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"),
	}
	if call.Index, err = c.Index(); err != nil {
		return err
	}
	registry, err := c.facts(ctx, cfg, &call)
	if err != nil {
		return err
	}
	effects, err := registry.Run(ctx, c.callback, call)
	if err != nil {
		return err
	}
	return c.print(effects)
}

func (c *testCommand) readInput() error {
	if c.inputFile == "" {
		return nil
	}
	src, err := os.ReadFile(c.inputFile)
	if c.inputFile == "-" {
		src, err = io.ReadAll(os.Stdin)
	}
	if err != nil {
		return fmt.Errorf("--input: %w", err)
	}
	values, err := params.Decode(c.inputFile, src)
	c.input = values
	return err
}

// facts fills the call from the server, or without a task group from the checkout.
func (c *testCommand) facts(ctx context.Context, cfg *config.GraphConfig, call *action.Call) (*action.Registry, error) {
	var p *params.Parameters
	r := newPerformer(c.Session, nil, cfg)
	if c.groupID != "" {
		server, err := client.FromEnv(nil)
		if err != nil {
			return nil, err
		}
		r.Server = &remote{client: server, ancestors: c.Ancestors}
		if p, err = r.Parameters(ctx, c.groupID); err != nil {
			return nil, err
		}
	}
	sets, err := c.Parameters(ctx)
	if err != nil {
		return nil, err
	}
	if p == nil || len(c.Specs()) > 0 {
		p = sets[0]
	}
	if len(sets) != 1 {
		return nil, fmt.Errorf("an action runs with one set of parameters, not %d", len(sets))
	}
	registry, err := newRegistry(ctx, c.Session, cfg, p)
	if err != nil {
		return nil, err
	}
	call.Push = action.Push{Parameters: p}
	if c.groupID != "" {
		return registry, r.Complete(ctx, registry, c.callback, call)
	}
	if _, err := registry.Needs(c.callback, call.Input); err != nil {
		return nil, err
	}
	res, err := c.Generate(ctx, p, taskgraph.TargetSet)
	if err != nil {
		return nil, err
	}
	call.TaskGroupID = taskgraph.TaskID("test-action-callback", "decision")
	call.Push = action.Push{DecisionTaskID: call.TaskGroupID, Parameters: p, Full: res.Full, Targets: res.TargetSet, LabelToTaskID: map[string]string{}}
	return registry, nil
}

// print says what would happen.
func (c *testCommand) print(e action.Effects) error {
	names := slices.Sorted(maps.Keys(e.Artifacts))
	if c.json {
		return printIndented(c.Out(), struct {
			action.Effects
			Artifacts []string `json:"artifacts,omitempty"`
		}{e, names})
	}
	w := c.Out()
	for _, line := range e.Log {
		fmt.Fprintln(w, line)
	}
	for _, name := range names {
		fmt.Fprintf(w, "would publish public/%s (%d bytes)\n", name, len(e.Artifacts[name]))
	}
	for _, t := range e.Tasks {
		fmt.Fprintf(w, "would create %s (%s) in group %v\n", t.TaskID, t.Label, t.Definition["taskGroupId"])
	}
	for _, t := range e.Rerun {
		fmt.Fprintf(w, "would rerun %s %s, if it failed\n", t.TaskID, t.Label)
	}
	for _, t := range e.Cancel {
		fmt.Fprintf(w, "would cancel %s %s\n", t.TaskID, t.Label)
	}
	for _, group := range e.CancelGroups {
		fmt.Fprintf(w, "would cancel all unresolved tasks of group %s\n", group)
	}
	if e.Decide != nil {
		fmt.Fprintf(w, "would make a decision with the parameters %s (target_tasks_method %s)\n", e.Decide.ID(), e.Decide.String("target_tasks_method"))
	}
	return nil
}
