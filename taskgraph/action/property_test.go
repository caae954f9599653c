package action_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// Whatever graph, whatever ran of it and whatever is asked for: what is created is what was asked for,
// as often as it was, and what that needs and never ran, once, with what stands between the two; and
// nothing waits for a task that is neither created nor ran.
func TestCreatedIsWhatIsAskedForAndWhatItNeeds(t *testing.T) {
	files := tree("")
	cfg := load(t, files)
	p := parameters(t, nil)
	rapid.Check(t, func(t *rapid.T) {
		var tasks []*graph.Task
		ran := map[string]string{}
		needs := map[string][]string{}
		for i := range rapid.IntRange(1, 15).Draw(t, "tasks") {
			label := fmt.Sprintf("t%02d", i)
			var deps []string
			for k := range i {
				if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
					deps = append(deps, fmt.Sprintf("t%02d", k))
				}
			}
			needs[label] = deps
			tasks = append(tasks, node("k", label, nil, deps...))
			if rapid.Bool().Draw(t, "ran") {
				ran[label] = "ran-" + label
			}
		}
		full, err := graph.FromTasks(tasks)
		if err != nil {
			t.Fatal(err)
		}
		asked := rapid.SliceOfNDistinct(rapid.SampledFrom(full.Keys()), 1, full.Len(), rapid.ID).Draw(t, "asked")
		times := rapid.IntRange(1, 3).Draw(t, "times")
		input := make([]any, len(asked))
		for i, l := range asked {
			input[i] = l
		}
		call := action.Call{
			ActionTaskID: actionID, TaskGroupID: group, Input: dict{"tasks": input, "times": int64(times)}, Config: cfg, Now: now,
			Push: action.Push{DecisionTaskID: group, Parameters: p, Full: full, LabelToTaskID: ran},
		}
		got, err := action.Builtin().Run(t.Context(), "add-new-jobs", call)
		if err != nil {
			t.Fatal(err)
		}

		// A task that ran is made again only when something that it needs is.
		want := map[string]int{}
		var count func(label string) int
		count = func(label string) int {
			n := 0
			for _, dep := range needs[label] {
				n = max(n, count(dep))
			}
			switch {
			case slices.Contains(asked, label):
				n = times
			case ran[label] == "":
				n = max(n, 1)
			}
			if n > 0 {
				want[label] = n
			}
			return n
		}
		for _, label := range asked {
			count(label)
		}
		made, known := map[string]int{}, map[string]bool{actionID: true, group: true}
		for _, id := range ran {
			known[id] = true
		}
		for _, n := range got.Tasks {
			made[n.Label]++
			for _, d := range n.Definition["dependencies"].([]any) {
				if !known[d.(string)] {
					t.Fatalf("%s waits for %v, which is neither there nor created before it", n.Label, d)
				}
			}
			if known[n.TaskID] {
				t.Fatalf("%s has the id of another task", n.Label)
			}
			known[n.TaskID] = true
		}
		if diff := cmp.Diff(want, made); diff != "" {
			t.Fatal(diff)
		}
	})
}
