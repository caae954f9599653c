// Package graphcmd is the command treeline taskgraph: the generator on a checkout, stage by stage, and in
// a decision task.
package graphcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/cmd/treeline/exit"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/checkout"
	"github.com/treeline-ci/treeline/cmd/treeline/graphcmd/screen"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// New makes the command.
func New() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "taskgraph",
		Short: "Make the graph of tasks that a repository asks for, stage by stage",
		Long: `Reads the configuration of the repository in the current directory (taskcluster/config.yml and
taskcluster/kinds) and prints what becomes of it:

  kinds, full, target, target-graph, optimized, morphed   the stages, in order
  why      why a task is there, and what made it what it is
  why-not  why a task does not run, and what would make it run
  explain  the same of all tasks, as data
  diff     what differs between the graphs of two revisions
  replay   make a decision again from its artifacts, and compare
  actions  what people may do with the tasks; action-callback does it, test-action-callback tries it
  cron     what the tree does at set times
  test     the tests of the tree's Starlark
  kind-graph, image-digest   the kinds as a chart, the digest of an image
  decision does it all in a decision task, and creates the tasks`,
		Example: `  treeline taskgraph full                                  # labels of all tasks
  treeline taskgraph target -p parameters.yml              # those that an event selects
  treeline taskgraph optimized -J -p params/               # JSON, once for each file of a directory
  treeline taskgraph full -J --tasks 'test-.*' -o tests.json
  treeline taskgraph why test-unit-1 -p parameters.yml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { // nothing was asked for: that is a mistake in a script
			return errors.Join(cmd.Help(), exit.Told)
		},
	}
	for _, stage := range graphStages() {
		cmd.AddCommand(newStageCommand(stage))
	}
	cmd.AddCommand(newKindsCommand(), newKindGraphCommand(), newImageDigestCommand(), newDecisionCommand())
	cmd.AddCommand(newWhyCommand(), newWhyNotCommand(), newExplainCommand(), newDiffCommand(), newReplayCommand(), newHistoryCommand(), newTestCommand())
	return cmd
}

// generator is what the commands that generate share: where the tree is and what to generate from.
type generator struct {
	root        string
	specs       []string
	targetKinds []string
	index       string
	history     string
	strict      bool
	verbose     bool
	quiet       bool
	fast        bool
	mustAsk     bool // without the index there is no answer

	checkout checkout.Checkout
	top      string // directory of the tree
	tree     fs.FS
	close    func() error
	in       io.Reader
	out, err io.Writer
	screen   *screen.Screen // on err

	collector *collector
}

// streams sets where results and everything else go.
func (g *generator) streams(out, err io.Writer) {
	g.out, g.err, g.screen = out, err, screen.New(err, g.verbose)
}

const rootHelp = "directory of config.yml, or the top of the repository that has it (default taskcluster, or ci where only that has one)"

// flags adds the options that all have.
func (g *generator) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&g.root, "root", "r", "", rootHelp)
	f.StringArrayVarP(&g.specs, "parameters", "p", nil, "parameters to generate with (repeatable)")
	f.StringArrayVarP(&g.targetKinds, "target-kind", "k", nil, "only this kind and what it depends on (repeatable)")
	f.StringVar(&g.index, "index", "", "JSON file with what the index knows, in the place of a server: {path: {taskId, state, expires}}")
	f.StringVar(&g.history, "history", "", historyHelp)
	f.BoolVar(&g.strict, "strict", false, "warnings are errors, and parameters must be complete")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print no warnings")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "say what is being done")
}

// does wraps the body of a command: it opens the tree before, and tells errors one a line after.
func (g *generator) does(body func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		g.in = cmd.InOrStdin()
		g.streams(cmd.OutOrStdout(), cmd.ErrOrStderr())
		g.collector = newCollector()
		if err := g.open(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, g.close()) }()
		return g.tell(body(cmd.Context(), args))
	}
}

// below reports whether dir is the top of a repository rather than its directory of config.yml, and
// returns that directory's name.
func below(dir string) (string, bool) {
	if _, err := os.Stat(filepath.Join(dir, "config.yml")); err == nil {
		return "", false
	}
	found, err := config.FindRoot(os.DirFS(dir))
	return found, err == nil
}

// splitRoot finds the top of the tree that root, a directory of config.yml, is in. For a root below the
// current directory that is the current directory, as patterns of files are relative to it, unless root
// is in a checkout of its own, or is taskcluster or ci of a directory further down.
func splitRoot(root string) (top, below string, err error) {
	c, err := checkout.Find(root)
	if err != nil {
		return "", "", err
	}
	here, err := filepath.Abs(".")
	if err != nil {
		return "", "", err
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return "", "", err
	}
	top = c.Dir
	if c.Kind == "" {
		top = filepath.Dir(abs)
	}
	inside := filepath.IsLocal(root)
	own, err := filepath.Rel(here, top)
	if err != nil {
		return "", "", err
	}
	if inside && (!filepath.IsLocal(own) || c.Kind == "" && !slices.Contains(config.Roots(), filepath.Base(root))) {
		top = here
	}
	below, err = filepath.Rel(top, abs)
	return top, below, err
}

// open finds the tree: the directory that root names when that is the top of a repository, else what
// splitRoot finds.
func (g *generator) open() error {
	if g.root == "" {
		g.root = config.Roots()[0]
		if found, err := config.FindRoot(os.DirFS(".")); err == nil {
			g.root = found
		}
	}
	top := filepath.Clean(g.root)
	root, ok := below(top)
	if !ok {
		var err error
		if top, root, err = splitRoot(top); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(top, root, "config.yml")); err != nil {
		return fmt.Errorf("taskgraph: %w: --root names the directory of config.yml; run this at the top of a repository that has one", err)
	}
	var err error
	if g.checkout, err = checkout.Find(top); err != nil {
		return err
	}
	dir, err := os.OpenRoot(top)
	if err != nil {
		return fmt.Errorf("taskgraph: %w", err)
	}
	if g.top, err = filepath.Abs(top); err != nil {
		return errors.Join(err, dir.Close())
	}
	g.tree, g.close, g.root = dir.FS(), dir.Close, filepath.ToSlash(root)
	return nil
}

// tell prints the faults of a tree one after another, with the traceback of Starlark.
func (g *generator) tell(err error) error {
	faults := graph.Errors(err)
	if len(faults) == 0 {
		return err
	}
	for _, f := range faults {
		g.screen.Fault(f.Error())
		if e, ok := errors.AsType[*star.Error](f); ok && e.Traceback != "" {
			g.screen.Print("%s", e.Detail())
		}
	}
	return exit.Told
}

// parameters reads the sets asked for.
func (g *generator) parameters(ctx context.Context) ([]parameterSet, error) {
	hooks, err := taskgraph.ReadHooks(ctx, g.tree, g.root, g.printed)
	if err != nil {
		return nil, err
	}
	s := parameterSource{
		strict: g.strict, trustDomain: hooks.Config().TrustDomain(), own: hooks.Own(), stdin: g.in,
		local: func(ctx context.Context) params.Facts { return g.checkout.Facts(ctx) },
	}
	sets, err := s.read(ctx, g.specs)
	if err != nil || g.quiet {
		return sets, err
	}
	for _, set := range sets {
		for _, key := range set.params.Unknown() {
			if strings.Contains(key, "?") { // one that looks like another; others are the project's affair
				g.screen.Warning(fmt.Sprintf("parameters %s: %s", set.name, key))
			}
		}
	}
	return sets, nil
}

// printed shows what Starlark of the tree prints before there is a graph.
func (g *generator) printed(line string) {
	if !g.quiet {
		g.screen.Line(screen.Faint, "print", line)
	}
}

// finder is what answers for the index: a file, a server, or nothing.
func (g *generator) finder() (optimize.IndexFinder, error) {
	if g.index != "" {
		return fileIndex(g.index)
	}
	if os.Getenv("TASKCLUSTER_ROOT_URL") == "" && os.Getenv("TASKCLUSTER_PROXY_URL") == "" {
		return func(_ context.Context, paths []string) (map[string]optimize.Found, error) {
			g.noIndex(paths, "TASKCLUSTER_ROOT_URL is not set")
			return nil, nil
		}, nil
	}
	c, err := client.FromEnv(nil)
	if err != nil {
		return nil, err
	}
	if g.mustAsk {
		return serverIndex(c), nil
	}
	ask := serverIndex(c.WithPatience(localPatience))
	return func(ctx context.Context, paths []string) (map[string]optimize.Found, error) {
		found, err := ask(ctx, paths)
		if errors.Is(err, fault.Unavailable) && ctx.Err() == nil {
			g.noIndex(paths, "the server does not answer: "+err.Error())
			return nil, nil
		}
		return found, err
	}, nil
}

// localPatience is how long a local run tries to reach the index: it is of use without, too.
const localPatience = 2 * time.Second

// noIndex says that the graph shown is the one of an empty index.
func (g *generator) noIndex(paths []string, why string) {
	if !g.quiet {
		g.screen.Note(fmt.Sprintf("%s, so none of %d index paths is taken to have a task (--index FILE can name some)", why, len(paths)))
	}
}

// generate runs the stages for one set.
func (g *generator) generate(ctx context.Context, p *params.Parameters, upTo taskgraph.Stage) (*taskgraph.Result, error) {
	in, err := g.input(p)
	if err != nil {
		return nil, err
	}
	return g.run(ctx, in, upTo)
}

// input is what a graph is made from for one set.
func (g *generator) input(p *params.Parameters) (taskgraph.Input, error) {
	scripts, err := runtask.Scripts()
	if err != nil {
		return taskgraph.Input{}, err
	}
	if p, err = tryStrategies(p); err != nil {
		return taskgraph.Input{}, err
	}
	in := taskgraph.Input{
		Tree: g.tree, Root: g.root, Parameters: p, TargetKinds: g.targetKinds, Strict: g.strict, Fast: g.fast, Scripts: scripts,
		DecisionTaskID: os.Getenv("TASK_ID"), RootURL: os.Getenv("TASKCLUSTER_ROOT_URL"), Now: time.Now(),
		Work: g.collector.work,
	}
	if len(in.TargetKinds) == 0 {
		in.TargetKinds = p.Strings("target-kinds")
	}
	return in, nil
}

// tryStrategies lets TASKGRAPH_OPTIMIZE_STRATEGIES take the place of the parameter optimize_strategies,
// to try strategies out (taskgraph-map 14.1).
func tryStrategies(p *params.Parameters) (*params.Parameters, error) {
	name := os.Getenv("TASKGRAPH_OPTIMIZE_STRATEGIES")
	if name == "" {
		return p, nil
	}
	return p.With("optimize_strategies", name)
}

// run generates from in, with the index that is asked for, and prints warnings and summary.
func (g *generator) run(ctx context.Context, in taskgraph.Input, upTo taskgraph.Stage) (*taskgraph.Result, error) {
	start := time.Now()
	if upTo >= taskgraph.Optimized && in.Index == nil {
		var err error
		if in.Index, err = g.finder(); err != nil {
			return nil, err
		}
	}
	if upTo >= taskgraph.Optimized && in.History == nil {
		in.History = g.past(ctx, in.Parameters)
	}
	in.Progress = g.screen.Stage
	var printed []string
	in.Print = func(line string) { printed = append(printed, line) }
	res, err := taskgraph.Generate(ctx, in, upTo)
	g.screen.Done()
	if g.quiet {
		return res, err
	}
	if err != nil { // what was printed on the way may say why
		for _, line := range printed {
			g.printed(line)
		}
		return nil, err
	}
	for _, w := range res.Warnings {
		g.screen.Warning(w.Error())
	}
	for _, line := range printed {
		g.printed(line)
	}
	if g.verbose {
		g.screen.Print("%s in %v", res.Summary(), time.Since(start).Round(time.Millisecond))
	}
	return res, nil
}
