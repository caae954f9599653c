package target_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/graph"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/taskgraph/target"
)

// The target graph holds what is requested and all it depends on, nothing else, in whatever order
// the tasks come.
func TestTheTargetGraphIsTheClosureOfWhatIsRequested(t *testing.T) {
	p, err := params.FromMap(map[string]any{"project": "x", "enable_always_target": []any{"image"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		var tasks []*graph.Task
		needs := map[string][]string{}
		for i := range rapid.IntRange(1, 20).Draw(t, "tasks") {
			task := &graph.Task{Label: fmt.Sprintf("t%02d", i), Kind: rapid.SampledFrom([]string{"image", "build"}).Draw(t, "kind"), Dependencies: map[string]string{},
				Attributes: map[string]any{
					"run_on_projects": []any{rapid.SampledFrom([]string{"all", "x", "y"}).Draw(t, "project")},
					"always_target":   rapid.Bool().Draw(t, "always"),
				}}
			for k := range i {
				if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
					dep := fmt.Sprintf("t%02d", k)
					task.Dependencies[dep] = dep
					needs[task.Label] = append(needs[task.Label], dep)
				}
			}
			tasks = append(tasks, task)
		}
		targets, keys := selected(t, tasks, p)
		want := map[string]bool{}
		var visit func(label string)
		visit = func(label string) {
			want[label] = true
			for _, dep := range needs[label] {
				visit(dep)
			}
		}
		for _, task := range tasks {
			on := task.Attributes["run_on_projects"].([]any)[0] != "y"
			if on || task.Attributes["always_target"] == true && task.Kind == "image" {
				visit(task.Label)
			}
		}
		got := map[string]bool{}
		for _, k := range keys {
			got[k] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("target graph: %s", diff)
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		rng.Shuffle(len(tasks), func(i, k int) { tasks[i], tasks[k] = tasks[k], tasks[i] })
		targets2, keys2 := selected(t, tasks, p)
		if diff := cmp.Diff([][]string{targets, keys}, [][]string{targets2, keys2}); diff != "" {
			t.Errorf("the order of tasks matters: %s", diff)
		}
	})
}

func selected(t *rapid.T, tasks []*graph.Task, p *params.Parameters) (targets, keys []string) {
	full, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	if targets, err = target.Select(t.Context(), target.Input{Full: full, Params: p}); err != nil {
		t.Fatal(err)
	}
	return targets, target.Graph(full, p, targets).Keys()
}
