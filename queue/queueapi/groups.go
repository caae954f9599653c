package queueapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue/scopes"
)

func (d door) groups() []web.Endpoint {
	list := as("Task Groups",
		web.Endpoint{
			Name: "listTaskGroups", Method: "GET", Route: "/task-groups", Query: pages(), Scopes: scope.Text("queue:list-task-groups"),
			Output: "list-task-groups-response.json", Stability: "experimental", Handle: d.groupList,
			Title: "Task groups", Description: "The task groups, the newest first, with their tasks counted by state.",
		},
		web.Endpoint{
			Name: "listTaskGroup", Method: "GET", Route: "/task-group/<taskGroupId>/list", Query: pages(), Scopes: scope.Text("queue:list-task-group:<taskGroupId>"),
			Output: "list-task-group-response.json", Handle: d.groupTasks,
			Title: "Tasks of a group", Description: "Definitions and statuses of the group's tasks, a page at a time. Ask until there is no continuationToken.",
		},
		web.Endpoint{
			Name: "getTaskGroup", Method: "GET", Route: "/task-group/<taskGroupId>", Scopes: scope.Text("queue:list-task-group:<taskGroupId>"),
			Output: "task-group-response.json", Handle: d.group, Title: "A task group", Description: "The group without its tasks.",
		},
		web.Endpoint{
			Name: "sealTaskGroup", Method: "POST", Route: "/task-group/<taskGroupId>/seal", Scopes: scope.Text("queue:seal-task-group:<schedulerId>/<taskGroupId>"),
			Output: "task-group-response.json", Stability: "experimental", Handle: d.seal,
			Title: "Seal a task group", Description: "From now on the group takes no new tasks; reruns and retries go on. It cannot be undone.",
		},
	)
	return append(list, as("Tasks", web.Endpoint{
		Name: "cancelTaskGroup", Method: "POST", Route: "/task-group/<taskGroupId>/cancel", Scopes: scope.Text("queue:cancel-task-group:<schedulerId>/<taskGroupId>"),
		Output: "cancel-task-group-response.json", Stability: "experimental", Handle: d.cancelGroup,
		Title: "Cancel a task group", Description: "Cancels every unresolved task of a sealed group whose deadline has not passed.",
	})...)
}

func (d door) groupList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	return d.queue.Groups(ctx, limit, token)
}

func (d door) groupTasks(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	return d.queue.ListGroup(ctx, r.Params["taskGroupId"], limit, token)
}

func (d door) group(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.Group(ctx, r.Params["taskGroupId"])
}

func (d door) seal(ctx context.Context, r *web.Request) (any, error) {
	g, err := d.queue.Group(ctx, r.Params["taskGroupId"])
	if err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.SealGroup(g)); err != nil {
		return nil, err
	}
	return d.queue.SealGroup(ctx, g.TaskGroupID)
}

func (d door) cancelGroup(ctx context.Context, r *web.Request) (any, error) {
	g, err := d.queue.Group(ctx, r.Params["taskGroupId"])
	if err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.CancelGroup(g)); err != nil {
		return nil, err
	}
	return d.queue.CancelGroup(ctx, g.TaskGroupID)
}
