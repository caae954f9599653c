package graphcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/decision"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/loader"
)

// labelText writes labels as all graph commands do: sorted, one a line.
func labelText(labels []string) string {
	return strings.Join(slices.Sorted(slices.Values(labels)), "\n") + "\n"
}

func newKindsCommand() *cobra.Command {
	g := &generator{}
	cmd := &cobra.Command{
		Use:     "kinds",
		Short:   "Print the kinds, each after those it depends on",
		Example: "  treeline taskgraph kinds\n  treeline taskgraph kinds -k test",
		Args:    cobra.NoArgs,
		RunE: g.does(func(context.Context, []string) error {
			kinds, err := loader.Kinds(g.tree, g.root, g.targetKinds)
			if err != nil {
				return err
			}
			order, err := loader.Order(kinds)
			if err != nil {
				return err
			}
			fmt.Fprintln(g.out, strings.Join(order, "\n"))
			return nil
		}),
	}
	g.flags(cmd)
	return cmd
}

func newKindGraphCommand() *cobra.Command {
	g := &generator{}
	cmd := &cobra.Command{
		Use:     "kind-graph",
		Short:   "Print the kinds and their dependencies as a Mermaid flowchart",
		Example: "  treeline taskgraph kind-graph > kinds.mmd",
		Args:    cobra.NoArgs,
		RunE: g.does(func(context.Context, []string) error {
			kinds, err := loader.Kinds(g.tree, g.root, g.targetKinds)
			if err != nil {
				return err
			}
			fmt.Fprint(g.out, mermaid(kinds))
			return nil
		}),
	}
	g.flags(cmd)
	return cmd
}

// mermaid draws kinds, an arrow from each kind to those that depend on it.
func mermaid(kinds []*loader.Kind) string {
	id := func(name string) string { return strings.ReplaceAll(name, "-", "_") }
	kinds = slices.SortedFunc(slices.Values(kinds), func(a, b *loader.Kind) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	for _, k := range kinds {
		fmt.Fprintf(&b, "    %s[%s]\n", id(k.Name), k.Name)
	}
	for _, k := range kinds {
		for _, d := range slices.Sorted(slices.Values(k.Dependencies)) {
			fmt.Fprintf(&b, "    %s --> %s\n", id(d), id(k.Name))
		}
	}
	return b.String()
}

func newActionsCommand() *cobra.Command {
	g := &generator{}
	cmd := &cobra.Command{
		Use:     "actions",
		Short:   "Print actions.json: what people may do with the tasks of a decision",
		Long:    "Prints actions.json." + parametersHelp,
		Example: "  treeline taskgraph actions -p parameters.yml",
		Args:    cobra.NoArgs,
		RunE:    g.does(func(ctx context.Context, _ []string) error { return g.actions(ctx) }),
	}
	g.flags(cmd)
	return cmd
}

func (g *generator) actions(ctx context.Context) error {
	sets, err := g.parameters(ctx)
	if err != nil {
		return err
	}
	c, err := config.Load(g.tree, g.root)
	if err != nil {
		return err
	}
	for _, set := range sets {
		actions, err := decision.Actions(ctx, decision.ActionsInput{
			Params: set.params, Config: c, Tree: g.tree, TaskclusterYML: g.taskclusterYML(), DecisionTaskID: taskID(),
		})
		if err != nil {
			return err
		}
		b, err := decision.JSON(actions)
		if err != nil {
			return err
		}
		fmt.Fprintf(g.out, "%s\n", b)
	}
	return nil
}

func newWhyCommand() *cobra.Command {
	g := &generator{}
	asJSON := false
	cmd := &cobra.Command{
		Use:   "why LABEL...",
		Short: "Say why a task is there or not, and what made it what it is",
		Long: `Says of each task where it comes from (file and line), which transforms changed it, which rule
selected it or left it out, and what optimization and morphs did with it. LABEL may be a pattern with *.` + parametersHelp,
		Example: "  treeline taskgraph why test-unit-1 -p parameters.yml\n  treeline taskgraph why 'test-*' --json",
		Args:    cobra.MinimumNArgs(1),
		RunE:    g.does(func(ctx context.Context, args []string) error { return g.why(ctx, args, asJSON) }),
	}
	g.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	return cmd
}

func (g *generator) why(ctx context.Context, patterns []string, asJSON bool) error {
	sets, err := g.parameters(ctx)
	if err != nil {
		return err
	}
	for _, set := range sets {
		res, err := g.generate(ctx, set.params, taskgraph.Morphed)
		if err != nil {
			return err
		}
		if err := g.stories(res, patterns, asJSON); err != nil {
			return err
		}
	}
	return nil
}

// stories prints what is known of the tasks that match.
func (g *generator) stories(res *taskgraph.Result, patterns []string, asJSON bool) error {
	all := map[string]explain.Provenance{}
	for label, t := range res.Full.All() {
		all[label] = t.Provenance
	}
	for _, t := range res.Morphed.All() {
		all[t.Label] = t.Provenance
	}
	labels := make([]string, 0, len(all))
	for l := range all {
		labels = append(labels, l)
	}
	slices.Sort(labels)
	for _, pattern := range patterns {
		found := false
		for _, label := range labels {
			if ok, err := filepath.Match(pattern, label); err != nil {
				return fmt.Errorf("%q: %w", pattern, err)
			} else if !ok {
				continue
			}
			found = true
			story := res.Explain.Story(label, all[label])
			if asJSON {
				enc := json.NewEncoder(g.out)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				if err := enc.Encode(story); err != nil {
					return err
				}
				continue
			}
			if err := story.WriteText(g.out); err != nil {
				return err
			}
		}
		if !found {
			msg := fmt.Sprintf("there is no task %q", pattern)
			if near := graph.Nearest(pattern, labels); near != "" {
				msg += fmt.Sprintf("; is %q meant?", near)
			}
			return fmt.Errorf("%s (treeline taskgraph full lists all)", msg)
		}
	}
	return nil
}
