package graph_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// TestASubgraphIsAsIfMadeOfItsTasks compares parts of random graphs, and closures, with graphs that are
// made of the same tasks and the edges between them.
func TestASubgraphIsAsIfMadeOfItsTasks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "tasks")
		tasks := make([]*graph.Task, n)
		var keys []string
		for i := range tasks {
			tasks[i] = &graph.Task{Label: fmt.Sprintf("t%02d", i), Dependencies: map[string]string{}}
			for j := range i {
				if rapid.IntRange(0, 3).Draw(t, "edge") == 0 {
					tasks[i].Dependencies[fmt.Sprint("e", j)] = tasks[j].Label
				}
			}
			if rapid.Bool().Draw(t, "in") {
				keys = append(keys, tasks[i].Label)
			}
		}
		g, err := graph.FromTasks(tasks)
		if err != nil {
			t.Fatal(err)
		}
		closure := slices.Clone(keys)
		for i := 0; i < len(closure); i++ {
			for _, need := range g.Needs(closure[i]) {
				if !slices.Contains(closure, need) {
					closure = append(closure, need)
				}
			}
		}
		for name, c := range map[string]struct {
			got  *graph.Graph
			keys []string
		}{"part": {g.Subgraph(append(keys, "nobody")), keys}, "closure": {g.Closure(append(keys, "nobody")), closure}} {
			in := map[string]*graph.Task{}
			var edges []graph.Edge
			for _, key := range c.keys {
				in[key] = g.Task(key)
			}
			for _, e := range g.Edges() {
				if in[e.From] != nil && in[e.To] != nil {
					edges = append(edges, e)
				}
			}
			want, err := graph.New(in, edges)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(shape(want), shape(c.got)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	})
}

// shape is all that a graph tells.
func shape(g *graph.Graph) any {
	var out []any
	for i, key := range g.Keys() {
		out = append(out, key, g.Position(key) == i, g.At(i) == g.Task(key), append([]string{}, g.Needs(key)...), append([]string{}, g.Users(key)...),
			append([]int32{}, g.NeedsAt(i)...), append([]int32{}, g.UsersAt(i)...))
	}
	return append(out, append([]graph.Edge{}, g.Edges()...))
}
