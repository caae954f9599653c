// Package why answers why a task is as it is, or why there is none, with what would have to be
// otherwise: counterfactuals that it has tried by running the generator again. One that did not come
// true is not told.
//
// What is tried comes from the record of the generation (explain.Story.Candidates), from the
// conditions of entries that were left out, from the tasks that need the one in question, and last
// from the levels, projects and events that there are.
package why

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// MaxRuns is how many times the generator is run again for one Explainer. Tasks share runs: what one
// file changes is tried once for all of them.
const MaxRuns = 200

// told is how many counterfactuals of a task are told.
const told = 3

// Explainer answers for one generation. It is for one goroutine.
type Explainer struct {
	in      taskgraph.Input
	res     *taskgraph.Result
	stories *explain.Stories
	known   map[string]explain.Provenance
	created map[string]string // label → id
	runs    map[string]*world
	tried   int
	wider   []explain.Premise
}

// world is what became of the tasks in another run.
type world struct {
	runs, selected map[string]bool
}

// New makes an Explainer of a generation up to taskgraph.Morphed, and of what it was made from.
func New(in taskgraph.Input, res *taskgraph.Result) *Explainer {
	e := &Explainer{in: in, res: res, stories: res.Explain.Stories(), known: map[string]explain.Provenance{}, created: map[string]string{}, runs: map[string]*world{}}
	for label, t := range res.Full.All() {
		e.known[label] = t.Provenance
	}
	for id, t := range res.Morphed.All() {
		e.created[t.Label] = id
		if _, there := e.known[t.Label]; !there {
			e.known[t.Label] = t.Provenance
		}
	}
	e.in.Trace, e.in.Publish, e.in.Progress = false, nil, nil
	e.in.Index = remembered(in.Index)
	if in.History != nil {
		e.in.History = sync.OnceValues(in.History)
	}
	return e
}

// Labels are the labels of all tasks, those that morphs made too, sorted.
func (e *Explainer) Labels() []string { return slices.Sorted(maps.Keys(e.known)) }

// Story tells about one label, also one that no kind makes. The error is that of ctx.
func (e *Explainer) Story(ctx context.Context, label string) (explain.Story, error) {
	s := e.Plain(label)
	var err error
	s.Counterfactuals, s.Tried, err = e.counterfactuals(ctx, s)
	return s, err
}

// Plain is the story without counterfactuals, which needs no run of the generator.
func (e *Explainer) Plain(label string) explain.Story {
	p, known := e.known[label]
	if !known {
		return e.res.Explain.Missing(label, e.known, e.res.Kinds)
	}
	s := e.stories.Story(label, p)
	if s.Outcome == explain.Created {
		s.TaskID = e.created[label]
	}
	if t := e.res.Full.Task(label); t != nil {
		s = s.Optimizing(t.Optimization)
	}
	return s
}

// counterfactuals tries candidates, from the nearest on, until enough came true.
func (e *Explainer) counterfactuals(ctx context.Context, s explain.Story) (out []explain.Counterfactual, tried int, err error) {
	for _, group := range []func(explain.Story) []explain.Counterfactual{e.own, e.ofOthers, e.everywhere, e.lastResort} {
		for _, c := range group(s) {
			if len(out) == told {
				return out, tried, nil
			}
			if known(out, c.When) {
				continue
			}
			tried++
			seen, ok, err := e.try(ctx, s, c)
			if err != nil {
				return nil, tried, err
			}
			if ok && !known(out, seen.When) {
				out = append(out, seen)
			}
		}
		if len(out) > 0 {
			break
		}
	}
	return out, tried, nil
}

// known reports whether less than the premise is known to do.
func known(list []explain.Counterfactual, p explain.Premise) bool {
	return slices.ContainsFunc(list, func(c explain.Counterfactual) bool { return c.When.Within(p) })
}

// try runs the generator with a candidate; ok tells whether it came true.
func (e *Explainer) try(ctx context.Context, s explain.Story, c explain.Counterfactual) (explain.Counterfactual, bool, error) {
	if c.Would == explain.WouldBeChosen {
		for _, then := range s.ThenRuns(c) {
			if seen, ok, err := e.try(ctx, s, then); ok || err != nil {
				return seen, ok, err
			}
		}
	}
	if len(c.When.FilesChanged) == 0 {
		w, err := e.world(ctx, c.When)
		c.Seen = true
		return c, err == nil && w.shows(s.Label, c.Would), err
	}
	// Each of the patterns alone has to do.
	var ok []string
	for _, pattern := range c.When.FilesChanged[:min(len(c.When.FilesChanged), maxPatterns)] {
		one := c.When
		one.FilesChanged = []string{pattern}
		w, err := e.world(ctx, one)
		if err != nil {
			return c, false, err
		}
		if w.shows(s.Label, c.Would) {
			ok = append(ok, pattern)
		}
	}
	c.When.FilesChanged, c.Seen = ok, true
	c.If = c.When.Text()
	return c, len(ok) > 0, nil
}

// maxPatterns is how many patterns of one task are tried.
const maxPatterns = 12

// shows reports whether it is so in w; nothing is so in a world that could not be made.
func (w *world) shows(label, would string) bool {
	switch {
	case w == nil:
		return false
	case would == explain.WouldNotRun:
		return !w.runs[label]
	case would == explain.WouldBeChosen:
		return w.selected[label]
	}
	return w.runs[label]
}

// world runs the generator with a premise, once for each. A tree that has a fault then gives nil, and
// so does one run more than MaxRuns.
func (e *Explainer) world(ctx context.Context, p explain.Premise) (*world, error) {
	key, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	if w, done := e.runs[string(key)]; done {
		return w, nil
	}
	if e.tried == MaxRuns {
		return nil, nil
	}
	e.tried++
	w, err := e.generate(ctx, p)
	if err != nil && ctx.Err() == nil {
		w, err = nil, nil
	}
	e.runs[string(key)] = w
	return w, err
}

func (e *Explainer) generate(ctx context.Context, p explain.Premise) (*world, error) {
	in, err := With(e.in, p)
	if err != nil {
		return nil, err
	}
	res, err := taskgraph.Generate(ctx, in, taskgraph.Morphed)
	if err != nil {
		return nil, err
	}
	w := &world{runs: map[string]bool{}, selected: map[string]bool{}}
	for _, t := range res.Morphed.All() {
		w.runs[t.Label] = true
	}
	for _, label := range res.TargetSet {
		w.selected[label] = true
	}
	return w, nil
}

// remembered asks the index about each path once.
func remembered(ask optimize.IndexFinder) optimize.IndexFinder {
	if ask == nil {
		return nil
	}
	known := map[string]optimize.Found{}
	asked := map[string]bool{}
	return func(ctx context.Context, paths []string) (map[string]optimize.Found, error) {
		unknown := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return asked[p] })
		if len(unknown) > 0 {
			found, err := ask(ctx, unknown)
			if err != nil {
				return nil, err
			}
			maps.Copy(known, found)
			for _, p := range unknown {
				asked[p] = true
			}
		}
		return maps.Clone(known), nil
	}
}

// Task is the task of that label in the full graph, nil without one.
func (e *Explainer) task(label string) *graph.Task { return e.res.Full.Task(label) }
