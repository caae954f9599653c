package queueapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

const priorityFile = "change-task-priority-request.json"

// priorities are the endpoints that order the line, and the one that explains it.
func (d door) priorities() []web.Endpoint {
	return append(as("Tasks",
		web.Endpoint{
			Name: "changeTaskPriority", Method: "POST", Route: "/task/<taskId>/priority", Input: priorityFile, Output: statusFile, Stability: "experimental",
			Scopes: scope.Any{scope.Text("queue:change-task-priority:<taskId>"), scope.Text("queue:change-task-priority-in-queue:<taskQueueId>")},
			Handle: d.changePriority, Title: "Change a task's priority",
			Description: "A pending task gets a new turn in the line of that priority; a running one keeps its worker, and a retry of it has the new priority. The same priority again is no error; a resolved task is a conflict.",
		},
		web.Endpoint{
			Name: "whyTask", Method: "GET", Route: "/task/<taskId>/why", Scopes: scope.Text("queue:status:<taskId>"), Output: "task-why-response.json",
			Stability: "experimental", Handle: d.why, Title: "Why a task does not run yet",
			Description: "What an unscheduled task waits for; where a pending one stands in line, which groups are before it, and which workers serve the line.",
		},
	), as("Task Groups",
		web.Endpoint{
			Name: "changeTaskGroupPriority", Method: "POST", Route: "/task-group/<taskGroupId>/priority", Input: priorityFile,
			Output: "task-group-priority-change-response.json", Stability: "experimental", Handle: d.changeGroupPriority,
			Scopes: scope.Text("queue:change-task-group-priority:<schedulerId>/<taskGroupId>"), Title: "Change the priority of a group's tasks",
			Description: "Changes every task of the group that is not resolved, some hundred in one transaction. The same call again changes what is left.",
		},
		web.Endpoint{
			Name: "setTaskGroupWeight", Method: "PUT", Route: "/task-group/<taskGroupId>/weight", Input: "task-group-weight-request.json",
			Output: "task-group-weight-response.json", Stability: "experimental", Handle: d.weigh,
			Scopes: scope.Text("queue:weigh-task-group:<schedulerId>/<taskGroupId>"), Title: "Weigh a task group",
			Description: "Groups with tasks of the same priority share a task queue by their weights. A group weighs 1 unless told otherwise. The weight holds for what is pending and for what will be.",
		},
	)...)
}

func (d door) changePriority(ctx context.Context, r *web.Request) (any, error) {
	to, err := newPriority(r)
	if err != nil {
		return nil, err
	}
	s, err := d.queue.Status(ctx, r.Params["taskId"])
	if err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.Priority(s)); err != nil {
		return nil, err
	}
	return status(d.queue.ChangePriority(ctx, s.TaskID, to))
}

func newPriority(r *web.Request) (task.Priority, error) {
	var in struct {
		NewPriority task.Priority `json:"newPriority"`
	}
	err := r.Decode(&in)
	return in.NewPriority, err
}

func (d door) changeGroupPriority(ctx context.Context, r *web.Request) (any, error) {
	to, err := newPriority(r)
	if err != nil {
		return nil, err
	}
	g, err := d.queue.Group(ctx, r.Params["taskGroupId"])
	if err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.GroupPriority(g)); err != nil {
		return nil, err
	}
	return d.queue.ChangeGroupPriority(ctx, g.TaskGroupID, to)
}

func (d door) weigh(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Weight int `json:"weight"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	g, err := d.queue.Group(ctx, r.Params["taskGroupId"])
	if err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.WeighGroup(g)); err != nil {
		return nil, err
	}
	return d.queue.WeighGroup(ctx, g.TaskGroupID, in.Weight)
}

func (d door) why(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.WhyPending(ctx, r.Params["taskId"])
}
