package queueapi

import (
	"context"
	"strconv"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

// createScopes is what the table says about creating a task; scopes.Create decides.
var createScopes = scope.All{
	each("scope", "scopes", "<scope>"),
	each("route", "routes", "queue:route:<route>"),
	scope.Text("queue:create-task:project:<projectId>"),
	scope.Text("queue:scheduler-id:<schedulerId>"),
	scope.Any{each("priority", "priorities", "queue:create-task:<priority>:<provisionerId>/<workerType>")},
}

// batchBody is how many bytes the tasks of one createTasks may have.
const batchBody = 64 << 20

func (d door) tasks() []web.Endpoint {
	return as("Tasks",
		web.Endpoint{
			Name: "task", Method: "GET", Route: "/task/<taskId>", Scopes: scope.Text("queue:get-task:<taskId>"), Output: "task.json", Handle: d.task,
			Title: "Definition of a task", Description: "The task as it was created, with all defaults filled in. Its priority may have been changed since.",
		},
		web.Endpoint{
			Name: "tasks", Method: "POST", Route: "/tasks", Query: pages(), Scopes: scope.All{each("taskId", "taskIds", "queue:get-task:<taskId>")},
			Input: "tasks-request.json", Output: "tasks-response.json", Stability: "experimental", Handle: d.taskList,
			Title: "Definitions of several tasks", Description: "Tasks that do not exist are left out.",
		},
		web.Endpoint{
			Name: "status", Method: "GET", Route: "/task/<taskId>/status", Scopes: scope.Text("queue:status:<taskId>"), Output: statusFile, Handle: d.status,
			Title: "Status of a task", Description: "How the task stands, with all its runs.",
		},
		web.Endpoint{
			Name: "statuses", Method: "POST", Route: "/tasks/status", Query: pages(), Scopes: scope.All{each("taskId", "taskIds", "queue:status:<taskId>")},
			Input: "tasks-request.json", Output: "tasks-statuses-response.json", Stability: "experimental", Handle: d.statusList,
			Title: "Statuses of several tasks", Description: "Tasks that do not exist are left out.",
		},
		web.Endpoint{
			Name: "createTask", Method: "PUT", Route: "/task/<taskId>", Scopes: createScopes, Input: "create-task-request.json", Output: statusFile, Handle: d.create,
			Title:       "Create a task",
			Description: "The task is pending at once if it waits for nothing. The same call again is no error; with another definition it is a conflict.",
		},
		web.Endpoint{
			Name: "createTasks", Method: "POST", Route: "/task-batch", Scopes: createScopes, Input: "create-tasks-request.json", Output: "create-tasks-response.json",
			Stability: "experimental", MaxBody: batchBody, Handle: d.createBatch,
			Title:       "Create many tasks",
			Description: "Creates all of the tasks or none. They may depend on each other, in any order, but not in a circle. The caller needs what createTask asks for each of them.",
		},
		web.Endpoint{
			Name: "listDependentTasks", Method: "GET", Route: "/task/<taskId>/dependents", Query: pages(), Scopes: scope.Text("queue:list-dependent-tasks:<taskId>"),
			Output: "list-dependent-tasks-response.json", Handle: d.dependents,
			Title: "Tasks that depend on a task", Description: "Those that depend on it directly, whether they still wait for it or not.",
		},
	)
}

func (d door) task(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.Task(ctx, r.Params["taskId"])
}

// statusBody is a status on the wire.
type statusBody struct {
	Status task.Status `json:"status"`
}

// status wraps what a verb returned.
func status(s task.Status, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return statusBody{s}, nil
}

func (d door) status(ctx context.Context, r *web.Request) (any, error) {
	return status(d.queue.Status(ctx, r.Params["taskId"]))
}

func (d door) create(ctx context.Context, r *web.Request) (any, error) {
	t := queue.NewTask{ID: r.Params["taskId"]}
	if err := r.Decode(&t.Definition); err != nil {
		return nil, err
	}
	if err := t.Prepare(); err != nil {
		return nil, err
	}
	if err := r.AuthorizeExpr(ctx, scopes.Create(t.Definition)); err != nil {
		return nil, err
	}
	return status(d.queue.Create(ctx, t.ID, t.Definition))
}

func (d door) createBatch(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Tasks []struct {
			TaskID string          `json:"taskId"`
			Task   task.Definition `json:"task"`
		} `json:"tasks"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	tasks := make([]queue.NewTask, len(in.Tasks))
	for i, t := range in.Tasks {
		tasks[i] = queue.NewTask{ID: t.TaskID, Definition: t.Task}
		if err := tasks[i].Prepare(); err != nil {
			return nil, err
		}
	}
	if err := r.AuthorizeExpr(ctx, scopes.CreateBatch(tasks)); err != nil {
		return nil, err
	}
	statuses, err := d.queue.CreateBatch(ctx, tasks)
	if err != nil {
		return nil, err
	}
	return map[string]any{"statuses": statuses}, nil
}

func (d door) dependents(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	return d.queue.Dependents(ctx, r.Params["taskId"], limit, token)
}

func (d door) taskList(ctx context.Context, r *web.Request) (any, error) {
	ids, next, err := d.idPage(ctx, r)
	if err != nil {
		return nil, err
	}
	items, err := d.queue.Items(ctx, ids)
	if err != nil {
		return nil, err
	}
	type entry struct {
		TaskID string          `json:"taskId"`
		Task   task.Definition `json:"task"`
	}
	list := make([]entry, len(items))
	for i, item := range items {
		list[i] = entry{item.Status.TaskID, item.Task}
	}
	return paged("tasks", list, next), nil
}

func (d door) statusList(ctx context.Context, r *web.Request) (any, error) {
	ids, next, err := d.idPage(ctx, r)
	if err != nil {
		return nil, err
	}
	statuses, err := d.queue.Statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	type entry struct {
		TaskID string      `json:"taskId"`
		Status task.Status `json:"status"`
	}
	list := make([]entry, len(statuses))
	for i, s := range statuses {
		list[i] = entry{s.TaskID, s}
	}
	return paged("statuses", list, next), nil
}

func paged(name string, list any, next string) map[string]any {
	out := map[string]any{name: list}
	if next != "" {
		out["continuationToken"] = next
	}
	return out
}

// idPage authorizes the ids of the body and returns those of the asked page; the token is a position
// in the body's list.
func (d door) idPage(ctx context.Context, r *web.Request) (ids []string, next string, err error) {
	var in struct {
		TaskIDs []string `json:"taskIds"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, "", err
	}
	if in.TaskIDs == nil {
		in.TaskIDs = []string{}
	}
	if err := r.Authorize(ctx, map[string]any{"taskIds": in.TaskIDs}); err != nil {
		return nil, "", err
	}
	limit, token, err := r.Page()
	if err != nil {
		return nil, "", err
	}
	var at int
	if token != "" && (!web.ReadToken(token, &at) || at < 0 || at > len(in.TaskIDs)) {
		return nil, "", fault.New(fault.Invalid, "The continuationToken is not one of this listing. Start without one.")
	}
	end := min(at+limit, len(in.TaskIDs))
	if end < len(in.TaskIDs) {
		if next, err = web.Token(end); err != nil {
			return nil, "", err
		}
	}
	for _, id := range in.TaskIDs[at:end] {
		if slugShaped(id) {
			ids = append(ids, id)
		}
	}
	return ids, next, nil
}

// run returns the number of the run in the route.
func run(r *web.Request) (int, error) {
	n, err := strconv.Atoi(r.Params["runId"])
	if err != nil || n > 1000 {
		return 0, fault.New(fault.BadArguments, "runId must be between 0 and 1000")
	}
	return n, nil
}
