// Package taskgraph makes the graph of tasks that an event asks for, from what the tree says:
// parameters → kinds → full graph → target set → optimization → morphs → submissions
// (taskgraph-map 1). It is a pure function of the tree, the parameters and what the index
// answers: the same inputs give the same bytes, and no stage asks a clock, a network or chance.
//
// Generate below shows all stages in order. Before this file came workers/work.go, the agent that
// runs tasks; after it comes queue/resolve.go, where their end releases others.
package taskgraph

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/loader"
	"github.com/treeline-ci/treeline/taskgraph/morph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/target"
)

// Stage is how far Generate goes.
type Stage int

// The stages, in order.
const (
	Kinds     Stage = iota // the configuration and the kinds are read
	Full                   // every task of every kind, with its edges
	TargetSet              // the labels wanted
	Target                 // those and everything they depend on
	Optimized              // what is left once the needless and the already done are gone
	Morphed                // the graph as it is to be submitted
)

// Input is what a graph is made from.
type Input struct {
	// Tree is the repository at the revision of the event; only the files that the graph needs
	// are read.
	Tree fs.FS
	// Root is the directory of config.yml; "" looks for one of config.Roots.
	Root       string
	Parameters *params.Parameters
	// TargetKinds limits the kinds to these and what they depend on; empty means all.
	TargetKinds []string
	// Index answers optimizations; nil: the index knows nothing.
	Index optimize.IndexFinder
	// History gives what is known of earlier pushes. It is asked at most once, if a strategy needs it;
	// nil: nothing is known.
	History history.Source
	// Now is the time against which deadlines count; zero means the build date.
	Now time.Time
	// DecisionTaskID and RootURL are empty in local runs.
	DecisionTaskID, RootURL string
	// ProxyURL is where tasks find private artifacts; "" means RootURL.
	ProxyURL string
	// IDSeed makes the ids of tasks; "" means DecisionTaskID. NewID, if set, gives them itself.
	IDSeed string
	NewID  func(label string) string
	// Scripts holds run-task and fetch-content, whose content names caches and images.
	Scripts fs.FS
	// Strict makes errors of warnings.
	Strict bool
	// Fast leaves out digests of cached tasks and contexts of images, which read many files: such
	// tasks are not looked for in the index, and the graph is not one to be submitted.
	Fast bool
	// NoVerify leaves the verifications of the graph out (taskgraph-map 16).
	NoVerify bool
	// Trace makes the record hold values, old and new, besides the keys that transforms changed.
	Trace bool
	// Publish takes files that the decision shall publish besides its own; nil if nobody wants
	// them. Several goroutines may call it at once.
	Publish func(name string, content func() ([]byte, error)) error
	// Work, if set, does each piece of the work of transforms, by calling it. Several goroutines call it at once; what it does
	// before and after a piece is the caller's, such as to collect garbage while nobody works.
	Work func(piece func())
	// Progress, if set, is told each stage as it starts.
	Progress func(stage string)
	// Print, if set, gets what Starlark of the tree prints, also when there is no result. Each stage's
	// lines come at its end, those of kinds in the order of the kinds.
	Print func(line string)
}

// Result is what Generate made, as far as it went.
type Result struct {
	Config     *config.GraphConfig
	Parameters *params.Parameters
	// Kinds are the names of the kinds, each after those it depends on.
	Kinds []string
	// Full is the graph of all tasks, by label.
	Full *graph.Graph
	// TargetSet are the labels selected, sorted; Target the graph of them and what they need.
	TargetSet []string
	Target    *graph.Graph
	// Optimized and Morphed are by task id.
	Optimized, Morphed *graph.Graph
	// LabelToTaskID holds the tasks to be created and those that replace others.
	LabelToTaskID map[string]string
	// History is what Input.History gave, nil when it was not asked.
	History  *history.Table
	Explain  *explain.Log
	Warnings []*graph.Error
	// InputDigest is a digest of everything that the result was made from.
	InputDigest string
	// Files are the files of the tree that were read, sorted; Digests the sha256 of each.
	Files   []string
	Digests map[string][sha256.Size]byte
	// Index is what the index answered.
	Index map[string]optimize.Found

	removed, replaced int
}

// Generate runs the stages up to and including upTo. Faults of the tree are told together, as
// *graph.Error each, with file, line and label.
func Generate(ctx context.Context, in Input, upTo Stage) (*Result, error) {
	g, err := newGeneration(in)
	if err != nil {
		return nil, err
	}
	stages := []struct {
		stage Stage
		name  string
		run   func(context.Context) error
	}{
		{Kinds, "kinds", g.readKinds},
		{Full, "full task graph", g.full},
		{TargetSet, "target task set", g.targetSet},
		{Target, "target task graph", g.target},
		{Optimized, "optimized task graph", g.optimized},
		{Morphed, "morphed task graph", g.morphed},
	}
	for _, s := range stages {
		if s.stage > upTo {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if in.Progress != nil {
			in.Progress(s.name)
		}
		if err := s.run(ctx); err != nil {
			return nil, err
		}
	}
	return g.finish(), nil
}

// generation is one run of Generate.
type generation struct {
	in     Input
	tree   *recorder
	kinds  []*loader.Kind
	star   *star.Files // of selection and strategies; kinds have their own
	warn   warnings
	answer []byte // what the index said, for the digest
	res    *Result
}

func newGeneration(in Input) (*generation, error) {
	if in.Tree == nil || in.Parameters == nil {
		return nil, errors.New("taskgraph: a graph needs a tree and parameters")
	}
	if in.IDSeed == "" {
		in.IDSeed = in.DecisionTaskID
	}
	if in.NewID == nil {
		in.NewID = func(label string) string { return TaskID(in.IDSeed, label) }
	}
	g := &generation{in: in, tree: newRecorder(in.Tree), res: &Result{Parameters: in.Parameters, Explain: &explain.Log{}}}
	g.star = star.NewFiles(g.tree, star.Options{Print: g.print})
	return g, nil
}

func (g *generation) print(line string) {
	g.res.Explain.Print(line)
	if g.in.Print != nil {
		g.in.Print(line)
	}
}

// TaskID is the id of the task of that label in the group of a decision: the same for the same
// seed and label, and never starting with a dash.
func TaskID(seed, label string) string {
	sum := sha256.Sum256([]byte(seed + "\x00" + label))
	var b [16]byte
	copy(b[:], sum[:])
	b[0] &= 0x7f
	return slug.FromBytes(b)
}

func (g *generation) readKinds(context.Context) error {
	var err error
	if g.in.Root == "" {
		if g.in.Root, err = config.FindRoot(g.tree); err != nil {
			return err
		}
	}
	if g.res.Config, err = config.Load(g.tree, g.in.Root); err != nil {
		return err
	}
	if err = g.checkNames(); err != nil {
		return err
	}
	if g.kinds, err = loader.Kinds(g.tree, g.in.Root, g.in.TargetKinds); err != nil {
		return err
	}
	if g.res.Kinds, err = loader.Order(g.kinds); err != nil {
		return err
	}
	return g.checkConditions()
}

func (g *generation) full(ctx context.Context) error {
	tasks, err := g.loadKinds(ctx)
	if err != nil {
		return err
	}
	if g.res.Full, err = graph.FromTasks(tasks); err != nil {
		return err
	}
	if _, err := g.res.Full.Postorder(); err != nil {
		return err
	}
	return g.verifyFull()
}

func (g *generation) targetSet(ctx context.Context) (err error) {
	g.res.TargetSet, err = target.Select(ctx, target.Input{
		Full: g.res.Full, Params: g.in.Parameters, GraphConfig: g.res.Config.Values, Star: g.star, Log: g.res.Explain,
		Warn: g.warn.add,
	})
	return err
}

func (g *generation) target(context.Context) error {
	g.res.Target = target.Graph(g.res.Full, g.in.Parameters, g.res.TargetSet)
	return nil
}

func (g *generation) optimized(ctx context.Context) error {
	r, err := optimize.Run(ctx, optimize.Input{
		Target: g.res.Target, Requested: target.Requested(g.res.Full, g.in.Parameters, g.res.TargetSet), Targets: g.res.TargetSet,
		Params: g.in.Parameters, Star: g.star, Index: g.index(), History: g.in.History, Now: g.in.Now, NewID: g.in.NewID,
		RootURL: g.in.RootURL, ProxyURL: g.in.ProxyURL, DecisionTaskID: g.in.DecisionTaskID, Log: g.res.Explain,
	})
	if err != nil {
		return err
	}
	g.res.Optimized, g.res.LabelToTaskID = r.Graph, r.LabelToTaskID
	g.res.removed, g.res.replaced, g.res.History = r.Removed, r.Replaced, r.History
	return g.verifyOptimized()
}

func (g *generation) morphed(context.Context) (err error) {
	g.res.Morphed, g.res.LabelToTaskID, err = morph.Run(morph.Input{
		Graph: g.res.Optimized, LabelToTaskID: g.res.LabelToTaskID, Params: g.in.Parameters,
		Config: g.res.Config, NewID: g.in.NewID, Log: g.res.Explain, Targets: g.res.TargetSet,
	})
	return err
}

func (g *generation) finish() *Result {
	g.res.Warnings = g.warn.sorted()
	g.res.InputDigest, g.res.Files, g.res.Digests = g.digest(), g.tree.files(), g.tree.digests()
	return g.res
}

// Summary says in one line what became of the tasks.
func (r *Result) Summary() string {
	switch {
	case r.Optimized != nil:
		return fmt.Sprintf("%d tasks in all, %d selected, %d with what they need; %d optimized away, %d replaced, %d to be created",
			r.Full.Len(), len(r.TargetSet), r.Target.Len(), r.removed, r.replaced, r.Optimized.Len())
	case r.Full != nil:
		return fmt.Sprintf("%d tasks in %d kinds", r.Full.Len(), len(r.Kinds))
	}
	return fmt.Sprintf("%d kinds", len(r.Kinds))
}
