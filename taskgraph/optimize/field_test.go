package optimize_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/taskgraph/graph"
)

// removals is the field's own way to remove tasks (taskgraph-map 14.2), whose result may depend on the
// order in which tasks that do not depend on each other are looked at; rng chooses one. bad says that
// it ends with a task that depends on a removed one, which is an error there.
func removals(g *graph.Graph, asked, fixed, skipped map[string]bool, rng *rand.Rand) (removed map[string]bool, bad bool) {
	removed = map[string]bool{}
	candidate := map[string]bool{}
	for _, label := range anyPreorder(g, rng) {
		prune := map[string]bool{}
		needed := false
		for _, user := range g.Users(label) {
			ifs := g.Task(user).IfDependencies
			switch {
			case candidate[user] && (len(ifs) == 0 || slices.Contains(ifs, label)):
				prune[user] = true
			case !removed[user]:
				needed = true
			}
		}
		keep := func() {
			queue := slices.Collect(maps.Keys(prune))
			for len(queue) > 0 {
				l := queue[0]
				queue = queue[1:]
				if !candidate[l] || len(g.Task(l).IfDependencies) == 0 {
					continue
				}
				delete(candidate, l)
				for _, user := range g.Users(l) {
					if candidate[user] {
						queue = append(queue, user)
					}
				}
			}
		}
		remove := func() {
			if len(prune) > 0 {
				candidate[label] = true
			} else {
				removed[label] = true
			}
		}
		switch {
		case fixed[label] || needed:
			keep()
		case !asked[label] || skipped[label]:
			remove()
		case len(g.Task(label).IfDependencies) > 0:
			candidate[label] = true
		default:
			keep()
		}
	}
	left := slices.Collect(maps.Keys(candidate))
	rng.Shuffle(len(left), func(i, k int) { left[i], left[k] = left[k], left[i] })
	for _, label := range left {
		if !slices.ContainsFunc(g.Users(label), func(user string) bool { return !candidate[user] && !removed[user] }) {
			removed[label] = true
		}
	}
	for _, e := range g.Edges() {
		bad = bad || !removed[e.From] && removed[e.To]
	}
	return removed, bad
}

// anyPreorder is one of the orders in which dependents come first.
func anyPreorder(g *graph.Graph, rng *rand.Rand) []string {
	waiting := map[string]int{}
	var free, out []string
	for _, label := range g.Keys() {
		if waiting[label] = len(g.Users(label)); waiting[label] == 0 {
			free = append(free, label)
		}
	}
	for len(free) > 0 {
		i := rng.IntN(len(free))
		label := free[i]
		free = slices.Delete(free, i, i+1)
		out = append(out, label)
		for _, dep := range g.Needs(label) {
			if waiting[dep]--; waiting[dep] == 0 {
				free = append(free, dep)
			}
		}
	}
	return out
}

// TestRemovalIsAsInTheFieldWhereThatIsNoChance compares with the field's own way wherever all of many
// orders give one result there, and no error.
func TestRemovalIsAsInTheFieldWhereThatIsNoChance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := draw(t)
		w.params["existing_tasks"] = map[string]any{}
		full, err := graph.FromTasks(w.tasks)
		if err != nil {
			t.Fatal(err)
		}
		g := full.Closure(w.requested)
		asked, fixed, skipped := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, l := range w.requested {
			asked[l] = true
		}
		for _, l := range w.params["do_not_optimize"].([]any) {
			fixed[l.(string)] = true
		}
		for label, task := range g.All() {
			skipped[label] = task.Optimization != nil
		}
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 7))
		var want map[string]bool
		for range 60 {
			got, bad := removals(g, asked, fixed, skipped, rng)
			if bad || want != nil && !maps.Equal(got, want) {
				return // chance decides there
			}
			want = got
		}
		order := make([]int, len(w.tasks))
		for i := range order {
			order[i] = i
		}
		res := w.run(t, order)
		for _, label := range g.Keys() {
			if _, kept := res.LabelToTaskID[label]; kept == want[label] {
				t.Errorf("%s: kept %v, in the field %v\n%s", label, kept, !want[label], describe(g, asked, fixed))
			}
		}
	})
}

func describe(g *graph.Graph, asked, fixed map[string]bool) string {
	var b strings.Builder
	for label, task := range g.All() {
		fmt.Fprintf(&b, "%s: needs %v if %v skip %v asked %v fixed %v\n", label, slices.Sorted(maps.Values(task.Dependencies)), task.IfDependencies,
			task.Optimization != nil, asked[label], fixed[label])
	}
	return b.String()
}
