package graphcmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

func newImageDigestCommand() *cobra.Command {
	g := &generator{}
	cmd := &cobra.Command{
		Use:   "image-digest NAME",
		Short: "Print the digest under which an image of the tree is cached",
		Long: `Prints the digest that stands for everything the image NAME is made of: its files, its arguments and
its parents. It is the last part of the image's index path, and changes with each of them. The level
is MOZ_SCM_LEVEL, 3 without it.`,
		Example: "  treeline taskgraph image-digest linux",
		Args:    cobra.ExactArgs(1),
		RunE:    g.does(func(ctx context.Context, args []string) error { return g.imageDigest(ctx, args[0]) }),
	}
	f := cmd.Flags()
	f.StringVarP(&g.root, "root", "r", "", rootHelp)
	f.BoolVarP(&g.verbose, "verbose", "v", false, "say what is being done")
	return cmd
}

func (g *generator) imageDigest(ctx context.Context, name string) error {
	values := params.Defaults(g.checkout.Facts(ctx))
	values["level"] = "3"
	if level := os.Getenv("MOZ_SCM_LEVEL"); level != "" {
		values["level"] = level
	}
	p, err := params.FromMap(values, false)
	if err != nil {
		return err
	}
	const kind = "docker-image"
	g.targetKinds = []string{kind}
	in, err := g.input(p)
	if err != nil {
		return err
	}
	in.NoVerify = true // routes may name a project that a checkout does not know; the digest has no part in them
	res, err := g.run(ctx, in, taskgraph.Full)
	if err != nil {
		return err
	}
	t := res.Full.Task(kind + "-" + name)
	if t == nil {
		return noImage(name, res.Full.Keys(), kind+"-")
	}
	digest, _ := value.Get(t.Attributes, "cached_task.digest")
	text, ok := digest.(string)
	if !ok {
		return fmt.Errorf("the task %s is not cached: it has no digest", t.Label)
	}
	_, err = fmt.Fprintln(g.out, text)
	return err
}

func noImage(name string, labels []string, prefix string) error {
	var known []string
	for _, l := range labels {
		if image, ok := strings.CutPrefix(l, prefix); ok {
			known = append(known, image)
		}
	}
	if near := graph.Nearest(name, known); near != "" {
		return fmt.Errorf("there is no image %q; is %q meant?", name, near)
	}
	return fmt.Errorf("there is no image %q; the tree has %s", name, strings.Join(known, ", "))
}
