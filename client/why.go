package client

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

// Why says why a task does not run yet; servers other than Treeline cannot tell.
type Why struct {
	Status     task.Status `json:"status"`
	Sentence   string      `json:"sentence"`
	Unmet      []Unmet     `json:"unmet"`
	UnmetCount int         `json:"unmetCount"`
	Line       *Line       `json:"line,omitempty"` // of a pending task
}

// Unmet is a dependency that is not satisfied.
type Unmet struct {
	TaskID   string        `json:"taskId"`
	State    task.State    `json:"state,omitempty"` // "" when the task has expired
	Requires task.Requires `json:"requires"`
}

// Line is where a pending task stands, and who serves the line.
type Line struct {
	Place              int            `json:"place"` // 1 is next
	More               bool           `json:"more"`  // Place was not counted to its end
	Groups             []GroupAhead   `json:"groups"`
	PendingTasks       int            `json:"pendingTasks"`
	ClaimedTasks       int            `json:"claimedTasks"`
	Workers            []WorkerInLine `json:"workers"`
	BusyWorkers        int            `json:"busyWorkers"`
	IdleWorkers        int            `json:"idleWorkers"`
	QuarantinedWorkers int            `json:"quarantinedWorkers"`
}

// GroupAhead is a task group's part of what is before a task.
type GroupAhead struct {
	TaskGroupID string        `json:"taskGroupId"`
	Priority    task.Priority `json:"priority"`
	Weight      int           `json:"weight"`
	Tasks       int           `json:"tasks"`
}

// WorkerInLine is a worker that asked for the task queue's work lately.
type WorkerInLine struct {
	WorkerGroup string    `json:"workerGroup"`
	WorkerID    string    `json:"workerId"`
	LastActive  task.Time `json:"lastActive"`
	Claims      int       `json:"claims"`
	Quarantined bool      `json:"quarantined"`
}

// Why says why a task does not run yet.
func (c *Client) Why(ctx context.Context, taskID string) (Why, error) {
	var out Why
	err := c.Call(ctx, queueService, http.MethodGet, Path("task", taskID, "why"), nil, nil, &out)
	return out, err
}

type newPriority struct {
	NewPriority task.Priority `json:"newPriority"`
}

// ChangePriority gives an unresolved task another priority.
func (c *Client) ChangePriority(ctx context.Context, taskID string, to task.Priority) (task.Status, error) {
	return c.act(ctx, Path("task", taskID, "priority"), newPriority{to})
}

// Reprioritized is what a change of a group's priority did.
type Reprioritized struct {
	TaskGroupID   string        `json:"taskGroupId"`
	SchedulerID   string        `json:"schedulerId"`
	NewPriority   task.Priority `json:"newPriority"`
	TasksAffected int           `json:"tasksAffected"`
	TaskIDs       []string      `json:"taskIds"`
}

// ChangeGroupPriority gives every unresolved task of a group another priority.
func (c *Client) ChangeGroupPriority(ctx context.Context, groupID string, to task.Priority) (Reprioritized, error) {
	var out Reprioritized
	err := c.Call(ctx, queueService, http.MethodPost, Path("task-group", groupID, "priority"), nil, newPriority{to}, &out)
	return out, err
}

// WeighedGroup is a task group as it weighs now.
type WeighedGroup struct {
	TaskGroupID string `json:"taskGroupId"`
	SchedulerID string `json:"schedulerId"`
	Weight      int    `json:"weight"`
	TasksMoved  int    `json:"tasksMoved"`
}

// WeighGroup gives a group its weight, 1 to 100, against others of the same priority; servers other
// than Treeline cannot.
func (c *Client) WeighGroup(ctx context.Context, groupID string, weight int) (WeighedGroup, error) {
	in := struct {
		Weight int `json:"weight"`
	}{weight}
	var out WeighedGroup
	err := c.Call(ctx, queueService, http.MethodPut, Path("task-group", groupID, "weight"), nil, in, &out)
	return out, err
}
