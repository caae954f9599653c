package path_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/treeline-ci/treeline/ui/groups/path"
)

// chains returns every chain of tasks of which each needs the one before, by trying all.
func chains(tasks []path.Task) (out [][]path.Task) {
	known := map[string]path.Task{}
	for _, t := range tasks {
		known[t.ID] = t
	}
	var grow func(chain []path.Task)
	grow = func(chain []path.Task) {
		out = append(out, chain)
		for _, id := range chain[0].Needs {
			if before, ok := known[id]; ok {
				grow(append([]path.Task{before}, chain...))
			}
		}
	}
	for _, t := range tasks {
		grow([]path.Task{t})
	}
	return out
}

func takes(chain []path.Task) (sum time.Duration) {
	for _, t := range chain {
		sum += t.Takes
	}
	return sum
}

// better reports whether a chain is to be told rather than another: it takes longer, or from its end back has smaller ids.
func better(a, b []path.Task) bool {
	if takes(a) != takes(b) {
		return takes(a) > takes(b)
	}
	for i := 1; i <= min(len(a), len(b)); i++ {
		if x, y := a[len(a)-i].ID, b[len(b)-i].ID; x != y {
			return x < y
		}
	}
	return len(a) > len(b)
}

// TestCriticalPathEqualsBruteForce is check GR3, on many random graphs.
func TestCriticalPathEqualsBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "tasks")
		order := rapid.Permutation(ids(n)).Draw(t, "ids")
		tasks := make([]path.Task, n)
		for i := range tasks {
			tasks[i] = path.Task{ID: order[i], Takes: time.Duration(rapid.IntRange(0, 9).Draw(t, "takes")) * time.Second}
			for j := range i {
				if rapid.IntRange(0, 3).Draw(t, "needs") == 0 {
					tasks[i].Needs = append(tasks[i].Needs, order[j])
				}
			}
		}
		all := chains(tasks)
		best := all[0]
		slack := map[string]time.Duration{}
		for _, chain := range all {
			if better(chain, best) {
				best = chain
			}
		}
		for _, task := range tasks {
			longest := time.Duration(0)
			for _, chain := range all {
				for _, in := range chain {
					if in.ID == task.ID {
						longest = max(longest, takes(chain))
					}
				}
			}
			slack[task.ID] = takes(best) - longest
		}
		want := path.Result{Takes: takes(best), Slack: slack}
		for _, task := range best {
			want.Path = append(want.Path, task.ID)
		}
		got := path.Critical(tasks)
		want.Levels = got.Levels
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func ids(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("t%02d", i)
	}
	return out
}

func TestOddGraphs(t *testing.T) {
	if got := path.Critical(nil); len(got.Path) != 0 || got.Takes != 0 {
		t.Errorf("without tasks: %+v", got)
	}
	circle := []path.Task{
		{ID: "a", Needs: []string{"c", "gone"}, Takes: 1}, {ID: "b", Needs: []string{"a", "a"}, Takes: 2}, {ID: "c", Needs: []string{"b"}, Takes: 3}, {ID: "d", Takes: 4},
	}
	if got := path.Critical(circle); got.Takes != 4 || got.Path[0] != "d" {
		t.Errorf("with a circle: %+v", got)
	}
}

// BenchmarkCritical looks at 30,000 tasks with 5 needs each.
func BenchmarkCritical(b *testing.B) {
	list := ids(30_000)
	tasks := make([]path.Task, len(list))
	for i := range tasks {
		tasks[i] = path.Task{ID: list[i], Takes: time.Duration(i%97) * time.Second}
		for j := max(0, i-300); j < i && len(tasks[i].Needs) < 5; j += 60 {
			tasks[i].Needs = append(tasks[i].Needs, list[j])
		}
	}
	for b.Loop() {
		path.Critical(tasks)
	}
}
