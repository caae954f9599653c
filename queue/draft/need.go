package draft

import (
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// Need says how a new task stands towards what it depends on.
type Need struct {
	Ready     bool   // it waits for nothing
	Satisfied []bool // for each dependency
}

// Judge says what the task's dependencies mean for it. Inside are the ids of its batch; there returns
// the status of a task that exists already, nil for any other. Those must not expire before the
// task's deadline.
func Judge(t Task, inside map[string]bool, there func(id string) *task.Status) (Need, error) {
	d := t.Definition
	n := Need{Ready: true, Satisfied: make([]bool, len(d.Dependencies))}
	var missing, short []string
	for i, id := range d.Dependencies {
		if inside[id] {
			// New itself, so unresolved. A task that depends on itself waits for scheduleTask.
		} else if s := there(id); s == nil {
			missing = append(missing, id)
		} else if s.Expires.Before(d.Deadline.Time) {
			short = append(short, id)
		} else {
			n.Satisfied[i] = d.Requires.Met(s.State)
		}
		n.Ready = n.Ready && n.Satisfied[i]
	}
	if len(missing) > 0 {
		return n, fault.New(fault.Invalid, "Task %s depends on tasks that do not exist: %s. Create them first, or in the same batch.", t.ID, Some(missing))
	}
	if len(short) > 0 {
		return n, fault.New(fault.Invalid, "Task %s depends on tasks that expire before its deadline %s: %s", t.ID, d.Deadline, Some(short))
	}
	return n, nil
}
