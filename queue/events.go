package queue

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/task"
)

// body is what an event of a task carries, with the fields of the peer's messages (taskcluster-map
// appendix C).
type body struct {
	Status      *task.Status  `json:"status"`
	RunID       *int          `json:"runId,omitempty"`
	WorkerGroup string        `json:"workerGroup,omitempty"`
	WorkerID    string        `json:"workerId,omitempty"`
	TakenUntil  *task.Time    `json:"takenUntil,omitempty"`
	Task        *bodyTask     `json:"task,omitempty"`
	Artifact    *bodyArtifact `json:"artifact,omitempty"`
	OldPriority task.Priority `json:"oldPriority,omitempty"`
	NewPriority task.Priority `json:"newPriority,omitempty"`
	Version     int           `json:"version"`
}

type bodyTask struct {
	Tags json.RawMessage `json:"tags"`
}

type bodyArtifact struct {
	StorageType StorageType `json:"storageType"`
	Name        string      `json:"name"`
	Expires     task.Time   `json:"expires"`
	ContentType string      `json:"contentType"`
}

// tell gathers an event for each notice of the record. They show the status with all changes of this
// transaction; only task-defined shows the task before its first run.
func (c *change) tell(r *record) {
	for _, n := range r.notices {
		b := body{Version: 1, Task: &bodyTask{Tags: rawObject(r.tags)}}
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
		run := status.Runs[n.runID]
		b.WorkerGroup, b.WorkerID = run.WorkerGroup, run.WorkerID
		if n.kind == kindRunning {
			b.TakenUntil = run.TakenUntil
		}
		c.add(r, n.kind, &n.runID, b)
	}
}

func (c *change) add(r *record, kind string, run *int, b body) {
	b.RunID = run
	c.events = append(c.events, event.Event{
		Kind: kind, TaskID: r.TaskID, TaskGroupID: r.TaskGroupID, RunID: run, Routes: r.routes, Payload: c.encode(b),
	})
}

// groupBody is what an event of a task group carries.
type groupBody struct {
	TaskGroupID string     `json:"taskGroupId"`
	SchedulerID string     `json:"schedulerId"`
	Expires     task.Time  `json:"expires"`
	Sealed      *task.Time `json:"sealed,omitempty"`
	Version     int        `json:"version"`
}

func (c *change) addGroup(kind string, g Group) {
	c.events = append(c.events, event.Event{
		Kind: kind, TaskGroupID: g.TaskGroupID,
		Payload: c.encode(groupBody{g.TaskGroupID, g.SchedulerID, g.Expires, g.Sealed, 1}),
	})
}

// encode marshals the body of an event; an error fails the transaction in finish.
func (c *change) encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("queue: body of an event: %w", err)
	}
	return data
}
