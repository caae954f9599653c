package client

import (
	"context"
	"iter"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

// Group is what is known of a task group.
type Group struct {
	TaskGroupID string             `json:"taskGroupId"`
	SchedulerID string             `json:"schedulerId"`
	Expires     task.Time          `json:"expires"`
	Sealed      *task.Time         `json:"sealed,omitempty"`
	Counts      map[task.State]int `json:"counts,omitempty"` // by state; only from Groups
}

// GroupTask is one task of a group.
type GroupTask struct {
	Task   task.Definition `json:"task"`
	Status task.Status     `json:"status"`
}

// Group returns a task group without its tasks.
func (c *Client) Group(ctx context.Context, groupID string) (Group, error) {
	var out Group
	err := c.Call(ctx, queueService, http.MethodGet, Path("task-group", groupID), nil, nil, &out)
	return out, err
}

type groupPage struct {
	Tasks             []GroupTask `json:"tasks"`
	Groups            []Group     `json:"groups"`
	ContinuationToken string      `json:"continuationToken"`
}

// GroupTasks yields the tasks of a group, page by page.
func (c *Client) GroupTasks(ctx context.Context, groupID string) iter.Seq2[GroupTask, error] {
	return pages(ctx, c, queueService, Path("task-group", groupID, "list"), nil,
		func(p *groupPage) []GroupTask { return p.Tasks }, func(p *groupPage) string { return p.ContinuationToken })
}

// Groups yields all task groups with their counts, newest first: Treeline's addition to the API.
func (c *Client) Groups(ctx context.Context) iter.Seq2[Group, error] {
	return pages(ctx, c, queueService, "/task-groups", nil,
		func(p *groupPage) []Group { return p.Groups }, func(p *groupPage) string { return p.ContinuationToken })
}

// Dependents yields the tasks that depend on a task.
func (c *Client) Dependents(ctx context.Context, taskID string) iter.Seq2[GroupTask, error] {
	return pages(ctx, c, queueService, Path("task", taskID, "dependents"), nil,
		func(p *groupPage) []GroupTask { return p.Tasks }, func(p *groupPage) string { return p.ContinuationToken })
}

// SealGroup forbids new tasks in a group.
func (c *Client) SealGroup(ctx context.Context, groupID string) (Group, error) {
	var out Group
	err := c.Call(ctx, queueService, http.MethodPost, Path("task-group", groupID, "seal"), nil, nil, &out)
	return out, err
}

// CanceledGroup is what cancelling a group did.
type CanceledGroup struct {
	TaskGroupID    string   `json:"taskGroupId"`
	TaskGroupSize  int      `json:"taskGroupSize"`
	CancelledCount int      `json:"cancelledCount"`
	TaskIDs        []string `json:"taskIds"`
}

// CancelGroup cancels every unresolved task of a sealed group.
func (c *Client) CancelGroup(ctx context.Context, groupID string) (CanceledGroup, error) {
	var out CanceledGroup
	err := c.Call(ctx, queueService, http.MethodPost, Path("task-group", groupID, "cancel"), nil, nil, &out)
	return out, err
}

// QueueCounts says how busy a task queue is.
type QueueCounts struct {
	TaskQueueID  string `json:"taskQueueId"`
	PendingTasks int    `json:"pendingTasks"`
	ClaimedTasks int    `json:"claimedTasks"`
}

// QueueCounts returns how many tasks of a task queue wait and run.
func (c *Client) QueueCounts(ctx context.Context, taskQueueID string) (QueueCounts, error) {
	var out QueueCounts
	err := c.Call(ctx, queueService, http.MethodGet, Path("task-queues", taskQueueID, "counts"), nil, nil, &out)
	return out, err
}
