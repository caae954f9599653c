package whatif

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/config"
	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/explain/why"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/ui/debug"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// graph makes the task graph of the edited tree, where there is one, as a decision would.
func (t *trial) graph(ctx context.Context) error {
	root, ok := t.rootOf(t.head)
	if !ok || len(t.out.Mistakes) > 0 && len(t.tasks) == 0 {
		return nil
	}
	in, res, err := t.generate(ctx, t.head, root, true)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		return t.faulty(err)
	}
	t.describe(in, res)
	if err := t.stories(ctx, in, res); err != nil {
		return err
	}
	if t.place.ref == t.place.repository.DefaultBranch && len(t.request.Files) == 0 {
		return nil
	}
	other, ok := t.rootOf(t.base)
	if !ok {
		t.out.Warnings = append(t.out.Warnings, "The default branch has no task graph: every task is new.")
		return nil
	}
	_, before, err := t.generate(ctx, t.base, other, false)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		t.out.Warnings = append(t.out.Warnings, "The default branch's graph cannot be made, so nothing is compared: "+err.Error())
		return nil
	}
	t.changes("graph", diff.Compare(before.Target, res.Target, nil))
	return nil
}

func (t *trial) rootOf(tree intake.Tree) (string, bool) {
	if t.root != "" {
		if _, err := tree.Stat(t.root + "/config.yml"); err == nil {
			return t.root, true
		}
	}
	root, err := config.FindRoot(tree)
	return root, err == nil
}

// faulty takes over what is wrong with the tree.
func (t *trial) faulty(err error) error {
	list := graph.Errors(err)
	if len(list) == 0 {
		if wrong := intake.MistakeOf(intake.AsMistake(err)); wrong != nil {
			t.mistake(wrong.File, wrong.Line, "", wrong.Message)
			return nil
		}
		return err
	}
	for _, e := range list[:min(len(list), 50)] {
		message := e.Message
		if e.Err != nil {
			message = strings.TrimSpace(message + " " + e.Err.Error())
		}
		t.mistake(e.File, e.Line, e.Label, message)
	}
	return nil
}

// generate makes a graph; trace keeps what explanations need.
func (t *trial) generate(ctx context.Context, tree intake.Tree, root string, trace bool) (taskgraph.Input, *taskgraph.Result, error) {
	if err := tree.Prefetch(root); err != nil {
		return taskgraph.Input{}, nil, err
	}
	hooks, err := taskgraph.ReadHooks(ctx, tree, root, func(string) {})
	if err != nil {
		return taskgraph.Input{}, nil, err
	}
	facts := t.occasion.facts
	facts.TargetTasksMethod = t.method
	if text, err := tree.ReadFile("version.txt"); err == nil {
		line, _, _ := strings.Cut(string(text), "\n")
		facts.Version = strings.TrimSpace(line)
	}
	p, err := hooks.Decide(ctx, facts, nil)
	if err != nil {
		return taskgraph.Input{}, nil, err
	}
	if strings.TrimSpace(t.request.Parameters) != "" {
		over := map[string]any{}
		if err := yaml.Unmarshal([]byte(t.request.Parameters), &over); err != nil {
			return taskgraph.Input{}, nil, &graph.Error{File: "parameters", Message: err.Error()}
		}
		text, err := json.Marshal(over)
		if err != nil {
			return taskgraph.Input{}, nil, &graph.Error{File: "parameters", Message: err.Error()}
		}
		if p, err = params.LoadWith("parameters", text, params.Options{Defaults: p.Map(), Own: hooks.Own()}); err != nil {
			return taskgraph.Input{}, nil, err
		}
	}
	scripts, err := runtask.Scripts()
	if err != nil {
		return taskgraph.Input{}, nil, err
	}
	in := taskgraph.Input{
		Tree: tree, Root: root, Parameters: p, RootURL: t.RootURL, Now: facts.Now, Scripts: scripts, Trace: trace,
		IDSeed: "what-if", // the same task has the same id on both sides
	}
	res, err := taskgraph.Generate(ctx, in, taskgraph.Morphed)
	return in, res, err
}

// describe tells the kinds, and what becomes of each task.
func (t *trial) describe(in taskgraph.Input, res *taskgraph.Result) {
	g := &debug.Graph{Summary: res.Summary(), Kinds: []debug.Kind{}, Labels: []debug.Label{}}
	t.out.Graph = g
	if text, err := in.Parameters.YAML(); err == nil {
		t.out.Parameters = string(text)
	}
	for _, w := range res.Warnings {
		t.out.Warnings = append(t.out.Warnings, w.Error())
	}
	kinds, needs := map[string]*debug.Kind{}, map[string]map[string]bool{}
	for _, name := range res.Kinds {
		kinds[name], needs[name] = &debug.Kind{Name: name}, map[string]bool{}
	}
	runs := running(res)
	for label, task := range res.Full.All() {
		k := kinds[task.Kind]
		if k == nil {
			continue
		}
		k.All++
		if runs[label] {
			k.Runs++
		}
		for other := range res.Full.TasksNeeded(label) {
			if other.Kind != task.Kind {
				needs[task.Kind][other.Kind] = true
			}
		}
	}
	for _, name := range res.Kinds {
		k := kinds[name]
		k.Needs = append([]string{}, slices.Sorted(maps.Keys(needs[name]))...)
		g.Kinds = append(g.Kinds, *k)
	}
}

// running are the labels of the tasks that would be created.
func running(res *taskgraph.Result) map[string]bool {
	out := map[string]bool{}
	for _, task := range res.Morphed.All() {
		out[task.Label] = true
	}
	return out
}

// stories says of each task why it is there or is not, and of one the whole story.
func (t *trial) stories(ctx context.Context, in taskgraph.Input, res *taskgraph.Result) error {
	explainer := why.New(in, res)
	runs := running(res)
	labels := explainer.Labels()
	t.out.Graph.More = max(0, len(labels)-maxLabels)
	for _, label := range labels[:min(len(labels), maxLabels)] {
		s := explainer.Plain(label)
		one := debug.Label{Label: label, Runs: runs[label], Because: s.Sentence(), Place: s.Place()}
		if task := res.Full.Task(label); task != nil {
			one.Kind = task.Kind
		}
		t.out.Graph.Labels = append(t.out.Graph.Labels, one)
	}
	if t.request.Why == "" {
		return ctx.Err()
	}
	s, err := explainer.Story(ctx, t.request.Why)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := s.WriteText(&text); err != nil {
		return err
	}
	t.out.Graph.Why, t.out.Graph.WhyOf = text.String(), t.request.Why
	return nil
}

const (
	maxChanges = 500
	maxNamed   = 8 // labels of one line
	maxValue   = 800
)

// changes adds a comparison.
func (t *trial) changes(what string, d *diff.Diff) {
	add := func(c debug.Change) {
		if c.What = what; len(t.out.Changes) < maxChanges {
			t.out.Changes = append(t.out.Changes, c)
		}
	}
	for _, s := range d.Gained {
		add(debug.Change{Kind: "scope gained", Key: s.Scope, Labels: named(s.Labels)})
	}
	for _, s := range d.Lost {
		add(debug.Change{Kind: "scope lost", Key: s.Scope, Labels: named(s.Labels)})
	}
	for _, label := range d.Added {
		add(debug.Change{Kind: "added", Labels: label})
	}
	for _, label := range d.Removed {
		add(debug.Change{Kind: "removed", Labels: label})
	}
	for _, g := range d.Changed {
		for _, c := range g.Changes {
			add(debug.Change{Kind: "changed", Labels: named(g.Labels), Key: c.Key, Old: value(c.Old), New: value(c.New)})
		}
	}
}

func named(labels []string) string {
	if more := len(labels) - maxNamed; more > 0 {
		return strings.Join(labels[:maxNamed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(labels, ", ")
}

// value writes a value for the page; one that is not there is "".
func value(v any) string {
	if v == explain.Absent {
		return ""
	}
	text, isText := v.(string)
	if !isText {
		body, err := json.Marshal(v)
		if err != nil {
			return errors.Join(err).Error()
		}
		text = string(body)
	}
	if len(text) > maxValue {
		text = strings.ToValidUTF8(text[:maxValue], "") + "…"
	}
	return text
}
