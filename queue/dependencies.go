package queue

import (
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

// needs says how the new tasks stand towards what they depend on. What is outside of their call must exist
// and must not expire before the task's deadline. The locks taken by lookAround make sure that each of
// them is either seen as resolved, or its resolution will see the new task (see the package comment).
func (b *creation) needs(s around, fresh []int) []draft.Need {
	var (
		out    = make([]draft.Need, len(fresh))
		inside map[string]bool // the ids of one call's new tasks
		call   = -1
		there  = func(id string) *task.Status { return s.standings[id] }
	)
	for k, i := range fresh {
		if len(b.tasks[i].Definition.Dependencies) == 0 {
			out[k] = draft.Need{Ready: true}
			continue
		}
		if b.calls[i] != call {
			call, inside = b.calls[i], map[string]bool{}
			for j := k; j < len(fresh) && b.calls[fresh[j]] == call; j++ {
				inside[b.tasks[fresh[j]].ID] = true
			}
			for j := k - 1; j >= 0 && b.calls[fresh[j]] == call; j-- {
				inside[b.tasks[fresh[j]].ID] = true
			}
		}
		n, err := draft.Judge(b.tasks[i], inside, there)
		if err != nil {
			b.refuse(i, err)
		}
		out[k] = n
	}
	return out
}
