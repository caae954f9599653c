package graphcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/explain/why"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// whyCommand is one use of why, why-not or explain.
type whyCommand struct {
	generator
	json     bool
	taskID   string
	negative bool // why-not
	all      bool // explain
}

func newWhyCommand() *cobra.Command {
	c := &whyCommand{}
	return c.command(&cobra.Command{
		Use:   "why LABEL...",
		Short: "Say why a task is there or not, and what made it what it is",
		Long: `Says of each task where it comes from (file, line and cell of the matrix), what each transform changed,
which rule selected it or left it out, what optimization and morphs did with it, and with which change it
would be otherwise: the generator is run again with each, and only what came true is told. LABEL may be a
pattern with *.` + taskIDHelp + parametersHelp,
		Example: `  treeline taskgraph why test-unit-1 -p parameters.yml
  treeline taskgraph why 'test-*' --json
  treeline taskgraph why --task-id fN1SbArXTPSVFNUvaOlinQ test-unit-1`,
	})
}

func newWhyNotCommand() *cobra.Command {
	c := &whyCommand{negative: true}
	return c.command(&cobra.Command{
		Use:   "why-not LABEL...",
		Short: "Say why a task does not run, or does not exist, and what would make it run",
		Long: `Says which rule left a task out, or by which task it was replaced, and with which change it would run. Of
a label that no kind makes it says whether a condition or a matrix left it out, which value its matrix
lacks, and which labels look alike. The generator is run again with each change, and only what came true
is told. LABEL may be a pattern with *.` + taskIDHelp + parametersHelp,
		Example: `  treeline taskgraph why-not test-unit-1 -p parameters.yml
  treeline taskgraph why-not build-linux-x64-asan
  treeline taskgraph why-not --task-id fN1SbArXTPSVFNUvaOlinQ test-unit-1`,
	})
}

func newExplainCommand() *cobra.Command {
	c := &whyCommand{all: true}
	cmd := c.command(&cobra.Command{
		Use:   "explain [LABEL...]",
		Short: "Explain all tasks, or some, as data",
		Long: `Prints what why says of every task, or of those named: with --json one object {"tasks": {label: story},
"drops": [what became of no task], "prints": [what Starlark printed]} for each set of parameters.` + taskIDHelp + parametersHelp,
		Example: `  treeline taskgraph explain --json | jq '.tasks[] | select(.outcome == "removed") | .label'
  treeline taskgraph explain 'test-*'`,
	})
	cmd.Args = cobra.ArbitraryArgs
	return cmd
}

const taskIDHelp = `

With --task-id the answer comes from the record of a decision on a server (TASKCLUSTER_ROOT_URL): ID is the
decision task, or a task that it created, which then is the LABEL unless one is given. Counterfactuals then
follow from the rules as they were recorded.
`

func (c *whyCommand) command(cmd *cobra.Command) *cobra.Command {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 && c.taskID == "" {
			return fmt.Errorf("name a LABEL, or a task with --task-id")
		}
		return nil
	}
	generate := c.does(func(ctx context.Context, args []string) error { return c.local(ctx, args) })
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if c.taskID != "" {
			c.streams(cmd.OutOrStdout(), cmd.ErrOrStderr())
			return c.remote(cmd.Context(), args)
		}
		return generate(cmd, args)
	}
	c.flags(cmd)
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON, for programs")
	cmd.Flags().StringVar(&c.taskID, "task-id", "", "ask a server about the decision with this `ID`, or about this task of it")
	return cmd
}

// local answers for the tree at hand.
func (c *whyCommand) local(ctx context.Context, patterns []string) error {
	sets, err := c.parameters(ctx)
	if err != nil {
		return err
	}
	for _, set := range sets {
		in, err := c.input(set.params)
		if err != nil {
			return err
		}
		if in.Index, err = c.finder(); err != nil {
			return err
		}
		in.Trace, in.History = true, c.past(ctx, set.params)
		res, err := c.run(ctx, in, taskgraph.Morphed)
		if err != nil {
			return err
		}
		e := why.New(in, res)
		if c.all && c.json {
			err = c.whole(ctx, e, res, patterns)
		} else {
			err = c.each(ctx, e, patterns)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// each tells one story after another.
func (c *whyCommand) each(ctx context.Context, e *why.Explainer, patterns []string) error {
	labels, missing, err := c.matching(e, patterns)
	if err != nil {
		return err
	}
	for _, label := range labels {
		s, err := e.Story(ctx, label)
		if err != nil {
			return err
		}
		if err := c.print(s); err != nil {
			return err
		}
	}
	if len(missing) == 0 || c.negative {
		return nil
	}
	return noTask(missing[0], e.Labels())
}

// noTask is the error about a label that no task has.
func noTask(label string, labels []string) error {
	msg := fmt.Sprintf("there is no task %q", label)
	if near := graph.Nearest(label, labels); near != "" {
		msg += fmt.Sprintf("; is %q meant?", near)
	}
	return fmt.Errorf("%s (treeline taskgraph full lists all)", msg)
}

// matching are the labels that patterns match, in their order; a pattern that matches none stands for
// itself, and is missing. Without patterns all labels match.
func (c *whyCommand) matching(e *why.Explainer, patterns []string) (labels, missing []string, err error) {
	all := e.Labels()
	if len(patterns) == 0 {
		return all, nil, nil
	}
	for _, pattern := range patterns {
		found := len(labels)
		for _, label := range all {
			ok, err := filepath.Match(pattern, label)
			if err != nil {
				return nil, nil, fmt.Errorf("%q: %w", pattern, err)
			}
			if ok || label == pattern {
				labels = append(labels, label)
			}
		}
		if len(labels) == found {
			labels, missing = append(labels, pattern), append(missing, pattern)
		}
	}
	return labels, missing, nil
}

func (c *whyCommand) print(s explain.Story) error {
	if c.json {
		return printJSON(c.out, s)
	}
	if c.negative {
		s.Provenance.Steps = nil // what made it what it is was not asked
	}
	return s.WriteText(c.out)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// explained is the form of explain --json.
type explained struct {
	Tasks  map[string]explain.Story `json:"tasks"`
	Drops  []explain.Drop           `json:"drops"`
	Prints []string                 `json:"prints"`
}

// whole explains a whole graph, or the labels that patterns match, as one object.
func (c *whyCommand) whole(ctx context.Context, e *why.Explainer, res *taskgraph.Result, patterns []string) error {
	labels, _, err := c.matching(e, patterns)
	if err != nil {
		return err
	}
	out := explained{Tasks: map[string]explain.Story{}, Drops: res.Explain.Drops, Prints: res.Explain.Prints}
	for _, label := range labels {
		if out.Tasks[label], err = e.Story(ctx, label); err != nil {
			return err
		}
	}
	if out.Drops == nil {
		out.Drops = []explain.Drop{}
	}
	if out.Prints == nil {
		out.Prints = []string{}
	}
	return printJSON(c.out, out)
}
