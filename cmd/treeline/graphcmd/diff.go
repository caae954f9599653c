package graphcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// diffCommand is one use of the command.
type diffCommand struct {
	generator
	stage          string
	durationsFile  string
	json, markdown bool
	exitCode       bool
}

func newDiffCommand() *cobra.Command {
	c := &diffCommand{}
	cmd := &cobra.Command{
		Use:   "diff [BASE..HEAD]",
		Short: "Compare the graphs of two revisions",
		Long: `Generates the graphs of two revisions with the same parameters and tells what differs: tasks added,
removed and changed, with the keys and their values; scopes gained and lost; how many tasks there are, and
by estimate what they cost and how long the longest chain of them takes. Both trees are read from git's
objects: the work tree may hold anything.

BASE...HEAD begins where HEAD left BASE. BASE alone is compared with the work tree as it stands; without
anything it is what your commits began from. Without --parameters the sets describe a push of HEAD after
BASE, whose changed files are those between the two.` + parametersHelp,
		Example: `  treeline taskgraph diff main..HEAD
  treeline taskgraph diff main..HEAD -p params/ --markdown > review.md
  treeline taskgraph diff --stage optimized --durations durations.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: c.does(func(ctx context.Context, args []string) error { return c.compare(ctx, strings.Join(args, "")) }),
	}
	c.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&c.stage, "stage", "target-graph", "what to compare: full, target, target-graph, optimized or morphed")
	f.StringVar(&c.durationsFile, "durations", "", "JSON file with how long tasks take: a history, or {label: seconds} (default: what --history names); others count by their max-run-time")
	f.BoolVar(&c.json, "json", false, "print JSON, for programs")
	f.BoolVar(&c.markdown, "markdown", false, "print Markdown, for a review")
	f.BoolVar(&c.exitCode, "exit-code", false, "exit with 1 if anything differs")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

func (c *diffCommand) compare(ctx context.Context, spec string) error {
	stage, err := stageNamed(c.stage)
	if err != nil {
		return err
	}
	durations, err := readDurations(c.durationsFile)
	if err != nil {
		return err
	}
	base, head, err := c.sides(ctx, spec)
	if err != nil {
		return err
	}
	if head.root == "" {
		return fmt.Errorf("%s has no %s/config.yml", head.shown, c.root)
	}
	r, err := c.report(ctx, base, head, stage, durations)
	if err != nil {
		return err
	}
	if err := c.print(r); err != nil {
		return err
	}
	if c.exitCode && !r.Empty() {
		return exit.Told
	}
	return nil
}

func (c *diffCommand) print(r *diff.Report) error {
	switch {
	case c.json:
		return printJSON(c.out, r)
	case c.markdown:
		_, err := io.WriteString(c.out, r.Markdown())
		return err
	}
	return r.WriteText(c.out, screen.New(c.out, false).Paint(screen.Red, "x") != "x")
}

// defaultBase is what --diff stands for by itself.
const defaultBase = "default"

// printDiff is --diff of a stage: the graph of a revision compared with that of the work tree.
func (c *stageCommand) printDiff(ctx context.Context) error {
	spec := c.diff
	if spec == defaultBase {
		spec = ""
	}
	base, head, err := c.sides(ctx, spec)
	if err != nil {
		return err
	}
	stage := c.graphStage
	stage.graph = func(r *taskgraph.Result) *graph.Graph {
		g := c.graphStage.graph(r)
		var keys []string
		for key, t := range g.All() {
			if c.only.MatchString(t.Label) {
				keys = append(keys, key)
			}
		}
		return g.Subgraph(keys)
	}
	r, err := c.report(ctx, base, head, stage, nil)
	if err != nil {
		return err
	}
	for _, s := range r.Sets {
		s.Leave(c.exclude)
	}
	d := diffCommand{generator: c.generator, json: c.json}
	return d.print(r)
}

// stageNamed finds a stage by the name of its command.
func stageNamed(name string) (graphStage, error) {
	var names []string
	for _, s := range graphStages() {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return graphStage{}, fmt.Errorf("--stage %s: there is no such stage (known: %s)", name, strings.Join(names, ", "))
}

// report compares the sides for every set of parameters.
func (g *generator) report(ctx context.Context, base, head side, stage graphStage, durations history.Durations) (*diff.Report, error) {
	here := g.tree
	defer func() { g.tree = here }()
	g.tree, g.root = head.tree, head.root // its hooks make the parameters
	sets, err := g.parameters(ctx)
	if err != nil {
		return nil, err
	}
	if len(g.specs) == 0 {
		if sets[0].params, err = g.between(ctx, sets[0].params, base, head); err != nil {
			return nil, err
		}
	}
	r := &diff.Report{Base: base.shown, Head: head.shown, Stage: stage.name}
	for _, set := range sets {
		old, err := g.graphOf(ctx, base, set.params, stage, false)
		if err != nil {
			return nil, err
		}
		made, err := g.graphOf(ctx, head, set.params, stage, true)
		if err != nil {
			return nil, err
		}
		known, err := g.durations(ctx, set.params, durations)
		if err != nil {
			return nil, err
		}
		r.Sets = append(r.Sets, diff.Set{Name: set.name, Diff: diff.Compare(old, made, known)})
	}
	return r, nil
}

// durations are those of a file if there is one, else those of the history that --history names.
func (g *generator) durations(ctx context.Context, p *params.Parameters, file history.Durations) (history.Durations, error) {
	past := g.past(ctx, p)
	if file != nil || past == nil {
		return file, nil
	}
	table, err := past()
	if err != nil || table == nil {
		return nil, err
	}
	return table, nil
}

// between gives parameters the files that differ between the sides, and the head's revision.
func (g *generator) between(ctx context.Context, p *params.Parameters, base, head side) (*params.Parameters, error) {
	args := []string{"diff", "--no-renames", "-z", "--name-only", "--diff-filter=ADM", base.revision}
	over := map[string]any{"base_rev": base.revision}
	if head.revision != "" {
		args = append(args, head.revision)
		over["head_rev"] = head.revision
	}
	out, err := g.checkout.Run(ctx, append(args, "--")...)
	if err != nil {
		return nil, fmt.Errorf("files changed: %w", err)
	}
	files := []any{}
	for _, f := range checkout.Paths(out) {
		files = append(files, f)
	}
	over["files_changed"] = files
	return p.Merge(over)
}

// graphOf makes the graph of one side; that of a tree without configuration is empty.
func (g *generator) graphOf(ctx context.Context, s side, p *params.Parameters, stage graphStage, warn bool) (*graph.Graph, error) {
	if s.root == "" {
		return graph.New(nil, nil)
	}
	in, err := g.input(p)
	if err != nil {
		return nil, err
	}
	in.Tree, in.Root = s.tree, s.root
	if in.IDSeed == "" {
		in.IDSeed = "diff" // the same task has the same id on both sides
	}
	one := *g
	one.quiet = g.quiet || !warn
	res, err := one.run(ctx, in, stage.upTo)
	if err != nil {
		g.screen.Note("the tree of " + s.shown + " has faults:")
		return nil, err
	}
	return stage.graph(res), nil
}

// measured are durations by label, in seconds.
type measured map[string]float64

// Duration implements history.Durations.
func (m measured) Duration(label string) (time.Duration, bool) {
	s, ok := m[label]
	return time.Duration(s * float64(time.Second)), ok
}

// Typical implements history.Durations.
func (m measured) Typical() time.Duration {
	var all []float64
	for _, s := range m {
		all = append(all, s)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return time.Duration(all[len(all)/2] * float64(time.Second))
}

// readDurations reads a history, or {label: seconds}; nil without a file.
func readDurations(file string) (history.Durations, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--durations: %w", err)
	}
	var m measured
	if json.Unmarshal(content, &m) == nil {
		return m, nil
	}
	table, err := history.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("--durations %s: neither {label: seconds} nor a history: %w", file, err)
	}
	return table, nil
}
