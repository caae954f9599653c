package trycmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/taskgraph"
	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/tryconfig"
)

// shown is the graph that a push would make, with --json in this form.
type shown struct {
	Message string          `json:"message"`
	Config  json.RawMessage `json:"config,omitempty"`
	Counts  counts          `json:"counts"`
	Size    diff.Size       `json:"estimate"`
	Tasks   []shownTask     `json:"tasks"`
}

// counts say what became of the tasks.
type counts struct {
	All       int `json:"all"`
	Selected  int `json:"selected"`
	WithNeeds int `json:"withNeeds"`
	Optimized int `json:"optimizedAway"` // or replaced by tasks that ran already
	Created   int `json:"created"`
}

// shownTask is a task that would be created.
type shownTask struct {
	Label    string   `json:"label"`
	Kind     string   `json:"kind"`
	Selected bool     `json:"selected"`
	Copies   int      `json:"copies,omitempty"` // how often it would run, if more than once
	Needs    []string `json:"needs"`            // labels of tasks that would be created
}

// showGraph makes the graph of a push, as the server would from the same parameters.
func (a *attempt) showGraph(ctx context.Context, w wanted) error {
	p, err := a.parameters(ctx)
	if err != nil {
		return err
	}
	hooks, err := taskgraph.ReadHooks(ctx, a.Tree(), a.Root(), func(string) {})
	if err != nil {
		return err
	}
	asked, err := taskgraph.ReadTry(w.file, tryconfig.Name, w.message, hooks.Own())
	if err != nil {
		return err
	}
	for _, note := range asked.Notes {
		a.Screen().Warning(note.Error())
	}
	if p, err = p.Merge(asked.Values); err != nil {
		return err
	}
	res, err := a.Generate(ctx, p, taskgraph.Morphed)
	if err != nil {
		return err
	}
	durations, err := a.Durations(ctx, p)
	if err != nil {
		return err
	}
	empty, err := graph.New(nil, nil)
	if err != nil {
		return err
	}
	s := shown{Message: w.message, Config: w.file, Size: diff.Compare(empty, res.Morphed, durations).Head, Tasks: tasksOf(res)}
	s.Counts = counts{All: res.Full.Len(), Selected: len(res.TargetSet), WithNeeds: res.Target.Len(), Optimized: res.Target.Len() - res.Optimized.Len(), Created: res.Morphed.Len()}
	if a.json {
		enc := json.NewEncoder(a.Out())
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return a.printGraph(s)
}

// tasksOf are the tasks to be created, by label.
func tasksOf(res *taskgraph.Result) []shownTask {
	selected := map[string]bool{}
	for _, label := range res.TargetSet {
		selected[label] = true
	}
	var out []shownTask
	for key, t := range res.Morphed.All() {
		s := shownTask{Label: t.Label, Kind: t.Kind, Selected: selected[t.Label], Needs: []string{}}
		for _, need := range res.Morphed.Needs(key) {
			s.Needs = append(s.Needs, res.Morphed.Task(need).Label)
		}
		slices.Sort(s.Needs)
		if n, ok := t.Attribute("task_duplicates").(int64); ok && n > 1 {
			s.Copies = int(n)
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y shownTask) int { return strings.Compare(x.Label, y.Label) })
	return out
}

// printGraph writes the graph for people: by kind, what was not picked in faint letters.
func (a *attempt) printGraph(s shown) error {
	byKind := map[string][]shownTask{}
	for _, t := range s.Tasks {
		byKind[t.Kind] = append(byKind[t.Kind], t)
	}
	var b strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		fmt.Fprintf(&b, "%s (%d)\n", kind, len(byKind[kind]))
		for _, t := range byKind[kind] {
			line := "  " + t.Label
			if t.Copies > 1 {
				line += fmt.Sprintf(" ×%d", t.Copies)
			}
			if !t.Selected {
				line += " (needed)"
			}
			if len(t.Needs) > 0 {
				line += " ← " + strings.Join(t.Needs, ", ")
			}
			fmt.Fprintln(&b, line)
		}
	}
	fmt.Fprintf(&b, "\n%s would be created: %d picked of %d in all, %d with what they need, %d optimized away or done before\n",
		plural(s.Counts.Created, "task"), s.Counts.Selected, s.Counts.All, s.Counts.WithNeeds, s.Counts.Optimized)
	fmt.Fprintf(&b, "estimate: %v of machine time, %v from start to end", s.Size.Time, s.Size.Longest)
	switch {
	case s.Size.Measured == 0 && s.Size.Limited > 0:
		fmt.Fprint(&b, ", at most (by max-run-time; --history knows how long they usually take)")
	case s.Size.Measured < s.Size.Tasks:
		fmt.Fprintf(&b, " (%d of %d tasks measured)", s.Size.Measured, s.Size.Tasks)
	}
	fmt.Fprintf(&b, "\n\n%s\n", s.Message)
	if s.Config != nil {
		fmt.Fprintf(&b, "\n%s:\n%s\n", tryconfig.Name, strings.TrimRight(string(s.Config), "\n"))
	}
	_, err := fmt.Fprint(a.Out(), b.String())
	return err
}
