package graphcmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// Tree lets commands of other packages generate from the tree as those here do: with the same options,
// messages and rules.
type Tree struct{ g generator }

// Flags adds the options about the tree, its parameters and the index; -v is left to the command when it has it.
func (t *Tree) Flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&t.g.root, "root", "r", "", rootHelp)
	f.StringArrayVarP(&t.g.specs, "parameters", "p", nil, "parameters to generate with")
	f.StringVar(&t.g.index, "index", "", "JSON file with what the index knows, in the place of a server: {path: {taskId, state, expires}}")
	f.BoolVarP(&t.g.quiet, "quiet", "q", false, "print no warnings")
	short := "v"
	if f.ShorthandLookup(short) != nil {
		short = ""
	}
	f.BoolVarP(&t.g.verbose, "verbose", short, false, "say what is being done")
}

// Begin sets where the command reads and writes. It is for commands that may do without a tree; Does calls it.
func (t *Tree) Begin(cmd *cobra.Command) {
	t.g.in = cmd.InOrStdin()
	t.g.streams(cmd.OutOrStdout(), cmd.ErrOrStderr())
}

// Does wraps the body of a command: faults of the tree are told one a line after it.
func (t *Tree) Does(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		t.Begin(cmd)
		return t.g.tell(body(cmd.Context(), args))
	}
}

// Screen is where everything but results is written.
func (t *Tree) Screen() *screen.Screen { return t.g.screen }

// Quiet reports whether nothing but errors is to be said.
func (t *Tree) Quiet() bool { return t.g.quiet }

// With opens the tree for the time of body.
func (t *Tree) With(body func() error) (err error) {
	t.g.collector = newCollector()
	if err := t.g.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.g.close()) }()
	return body()
}

// Dir is the top of the tree, a directory of this machine, once With has opened it.
func (t *Tree) Dir() string { return t.g.top }

// Asked reports whether parameters were asked for, in the place of those of the checkout.
func (t *Tree) Asked() bool { return len(t.g.specs) > 0 }

// Full makes the full graph, of the kinds given and what they depend on or of all, for the one set of
// parameters. publish gets the contexts of images; it may be nil.
func (t *Tree) Full(ctx context.Context, kinds []string, publish func(name string, content func() ([]byte, error)) error) (*taskgraph.Result, error) {
	sets, err := t.g.parameters(ctx)
	if err != nil {
		return nil, err
	}
	if len(sets) != 1 {
		return nil, fmt.Errorf("this works with one set of parameters, and %d are given", len(sets))
	}
	in, err := t.g.input(sets[0].params)
	if err != nil {
		return nil, err
	}
	in.Publish = publish
	if len(kinds) > 0 {
		in.TargetKinds = kinds
	}
	return t.g.run(ctx, in, taskgraph.Full)
}

// Index answers for the index: a file, a server, or nothing.
func (t *Tree) Index() (optimize.IndexFinder, error) { return t.g.finder() }
