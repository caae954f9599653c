package graphcmd

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// ParametersHelp says what --parameters takes, for the help of a command.
const ParametersHelp = parametersHelp

// Session gives the commands of other packages what those of this one share: the tree that is worked
// on, the parameters asked for, and the generator. It belongs to one use of one command.
type Session struct{ g generator }

// NewSession makes a session. With mustAsk the index has to answer: without it there is no graph.
func NewSession(mustAsk bool) *Session { return &Session{g: generator{mustAsk: mustAsk}} }

// Flags adds the options of all commands that generate.
func (s *Session) Flags(cmd *cobra.Command) { s.g.flags(cmd) }

// FlagsBut adds the same without what the command uses itself: options by name, or short forms of them.
func (s *Session) FlagsBut(cmd *cobra.Command, taken ...string) {
	all := &cobra.Command{}
	s.g.flags(all)
	all.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Contains(taken, f.Shorthand) {
			f.Shorthand = ""
		}
		if !slices.Contains(taken, f.Name) {
			cmd.Flags().AddFlag(f)
		}
	})
}

// RootFlag adds only the option that says where the tree is.
func (s *Session) RootFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.g.root, "root", "r", "", rootHelp)
}

// Does wraps the body of a command: it opens the tree before, and tells errors one a line after.
func (s *Session) Does(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return s.g.does(body)
}

// Tree is the repository.
func (s *Session) Tree() fs.FS { return s.g.tree }

// Dir is the top of the tree, a directory of this machine.
func (s *Session) Dir() string { return s.g.top }

// Screen is where everything but results is written.
func (s *Session) Screen() *screen.Screen { return s.g.screen }

// Listing makes the session leave out what only a graph to be submitted needs, and read the tree by way of
// what wrap makes of it.
func (s *Session) Listing(wrap func(fs.FS) fs.FS) (end func()) {
	tree, fast := s.g.tree, s.g.fast
	s.g.tree, s.g.fast = wrap(tree), true
	return func() { s.g.tree, s.g.fast = tree, fast }
}

// Durations is what is known of how long tasks take, from --history; nil when nothing is.
func (s *Session) Durations(ctx context.Context, p *params.Parameters) (history.Durations, error) {
	return s.g.durations(ctx, p, nil)
}

// Root is the directory of config.yml in it.
func (s *Session) Root() string { return s.g.root }

// Out is where results go.
func (s *Session) Out() io.Writer { return s.g.out }

// Err is where remarks go.
func (s *Session) Err() io.Writer { return s.g.err }

// Specs are the values of --parameters.
func (s *Session) Specs() []string { return s.g.specs }

// Parameters gives the sets that --parameters asks for; without it the checkout's.
func (s *Session) Parameters(ctx context.Context) ([]*params.Parameters, error) {
	sets, err := s.g.parameters(ctx)
	out := make([]*params.Parameters, len(sets))
	for i, set := range sets {
		out[i] = set.params
	}
	return out, err
}

// Facts describes the checkout.
func (s *Session) Facts(ctx context.Context) params.Facts { return s.g.checkout.Facts(ctx) }

// TaskclusterYML is the tree's .taskcluster.yml, empty without one.
func (s *Session) TaskclusterYML() []byte { return s.g.taskclusterYML() }

// Generate runs the stages for one set of parameters.
func (s *Session) Generate(ctx context.Context, p *params.Parameters, upTo taskgraph.Stage) (*taskgraph.Result, error) {
	return s.g.generate(ctx, p, upTo)
}

// Index is what answers for the index: a file, a server, or nothing.
func (s *Session) Index() (optimize.IndexFinder, error) { return s.g.finder() }

// Ancestors gives up to n commits before revision along its first parents, newest first; none where
// the checkout is not git's or does not have them.
func (s *Session) Ancestors(ctx context.Context, revision string, n int) ([]string, error) {
	if err := checkout.CheckRevisions(revision); err != nil {
		return nil, err
	}
	if s.g.checkout.Kind != "git" || revision == "" {
		return nil, nil
	}
	return strings.Fields(s.g.checkout.Ask(ctx, "rev-list", "--first-parent", "--skip=1", fmt.Sprintf("--max-count=%d", n), revision, "--")), nil
}

// Decide makes a whole decision with the given parameters as task id, whose dates count from now, and
// writes its artifacts below the directory artifacts.
func (s *Session) Decide(ctx context.Context, p *params.Parameters, id string, now time.Time, artifacts string) error {
	c := &decisionCommand{generator: s.g, artifacts: artifacts}
	return c.create(ctx, p, id, now)
}
