// Package target selects the tasks that an event asks for out of the full graph (taskgraph-map
// 13). The parameter filters names filters that are applied one after another; the filter
// target_tasks_method delegates to the method that the parameter of the same name gives:
//
//	default      runs for this project, event, branch and shipping phase, and is not for cron only
//	codereview   as default, and has the attribute code-review
//	nothing      no task
//	try_tasks    what a push to try asks for (taskgraph-map 23.1)
//	try_auto     as default, without what is uncommon or left out by tasks-regex; also a filter
//
// A filter or method may also be a condition of config.yml (Named), or a Starlark function of the tree, "taskcluster/x.star:function"
// (package star). Each answer is recorded with the rule that decided.
//
// Everything is a function of its arguments and safe for concurrent use.
package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/star"
	"github.com/treeline-ci/treeline/taskgraph/value"
)

// Input is what selection looks at.
type Input struct {
	Full        *graph.Graph
	Params      *params.Parameters
	GraphConfig map[string]any // values of config.yml, for Starlark
	Star        *star.Files    // nil: the tree has no Starlark
	Log         *explain.Log   // nil: nothing is recorded
	// Warn, if set, is told what of a push to try is left out of account.
	Warn func(*graph.Error)
}

// methodFilter is the filter that asks the target-tasks method.
const methodFilter = "target_tasks_method"

// verdict is a method's answer for one task.
type verdict struct {
	kept        bool
	rule, input string
	wants       []explain.Want // parameters with which it would be kept
}

// method answers for one task after another.
type method func(t *graph.Task) (verdict, error)

// Select gives the labels of the target tasks, sorted. An empty list of filters means the
// target-tasks method.
func Select(ctx context.Context, in Input) ([]string, error) {
	filters := in.Params.Strings("filters")
	if len(filters) == 0 {
		filters = []string{methodFilter}
	}
	steps := make([]step, len(filters))
	for i, name := range filters { // unknown names fail before any work is done
		s, err := in.step(ctx, name)
		if err != nil {
			return nil, err
		}
		steps[i] = s
	}
	labels := in.Full.Keys()
	for _, s := range steps {
		var err error
		if labels, err = s.apply(labels); err != nil {
			return nil, err
		}
	}
	return slices.Clone(labels), nil
}

// step is one filter, ready to be applied.
type step struct {
	apply func(labels []string) ([]string, error)
}

func (in Input) step(ctx context.Context, filter string) (step, error) {
	name, shown := filter, filter
	if filter == methodFilter {
		name = in.Params.String("target_tasks_method")
		shown = methodFilter + ": " + name
	}
	if file, fn, ok := star.SplitName(name); ok {
		return in.starStep(ctx, file, fn, shown)
	}
	if m, ok, err := in.namedMethod(name); ok {
		return step{apply: func(labels []string) ([]string, error) { return in.each(labels, shown, m) }}, err
	}
	known := map[string]method{"nothing": in.nothing}
	branches := &branches{}
	known["default"] = in.defaultMethod(branches)
	known["codereview"] = in.codeReview(branches)
	var err error
	switch name {
	case tryMethod:
		known[name], err = in.tryMethod()
	case tryAuto:
		known[name], err = in.tryAuto(branches)
	}
	if err != nil {
		return step{}, err
	}
	m, ok := known[name]
	if filter != methodFilter && filter != tryAuto || !ok {
		return step{}, unknown(filter, name, in.GraphConfig)
	}
	return step{apply: func(labels []string) ([]string, error) { return in.each(labels, shown, m) }}, nil
}

// CheckFilters refuses filters that nobody knows, before there is a graph to apply them to. The
// target-tasks method is looked up only when a selection is made: a full graph needs none.
func CheckFilters(p *params.Parameters, graphConfig map[string]any) error {
	for _, name := range p.Strings("filters") {
		_, named := value.Map(graphConfig, Named)[name]
		if _, _, ok := star.SplitName(name); !ok && !named && name != methodFilter && name != tryAuto {
			return unknown(name, "", graphConfig)
		}
	}
	return nil
}

func unknown(filter, method string, graphConfig map[string]any) error {
	what, name, known := "parameter filters: there is no filter", filter, methodNames(graphConfig, methodFilter, tryAuto)
	if filter == methodFilter {
		what, name, known = "parameter "+methodFilter+": there is no method", method, methodNames(graphConfig, "codereview", "default", "nothing", tryAuto, tryMethod)
	}
	message := fmt.Sprintf("%s %q (known: %s, or FILE.star:FUNCTION)", what, name, strings.Join(known, ", "))
	if near := graph.Nearest(name, known); near != "" {
		message += fmt.Sprintf("; is %q meant?", near)
	}
	return errors.New(message)
}

// each asks m about every task and records the answers.
func (in Input) each(labels []string, shown string, m method) ([]string, error) {
	var out []string
	for _, label := range labels {
		t := in.Full.Task(label)
		v, err := m(t)
		if err != nil {
			return nil, &graph.Error{File: t.Provenance.File, Line: t.Provenance.Line, Label: label, Err: err}
		}
		in.Log.Select(explain.Selection{Label: label, Filter: shown, Kept: v.kept, Rule: v.rule, Input: v.input, Wants: v.wants})
		if v.kept {
			out = append(out, label)
		}
	}
	return out, nil
}

// starStep asks a function of the tree.
func (in Input) starStep(ctx context.Context, file, fn, shown string) (step, error) {
	if in.Star == nil {
		return step{}, fmt.Errorf("target: %s: no tree to load Starlark from", shown)
	}
	m, err := in.Star.Module(ctx, file)
	if err != nil {
		return step{}, located(shown, err)
	}
	return step{apply: func(labels []string) ([]string, error) {
		kept, err := m.Target(ctx, fn, star.TargetConfig{
			Params: in.Params.Map(), GraphConfig: in.GraphConfig, Labels: labels,
			Task: func(label string) (map[string]any, bool) {
				if _, here := slices.BinarySearch(labels, label); !here {
					return nil, false
				}
				return in.Full.Task(label).JSON(), true
			},
		})
		if err != nil {
			return nil, located(shown, err)
		}
		slices.Sort(kept)
		kept = slices.Compact(kept)
		for _, label := range labels {
			_, yes := slices.BinarySearch(kept, label)
			in.Log.Select(explain.Selection{Label: label, Filter: shown, Kept: yes, Rule: "answer of the function"})
		}
		return kept, nil
	}}, nil
}

// located makes the generator's common error of one of Starlark.
func located(shown string, err error) error {
	if e, ok := errors.AsType[*star.Error](err); ok {
		return &graph.Error{File: e.File, Line: e.Line, Label: e.Label, Message: shown, Err: err}
	}
	return fmt.Errorf("target: %s: %w", shown, err)
}

// Requested gives the labels that the event asks for in all: the targets and the tasks that
// join every graph (attribute always_target, as far as enable_always_target allows), sorted.
func Requested(full *graph.Graph, p *params.Parameters, targets []string) []string {
	out := slices.Clone(targets)
	for label, t := range full.All() {
		if truthy(t.Attribute("always_target")) && p.AlwaysTarget(t.Kind) {
			out = append(out, label)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Graph gives the target graph: what is requested with all its dependencies.
func Graph(full *graph.Graph, p *params.Parameters, targets []string) *graph.Graph {
	return full.Closure(Requested(full, p, targets))
}

// Labels writes labels one a line, as the command line prints them.
func Labels(labels []string) string { return strings.Join(labels, "\n") + "\n" }
