package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

func newActionCommand() *cobra.Command {
	return newRemoteGroup("action", "See what may be done with a task or a push, and do it",
		`Works on the actions of a server: what the tree of a push lets people do with its tasks, such as running
one again or shipping a release. TASK_OR_GROUP is a task, or a task group for what is done with all of it.`,
		newActionList, newActionRun)
}

// target is what an action is for.
type target struct{ group, task string }

// target finds out whether an id is that of a group or of a task. A decision task has the id of its
// group: it is meant as the group, unless onTask says otherwise.
func (r *remote) target(ctx context.Context, id string, onTask bool) (target, error) {
	if !slug.Valid(id) {
		return target{}, fmt.Errorf("%q is not the id of a task or a task group", id)
	}
	s, err := r.client.Status(ctx, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return target{group: id}, nil
	case err != nil:
		return target{}, err
	case s.TaskGroupID == id && !onTask:
		return target{group: id}, nil
	}
	return target{s.TaskGroupID, id}, nil
}

const onTaskHelp = "the id is that of a decision task, and not of its group"

func newActionList(r *remote) *cobra.Command {
	var onTask bool
	cmd := &cobra.Command{
		Use: "list TASK_OR_GROUP", Short: "List the actions on a task or on a task group, and whether you may", Args: cobra.ExactArgs(1),
		Example: `  treeline action list fN1SbArXTPSVFNUvaOlinQ
  treeline action list fN1SbArXTPSVFNUvaOlinQ --json | jq '.actions[] | select(.allowed) | .name'`,
		RunE: r.does(func(cmd *cobra.Command, args []string) error {
			t, err := r.target(cmd.Context(), args[0], onTask)
			if err != nil {
				return err
			}
			list, err := r.client.Actions(cmd.Context(), t.group, t.task)
			if err != nil {
				return err
			}
			if r.json {
				return r.printJSON(map[string]any{"taskGroupId": t.group, "taskId": t.task, "actions": list})
			}
			return r.printActions(list)
		}),
	}
	cmd.Flags().BoolVar(&onTask, "task", false, onTaskHelp)
	return cmd
}

func (r *remote) printActions(list []client.Action) error {
	if len(list) == 0 {
		r.note("nothing is offered for this")
		return nil
	}
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMAY YOU\tINPUT\tTITLE")
	for _, a := range list {
		may := "yes"
		if !a.Allowed {
			may = "no"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", a.Name, may, inputOf(a), a.Title)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, a := range list {
		if a.Why != "" {
			r.note("%s: %s", a.Name, a.Why)
		}
	}
	return nil
}

// inputOf names the members of an action's input; those that must be given have a star.
func inputOf(a client.Action) string {
	properties, _ := a.Schema["properties"].(map[string]any)
	if len(properties) == 0 {
		return "-"
	}
	required := map[string]bool{}
	list, _ := a.Schema["required"].([]any)
	for _, name := range list {
		required[fmt.Sprint(name)] = true
	}
	var must, may []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if required[name] {
			must = append(must, name+"*")
		} else {
			may = append(may, name)
		}
	}
	return strings.Join(append(must, may...), ",")
}

// actionRun is one use of treeline action run.
type actionRun struct {
	onTask, wait bool
	inputFile    string
	set          []string
	key          string
}

func newActionRun(r *remote) *cobra.Command {
	var a actionRun
	cmd := &cobra.Command{
		Use: "run TASK_OR_GROUP NAME", Short: "Start an action; prints the action task", Args: cobra.ExactArgs(2),
		Long: `Starts an action and prints the id of the action task, which does it with rights of its own. The input is
checked against the schema of the action before anything happens; "treeline action list" names its members.

--input takes a file of YAML or JSON, - for standard input, and --set gives single members, whose values are
YAML: they win over the file's. With --wait the command ends when the action task does, and its exit code
tells how. A request whose answer was lost is sent again and starts the action once; --key makes that hold
over several uses of the command, too.`,
		Example: `  treeline action run fN1SbArXTPSVFNUvaOlinQ rerun
  treeline action run fN1SbArXTPSVFNUvaOlinQ add-new-jobs --set 'tasks: [build-mac]' --wait
  treeline action run fN1SbArXTPSVFNUvaOlinQ release-promotion --input promotion.yml --json`,
		RunE: r.does(func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), r, args[0], args[1]) }),
	}
	f := cmd.Flags()
	f.BoolVar(&a.onTask, "task", false, onTaskHelp)
	f.StringVar(&a.inputFile, "input", "", "file with the input, YAML or JSON; - reads standard input")
	f.StringArrayVar(&a.set, "set", nil, "a member of the input, such as 'times: 3'; may be given several times")
	f.BoolVar(&a.wait, "wait", false, "wait until the action task is resolved")
	f.StringVar(&a.key, "key", "", "names the request: the same again gives the action task of the first time")
	return cmd
}

func (a *actionRun) run(ctx context.Context, r *remote, id, name string) error {
	input, err := a.input()
	if err != nil {
		return err
	}
	t, err := r.target(ctx, id, a.onTask)
	if err != nil {
		return err
	}
	if a.key == "" {
		a.key = slug.New()
	}
	started, err := r.client.StartAction(ctx, t.group, name, client.ActionStart{TaskID: t.task, Input: input, Key: a.key})
	if err != nil {
		return err
	}
	if a.wait {
		r.note("action task %s", started.TaskID)
		started.Status, err = r.waitFor(ctx, started.TaskID, func(s task.Status) bool { return s.State.Resolved() })
		if err != nil {
			return err
		}
	}
	switch {
	case r.json:
		err = r.printJSON(started)
	case a.wait:
		r.printf("%s  %s\n", started.TaskID, r.colored(started.Status.State))
	default:
		r.printf("%s\n", started.TaskID)
	}
	if err != nil || !a.wait {
		return err
	}
	if started.Status.State != task.Completed {
		r.note("\"treeline task log %s\" says why", started.TaskID)
	}
	return exitFor(started.Status.State)
}

// input reads what --input and --set give; nil is no input.
func (a *actionRun) input() (any, error) {
	var values map[string]any
	if a.inputFile != "" {
		src, err := os.ReadFile(a.inputFile)
		if a.inputFile == "-" {
			src, err = io.ReadAll(os.Stdin)
		}
		if err != nil {
			return nil, fmt.Errorf("--input: %w", err)
		}
		if values, err = params.Decode(a.inputFile, src); err != nil {
			return nil, err
		}
	}
	for _, text := range a.set {
		member, err := params.Decode("--set", []byte(text))
		if err != nil {
			return nil, fmt.Errorf("--set %q: give it as 'name: value': %w", text, err)
		}
		if values == nil {
			values = map[string]any{}
		}
		for name, v := range member {
			values[name] = v
		}
	}
	if values == nil {
		return nil, nil
	}
	return values, nil
}
