package queue

import "github.com/treeline-ci/treeline/queue/told"

// Observer is told of what this Queue did to tasks.
type Observer = told.Observer

// note keeps what a record tells for after the commit.
func (c *change) note(r *record) {
	for _, n := range r.notices {
		e := told.Event{Kind: n.kind, Task: r.TaskID, Group: r.TaskGroupID, Queue: r.TaskQueueID}
		if n.runID < len(r.Runs) && n.kind != kindDefined && n.kind != kindPriority {
			run := r.Runs[n.runID]
			e.Run = &run
		}
		c.happened = append(c.happened, e)
	}
}
