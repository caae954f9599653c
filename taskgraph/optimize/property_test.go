package optimize_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
	"github.com/treeline-ci/treeline/taskgraph/params"
)

// world is a random graph with everything that decides about its tasks.
type world struct {
	tasks     []*graph.Task
	requested []string
	params    map[string]any
}

func draw(t *rapid.T) world {
	var w world
	n := rapid.IntRange(1, 14).Draw(t, "tasks")
	existing, fixed := map[string]any{}, []any{}
	for i := range n {
		task := &graph.Task{Label: fmt.Sprintf("t%02d", i), Kind: "k", Dependencies: map[string]string{}, Definition: map[string]any{}}
		for k := range i {
			dep := fmt.Sprintf("t%02d", k)
			switch rapid.IntRange(0, 6).Draw(t, "edge") {
			case 0, 1:
				task.Dependencies[dep] = dep
			case 2:
				task.Dependencies[dep] = dep
				task.IfDependencies = append(task.IfDependencies, dep)
			case 3:
				task.SoftDependencies = append(task.SoftDependencies, dep)
			}
		}
		switch rapid.IntRange(0, 3).Draw(t, "strategy") {
		case 0, 1:
			task.Optimization = map[string]any{"always": nil}
		}
		switch rapid.IntRange(0, 9).Draw(t, "special") {
		case 0:
			existing[task.Label] = "E-" + task.Label
		case 1:
			fixed = append(fixed, task.Label)
		}
		if rapid.IntRange(0, 3).Draw(t, "requested") > 0 {
			w.requested = append(w.requested, task.Label)
		}
		w.tasks = append(w.tasks, task)
	}
	w.params = map[string]any{"existing_tasks": existing, "do_not_optimize": fixed}
	return w
}

func (w world) run(t *rapid.T, order []int) *optimize.Result {
	tasks := make([]*graph.Task, len(order))
	for i, k := range order {
		tasks[i] = w.tasks[k]
	}
	full, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	p, err := params.FromMap(w.params, false)
	if err != nil {
		t.Fatal(err)
	}
	res, err := optimize.Run(t.Context(), optimize.Input{Target: full.Closure(w.requested), Requested: w.requested, Targets: w.requested, Params: p,
		NewID: func(l string) string { return "id-" + l }})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		order := make([]int, len(w.tasks))
		for i := range order {
			order[i] = i
		}
		res := w.run(t, order)
		byLabel := map[string]*graph.Task{}
		for _, task := range w.tasks {
			byLabel[task.Label] = task
		}
		keptLabels := map[string]bool{}
		for id, task := range res.Graph.All() {
			keptLabels[task.Label] = true
			if res.LabelToTaskID[task.Label] != id {
				t.Errorf("%s has the id %s in the graph and %s in the table", task.Label, id, res.LabelToTaskID[task.Label])
			}
			for name, label := range byLabel[task.Label].Dependencies {
				if to := task.Dependencies[name]; to == "" || to != res.LabelToTaskID[label] {
					t.Errorf("%s lost its dependency %s: %q", task.Label, label, to)
				}
			}
		}
		for _, l := range w.params["do_not_optimize"].([]any) {
			if !keptLabels[l.(string)] && contains(w.requested, l.(string)) {
				t.Errorf("%s may not be optimized but is gone", l)
			}
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		rng.Shuffle(len(order), func(i, k int) { order[i], order[k] = order[k], order[i] })
		again := w.run(t, order)
		a, err := res.Graph.MarshalIndent()
		if err != nil {
			t.Fatal(err)
		}
		b, err := again.Graph.MarshalIndent()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(a), string(b)); diff != "" {
			t.Errorf("the order of tasks matters: %s", diff)
		}
		if diff := cmp.Diff(res.LabelToTaskID, again.LabelToTaskID); diff != "" {
			t.Errorf("the order of tasks matters: %s", diff)
		}
	})
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// BenchmarkRun optimizes 20,000 tasks in chains of 10, half of them skipped unless changed.
func BenchmarkRun(b *testing.B) {
	var tasks []*graph.Task
	var files []any
	for i := range 200 {
		files = append(files, fmt.Sprintf("src/mod%04d/a.py", i))
	}
	for i := range 20_000 {
		t := &graph.Task{Label: fmt.Sprintf("t%05d", i), Kind: "k", Definition: map[string]any{"payload": map[string]any{"command": []any{"a", map[string]any{"task-reference": "<self>"}}}}}
		if i%10 > 0 {
			t.Dependencies = map[string]string{"up": fmt.Sprintf("t%05d", i-1)}
		}
		if i%2 == 0 {
			t.Optimization = map[string]any{"skip-unless-changed": []any{fmt.Sprintf("src/mod%04d/**", i), "tools/**"}}
		}
		tasks = append(tasks, t)
	}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		b.Fatal(err)
	}
	in := input(b, g, map[string]any{"files_changed": files})
	for b.Loop() {
		if _, err := optimize.Run(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
