package diff_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/diff"
	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// randomGraph draws a graph of a few tasks that depend on earlier ones only.
func randomGraph(t *rapid.T, name string) *graph.Graph {
	var tasks []*graph.Task
	for i := range 8 {
		if !rapid.Bool().Draw(t, name+" has") {
			continue
		}
		var deps []string
		for _, other := range tasks {
			if rapid.IntRange(0, 3).Draw(t, name+" needs") == 0 {
				deps = append(deps, other.Label)
			}
		}
		task := taskOf(fmt.Sprintf("t%d", i), rapid.IntRange(0, 3).Draw(t, name+" takes"), deps, rapid.SliceOfN(rapid.SampledFrom([]string{"a", "a:*", "a:b", "*"}), 0, 2).Draw(t, name+" scopes")...)
		tasks = append(tasks, image(task, rapid.SampledFrom([]string{"x", "y"}).Draw(t, name+" image")))
	}
	g, err := graph.FromTasks(tasks)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestDifferencesAreWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := randomGraph(t, "a"), randomGraph(t, "b")
		there, back := diff.Compare(a, b, nil), diff.Compare(b, a, nil)
		if !diff.Compare(a, a, nil).Empty() {
			t.Fatal("a graph differs from itself")
		}
		if d := cmp.Diff(there.Added, back.Removed); d != "" {
			t.Fatal(d)
		}
		if there.ChangedTasks() != back.ChangedTasks() || there.Head.Longest != back.Base.Longest {
			t.Fatal("there is not back")
		}
		// Every task of both graphs is the same, or is told exactly once.
		for _, label := range slices.Concat(a.Keys(), b.Keys()) {
			told := 0
			for _, list := range append([][]string{there.Added, there.Removed}, labelsOf(there.Changed)...) {
				if slices.Contains(list, label) {
					told++
				}
			}
			same := a.Has(label) && b.Has(label) && cmp.Equal(a.Task(label).JSON(), b.Task(label).JSON())
			if same == (told > 0) || told > 1 {
				t.Fatalf("%s is the same: %v, and told %d times", label, same, told)
			}
		}
		if there.Head.Longest > there.Head.Time || len(there.Head.Path) > b.Len() || len(there.Head.Path) == 0 && b.Len() > 0 {
			t.Fatalf("%+v", there.Head)
		}
	})
}

func labelsOf(groups []diff.Group) [][]string {
	var out [][]string
	for _, g := range groups {
		out = append(out, g.Labels)
	}
	return out
}
