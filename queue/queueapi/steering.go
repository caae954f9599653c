package queueapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

func slugShaped(id string) bool { return slug.Valid(id) }

func (d door) steering() []web.Endpoint {
	return as("Tasks",
		web.Endpoint{
			Name: "scheduleTask", Method: "POST", Route: "/task/<taskId>/schedule", Scopes: steer("schedule"), Output: statusFile,
			Handle: d.steer(d.queue.Schedule, scopes.Schedule), Title: "Schedule a task",
			Description: "Makes an unscheduled task pending, whatever it depends on. Any other task stays as it is. After the deadline it is a conflict.",
		},
		web.Endpoint{
			Name: "rerunTask", Method: "POST", Route: "/task/<taskId>/rerun", Scopes: steer("rerun"), Output: statusFile,
			Handle: d.steer(d.queue.Rerun, scopes.Rerun), Title: "Run a task again",
			Description: "Gives a resolved or unscheduled task another run, whatever it depends on. A pending or running task stays as it is. After the deadline, or after fifty runs, it is a conflict.",
		},
		web.Endpoint{
			Name: "cancelTask", Method: "POST", Route: "/task/<taskId>/cancel", Scopes: steer("cancel"), Output: statusFile,
			Handle: d.steer(d.queue.Cancel, scopes.Cancel), Title: "Cancel a task",
			Description: "Ends an unresolved task as an exception; its worker learns of it at the next reclaim. A resolved task stays as it is. After the deadline it is a conflict.",
		},
	)
}

// steer makes a handler of a verb that changes a task's course.
func (d door) steer(verb func(context.Context, string) (task.Status, error), scopes func(task.Status) scope.Expr) func(context.Context, *web.Request) (any, error) {
	return func(ctx context.Context, r *web.Request) (any, error) {
		id := r.Params["taskId"]
		s, err := d.queue.Status(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := r.AuthorizeExpr(ctx, scopes(s)); err != nil {
			return nil, err
		}
		return status(verb(ctx, id))
	}
}
