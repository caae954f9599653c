package graphcmd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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
	var output string
	cmd := &cobra.Command{
		Use:     "kind-graph",
		Short:   "Print the kinds and their dependencies as a Mermaid flowchart",
		Example: "  treeline taskgraph kind-graph > kinds.mmd\n  treeline taskgraph kind-graph -k test -o kinds.mmd",
		Args:    cobra.NoArgs,
		RunE: g.does(func(context.Context, []string) error {
			kinds, err := loader.Kinds(g.tree, g.root, g.targetKinds)
			if err != nil {
				return err
			}
			if _, err := loader.Order(kinds); err != nil { // a chart of a circle helps nobody
				return err
			}
			if output != "" {
				return os.WriteFile(output, []byte(mermaid(kinds)), 0o644)
			}
			_, err = fmt.Fprint(g.out, mermaid(kinds))
			return err
		}),
	}
	g.flags(cmd)
	cmd.Flags().StringVarP(&output, "output-file", "o", "", "write to this file")
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
