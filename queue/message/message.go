// Package message has the bodies of the queue's events, with the fields of the peer's messages
// (taskcluster-map appendix C).
package message

import (
	"encoding/json"

	"github.com/treeline-ci/treeline/task"
)

// Version is the version of all bodies.
const Version = 1

// Task is what an event of a task carries.
type Task struct {
	Status      *task.Status  `json:"status"`
	RunID       *int          `json:"runId,omitempty"`
	WorkerGroup string        `json:"workerGroup,omitempty"`
	WorkerID    string        `json:"workerId,omitempty"`
	TakenUntil  *task.Time    `json:"takenUntil,omitempty"`
	Task        *Tagged       `json:"task,omitempty"`
	Artifact    *Artifact     `json:"artifact,omitempty"`
	OldPriority task.Priority `json:"oldPriority,omitempty"`
	NewPriority task.Priority `json:"newPriority,omitempty"`
	Version     int           `json:"version"`
}

// Tagged is what is told of a task's definition.
type Tagged struct {
	Tags json.RawMessage `json:"tags"`
}

// Artifact is what is told of an artifact that was created.
type Artifact struct {
	StorageType string    `json:"storageType"`
	Name        string    `json:"name"`
	Expires     task.Time `json:"expires"`
	ContentType string    `json:"contentType"`
}

// Group is what an event of a task group carries.
type Group struct {
	TaskGroupID string     `json:"taskGroupId"`
	SchedulerID string     `json:"schedulerId"`
	Expires     task.Time  `json:"expires"`
	Sealed      *task.Time `json:"sealed,omitempty"`
	Version     int        `json:"version"`
}

// GroupPriority is what the event of a change to a whole group's priority carries.
type GroupPriority struct {
	TaskGroupID   string        `json:"taskGroupId"`
	SchedulerID   string        `json:"schedulerId"`
	NewPriority   task.Priority `json:"newPriority"`
	TasksAffected int           `json:"tasksAffected"`
	Version       int           `json:"version"`
}
