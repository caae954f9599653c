package queue

import (
	"encoding/json"
	"fmt"
	"slices"

	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/queue/message"
	"github.com/treeline-ci/treeline/task"
)

// tell gathers an event for each notice of the record. They show the status with all changes of this
// transaction; only task-defined shows the task before its first run.
func (c *change) tell(r *record) {
	c.note(r)
	for _, n := range r.notices {
		b := message.Task{Version: message.Version, Task: &message.Tagged{Tags: rawObject(r.tags)}}
		if n.kind == kindDefined {
			before := r.Status
			before.State, before.Runs = task.Unscheduled, []task.Run{}
			b.Status = &before
			c.add(r, n.kind, nil, b)
			continue
		}
		status := r.Status
		status.Runs = slices.Clone(r.Runs)
		b.Status = &status
		if n.kind == kindPriority {
			b.Task, b.OldPriority, b.NewPriority = nil, n.was, r.Priority
			c.add(r, n.kind, nil, b)
			continue
		}
		run := status.Runs[n.runID]
		b.WorkerGroup, b.WorkerID = run.WorkerGroup, run.WorkerID
		if n.kind == kindRunning {
			b.TakenUntil = run.TakenUntil
		}
		c.add(r, n.kind, &n.runID, b)
	}
}

func (c *change) add(r *record, kind string, run *int, b message.Task) {
	b.RunID = run
	c.events = append(c.events, event.Event{
		Kind: kind, TaskID: r.TaskID, TaskGroupID: r.TaskGroupID, RunID: run, Routes: r.routes, Payload: c.encode(b),
	})
}

func (c *change) addGroup(kind string, g Group) {
	c.addGroupBody(kind, g.TaskGroupID, message.Group{
		TaskGroupID: g.TaskGroupID, SchedulerID: g.SchedulerID, Expires: g.Expires, Sealed: g.Sealed, Version: message.Version,
	})
}

func (c *change) addGroupBody(kind, id string, body any) {
	c.events = append(c.events, event.Event{Kind: kind, TaskGroupID: id, Payload: c.encode(body)})
}

// encode marshals the body of an event; an error fails the transaction in finish.
func (c *change) encode(v any) json.RawMessage {
	data, err := jsonv1.Marshal(v)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("queue: body of an event: %w", err)
	}
	return data
}
