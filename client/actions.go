package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/treeline-ci/treeline/task"
)

// Action is what may be done with a task or a task group.
type Action struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"` // Markdown
	Kind        string         `json:"kind"`        // hook or task
	OnGroup     bool           `json:"onGroup"`
	Schema      map[string]any `json:"schema,omitempty"` // of the input; without it there is none
	Permission  string         `json:"permission"`
	HookGroupID string         `json:"hookGroupId,omitempty"`
	HookID      string         `json:"hookId,omitempty"`
	Allowed     bool           `json:"allowed"` // to these credentials
	Why         string         `json:"why,omitempty"`
	Missing     []string       `json:"missing,omitempty"` // scopes
}

// ActionStart is what an action is started with.
type ActionStart struct {
	TaskID string `json:"taskId,omitempty"` // "" for an action on the group
	Input  any    `json:"input,omitempty"`
	Key    string `json:"key,omitempty"` // the same from the same client starts it once
	By     string `json:"by,omitempty"`  // on whose behalf, for people
}

// StartedAction is an action task.
type StartedAction struct {
	TaskID string      `json:"taskId"`
	Status task.Status `json:"status"`
}

// Actions lists what may be done with a task of a group, or with taskID "" with the group.
func (c *Client) Actions(ctx context.Context, groupID, taskID string) ([]Action, error) {
	query := url.Values{}
	if taskID != "" {
		query.Set("taskId", taskID)
	}
	var out struct {
		Actions []Action `json:"actions"`
	}
	err := c.Call(ctx, "actions", http.MethodGet, Path("task-group", groupID, "actions"), query, nil, &out)
	return out.Actions, err
}

// StartAction starts an action. Without a key it may be started twice when an answer is lost, as calls are
// sent again.
func (c *Client) StartAction(ctx context.Context, groupID, name string, s ActionStart) (StartedAction, error) {
	var out StartedAction
	err := c.Call(ctx, "actions", http.MethodPost, Path("task-group", groupID, "actions", name), nil, s, &out)
	return out, err
}
