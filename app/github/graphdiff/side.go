package graphdiff

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
)

// side is one of the two trees.
type side struct {
	c        *comparison
	tree     *recorder
	revision string
	source   []byte           // of .taskcluster.yml; nil without one
	file     *templates.File  // nil without .taskcluster.yml, and when it cannot be read
	tasks    []templates.Task // what it asks for on the pull request
	root     string           // directory of config.yml; "" when the tree has no graph
	method   string           // that the decision task selects tasks by; "" for the default
	faults   []*graph.Error   // of .taskcluster.yml
	graphs   map[string]made
}

type made struct {
	graph *graph.Graph
	err   error
}

func newSide(c *comparison, tree Tree, revision string) *side {
	return &side{c: c, tree: newRecorder(tree), revision: revision, graphs: map[string]made{}}
}

// read reads .taskcluster.yml and finds where the graph's configuration is.
func (s *side) read() error {
	source, err := s.tree.ReadFile(configFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && fault.KindOf(err) != fault.TooLarge {
		return err
	}
	if err == nil {
		s.source = source
		if s.file, err = templates.Parse(source, configFile); err == nil {
			s.tasks, err = s.file.Render(s.c.Event)
		}
		if e, ok := errors.AsType[*templates.Error](err); ok {
			s.faults = []*graph.Error{{File: e.File, Line: e.Line, Message: e.Message}}
		} else if err != nil {
			return err
		}
	}
	s.decision()
	if s.root != "" {
		if _, err := fs.Stat(s.tree, path.Join(s.root, "config.yml")); err == nil {
			return s.tree.Prefetch(s.root)
		}
		s.root = ""
	}
	if root, err := config.FindRoot(s.tree); err == nil {
		s.root = root
		return s.tree.Prefetch(root)
	}
	return nil
}

// digest tells contents of .taskcluster.yml apart.
func (s *side) digest() string {
	if s.source == nil {
		return "none" // or too large, which is no file either
	}
	sum := sha256.Sum256(s.source)
	return hex.EncodeToString(sum[:])
}

// decision takes over what the decision task of the server is told.
func (s *side) decision() {
	for _, t := range s.tasks {
		var told struct{ Root, TargetTasksMethod string }
		if t.Definition.TaskQueueID == "built-in/decision" && json.Unmarshal(t.Definition.Payload, &told) == nil {
			s.root, s.method = told.Root, told.TargetTasksMethod
		}
	}
	if !fs.ValidPath(s.root) {
		s.root = ""
	}
}

// graph makes the graph for a set of parameters, once; a tree without configuration has an empty one. Faults of the
// tree are *graph.Error.
func (s *side) graph(ctx context.Context, of set) (*graph.Graph, error) {
	if g, ok := s.graphs[of.name]; ok {
		return g.graph, g.err
	}
	g, err := s.generate(ctx, of)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	s.graphs[of.name] = made{g, err}
	return g, err
}

func (s *side) generate(ctx context.Context, of set) (*graph.Graph, error) {
	if s.root == "" {
		return graph.New(nil, nil)
	}
	p, err := s.parameters(ctx, of)
	if err != nil {
		return nil, err
	}
	upTo := map[string]taskgraph.Stage{"full": taskgraph.Full, "target-graph": taskgraph.Target, "optimized": taskgraph.Optimized}[s.c.stage()]
	res, err := taskgraph.Generate(ctx, taskgraph.Input{
		Tree: s.tree, Root: s.root, Parameters: p, RootURL: s.c.RootURL, Now: of.event.Now, Scripts: s.c.Scripts,
		IDSeed: "graph-diff", // the same task has the same id on both sides
	}, upTo)
	if err != nil {
		return nil, err
	}
	switch upTo {
	case taskgraph.Full:
		return res.Full, nil
	case taskgraph.Target:
		return res.Target, nil
	}
	return res.Optimized, nil
}

// parameters are those that a decision on this side would have: each side's own hooks make them, so that a change of
// a hook shows.
func (s *side) parameters(ctx context.Context, of set) (*params.Parameters, error) {
	hooks, err := taskgraph.ReadHooks(ctx, s.tree, s.root, func(string) {})
	if err != nil {
		return nil, err
	}
	facts := *of.event
	facts.TargetTasksMethod = s.method
	facts.Own = hooks.Own()
	if text, err := s.tree.ReadFile("version.txt"); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		facts.Version = strings.TrimSpace(line)
	}
	if of.file == nil {
		return hooks.Decide(ctx, facts, nil)
	}
	return params.LoadWith(of.name, of.file, params.Options{Defaults: facts.Values(), Own: hooks.Own()})
}
