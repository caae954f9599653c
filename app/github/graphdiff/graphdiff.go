// Package graphdiff tells what a pull request does to the graph of tasks: it makes the graphs of two trees with the
// same parameters and compares them. It is the content of the check "task graph".
//
// The head is written by anybody, so nothing here believes it: the base says which parameters are compared and
// whether at all; both graphs are made by the pure generator, within a time and an amount of memory, from files of the
// two trees and nothing else. No index, no secret and no network is asked.
package graphdiff

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
)

// configFile says what is built, and what of the graph is compared.
const configFile = ".taskcluster.yml"

// Tree is the files of a revision.
type Tree interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS

	// Prefetch reads what stands at or below the paths at once.
	Prefetch(under ...string) error
}

// Change is a file that differs between the sides.
type Change struct {
	Path string
	Both bool // both sides have it
}

// Request says what is to be compared.
type Request struct {
	Base, Head               Tree // Base is where the head left its branch
	BaseRevision             string
	HeadRevision             string
	Changed                  []Change // the files that differ
	Event                    templates.Event
	Pull, Push               params.Decision // what is known of the pull request, and of a push that would bring it
	Durations                func(context.Context) (history.Durations, error)
	Scripts                  fs.FS
	RootURL                  string
	Limit                    time.Duration // of the whole work; DefaultLimit when 0
	Memory                   uint64        // bytes that the process may grow by; DefaultMemory when 0
	Known                    *Known        // what bases read; nil remembers nothing
	BaseRepository, HeadName string        // how the sides are shown

	// Whole has everything compared: the full graphs, with the parameters of both events at least, whatever the base
	// says. It is for who has to know all that a change brings.
	Whole bool
}

// Limits of one comparison. A graph of 2,000 tasks takes 0.2 s and 60 MB.
const (
	DefaultLimit  = 20 * time.Second
	DefaultMemory = 2 << 30
	maxSets       = 10
	maxParameters = 4 << 20 // bytes of a file of parameters
)

// Outcome is what a comparison found.
type Outcome struct {
	// Concerned is false when nothing that the generator reads differs, or the base wants no comparison; then the
	// rest is empty. Why says which.
	Concerned bool
	Why       string
	Report    diff.Report
	// Head are the faults of the head's configuration: without a graph of it there is nothing to compare.
	Head []*graph.Error
	// Base is why the base has no graph, "" when it has one.
	Base string
	// Beyond is the limit that was met, "" when none was.
	Beyond string
	// Config is a digest of the head's .taskcluster.yml where that differs, "" where it does not.
	Config string
	Took   time.Duration
}

// comparison is a request under way.
type comparison struct {
	Request
	extras     templates.GraphDiff
	base, head *side
	out        Outcome
}

// Compare compares. Errors are ours: a forge that does not answer, or ctx that ended. What is wrong with the trees is
// in the outcome.
func Compare(ctx context.Context, r Request) (Outcome, error) {
	if r.Limit == 0 {
		r.Limit = DefaultLimit
	}
	if r.Memory == 0 {
		r.Memory = DefaultMemory
	}
	began := time.Now()
	c := &comparison{Request: r}
	bounded, cancel := Bound(ctx, r.Limit, r.Memory)
	defer cancel()
	err := c.compare(bounded)
	if cause := context.Cause(bounded); err != nil && ctx.Err() == nil && errors.Is(cause, ErrBeyond) {
		c.out = Outcome{Concerned: true, Beyond: cause.Error(), Config: c.out.Config}
		err = nil
	}
	c.out.Took = time.Since(began)
	return c.out, err
}

func (c *comparison) compare(ctx context.Context) error {
	c.base, c.head = newSide(c, c.Base, c.BaseRevision), newSide(c, c.Head, c.HeadRevision)
	if err := c.base.read(); err != nil {
		return err
	}
	if c.base.file != nil {
		c.extras = c.base.file.Extras.GraphDiff
	}
	if c.extras.Off && !c.Whole {
		c.out.Why = "the base's " + configFile + " wants no comparison of graphs"
		return nil
	}
	if err := c.head.read(); err != nil {
		return err
	}
	if slices.ContainsFunc(c.Changed, func(f Change) bool { return f.Path == configFile }) {
		c.out.Config = c.head.digest()
	}
	if c.base.root == "" && c.head.root == "" && len(c.head.faults) == 0 {
		c.out.Why = "there is no graph: neither side has a config.yml"
		return nil
	}
	sets, err := c.sets()
	if err != nil {
		return err
	}
	if concerned, err := c.concerned(ctx, sets); err != nil || !concerned {
		c.out.Why = "nothing that the graph is made from differs"
		return err
	}
	c.out.Concerned = true
	c.out.Report = diff.Report{Base: short(c.BaseRevision), Head: short(c.HeadRevision), Stage: c.stage()}
	if len(c.head.faults) > 0 { // its .taskcluster.yml
		c.out.Head = c.head.faults
		return nil
	}
	for _, s := range sets {
		if done, err := c.one(ctx, s); err != nil || done {
			return err
		}
	}
	c.files()
	return nil
}

// one compares the graphs of one set of parameters. done says that there is no use in going on.
func (c *comparison) one(ctx context.Context, s set) (done bool, err error) {
	head, err := c.head.graph(ctx, s)
	if faults := graph.Errors(err); len(faults) > 0 {
		c.out.Head = faults
		return true, nil
	}
	if err != nil {
		return false, err
	}
	base, err := c.base.graph(ctx, s)
	if faults := graph.Errors(err); len(faults) > 0 {
		c.out.Base = faults[0].Error()
		return true, nil
	}
	if err != nil {
		return false, err
	}
	var known history.Durations
	if c.Durations != nil {
		if known, err = c.Durations(ctx); err != nil {
			return false, err
		}
	}
	c.out.Report.Sets = append(c.out.Report.Sets, diff.Set{Name: s.name, Diff: diff.Compare(base, head, known)})
	return false, nil
}

// files compares the tasks that .taskcluster.yml itself asks for, the decision among them.
func (c *comparison) files() {
	if !slices.ContainsFunc(c.Changed, func(f Change) bool { return f.Path == configFile }) {
		return
	}
	base, errBase := graph.OfDefinitions("decision", templates.Definitions(c.base.tasks))
	head, errHead := graph.OfDefinitions("decision", templates.Definitions(c.head.tasks))
	if errBase != nil || errHead != nil { // with two tasks of one name, nobody could say which one changed
		return
	}
	if d := diff.Compare(base, head, nil); !d.Empty() {
		c.out.Report.Sets = append(c.out.Report.Sets, diff.Set{Name: configFile, Diff: d})
	}
}

func (c *comparison) stage() string {
	switch {
	case c.Whole:
		return "full"
	case c.extras.Stage != "":
		return c.extras.Stage
	}
	return "target-graph"
}

// concerned reports whether something that the generator reads differs. What lies in its own directory does; for the
// rest the base's graph is made, and what it asked of the tree is held against what differs.
func (c *comparison) concerned(ctx context.Context, sets []set) (bool, error) {
	near := func(f Change) bool {
		return f.Path == configFile || under(f.Path, c.base.root) || under(f.Path, c.head.root)
	}
	there := func(dir string) bool {
		_, base := c.Base.Stat(dir)
		_, head := c.Head.Stat(dir)
		return base == nil && head == nil
	}
	if slices.ContainsFunc(c.Changed, near) || len(c.head.faults) > 0 {
		return true, nil
	}
	if c.base.root == "" {
		return false, nil
	}
	key := c.BaseRepository + "@" + c.BaseRevision
	if seen := c.Known.get(key); seen != nil {
		return seen.any(c.Changed, there), nil
	}
	for _, s := range sets {
		if _, err := c.base.graph(ctx, s); err != nil && len(graph.Errors(err)) == 0 {
			return false, err
		}
	}
	seen := c.base.tree.seen()
	c.Known.put(key, seen)
	return seen.any(c.Changed, there), nil
}

func under(name, dir string) bool { return dir != "" && strings.HasPrefix(name, dir+"/") }

func short(revision string) string { return revision[:min(len(revision), 12)] }

// set is one set of parameters: those of a file of the base, or of an event.
type set struct {
	name  string
	file  []byte           // nil for an event
	event *params.Decision // what is known where the file says nothing
}

// sets are those that the base asks for, or a pull request and the push that follows it: what a change may do at the
// level of pushes shows before it is there.
func (c *comparison) sets() ([]set, error) {
	events := []string{c.Pull.TasksFor, c.Push.TasksFor}
	wanted := c.extras.Parameters
	switch {
	case len(wanted) == 0:
		wanted = events
	case c.Whole:
		more := slices.DeleteFunc(slices.Clone(wanted), func(name string) bool { return slices.Contains(events, name) })
		wanted = slices.Concat(events, more)
	}
	var out []set
	for _, name := range wanted {
		switch name {
		case c.Pull.TasksFor, "github-pull-request":
			out = append(out, set{name: name, event: &c.Pull})
			continue
		case c.Push.TasksFor:
			out = append(out, set{name: name, event: &c.Push})
			continue
		}
		files, err := fs.Glob(c.Base, name)
		if err != nil {
			return nil, fmt.Errorf("graphdiff: parameters %s: %w", name, err)
		}
		for _, file := range files {
			content, err := c.Base.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if len(content) <= maxParameters {
				out = append(out, set{name: strings.TrimSuffix(file[strings.LastIndex(file, "/")+1:], ".yml"), file: content, event: &c.Push})
			}
		}
	}
	return out[:min(len(out), maxSets)], nil
}
