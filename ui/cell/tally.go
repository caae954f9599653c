package cell

import (
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
)

// Tally is how many tasks are in a state.
type Tally struct {
	State string
	N     int
}

// TalliesOfCounts is Tallies for counts by the queue, which does not tell a cancelled task from
// another exception.
func TalliesOfCounts(counts map[task.State]int) []Tally {
	var out []Tally
	for _, s := range States() {
		from := task.State(s)
		if s == "passed" {
			from = task.Completed
		}
		if n := counts[from]; n > 0 {
			out = append(out, Tally{s, n})
		}
	}
	return out
}

// Summarize tells a push's state in a word.
func Summarize(state push.State, counts []Tally) (mark, word string) {
	n := map[string]int{}
	for _, t := range counts {
		n[t.State] = t.N
	}
	switch {
	case state == push.Failed:
		return "failed", "decision failed"
	case state == push.Ignored:
		return "cancelled", "nothing to do"
	case n["failed"]+n["exception"] > 0:
		return "failed", "failed"
	case len(counts) == 0 || state != push.Decided:
		return "running", "deciding"
	case n["running"]+n["pending"]+n["unscheduled"] > 0:
		return "running", "in progress"
	case n["cancelled"] > 0:
		return "cancelled", "cancelled"
	}
	return "passed", "passed"
}
