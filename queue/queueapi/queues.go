package queueapi

import (
	"context"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

// lines are the endpoints about the tasks of one task queue. Its id stands as one segment, %2F in it, or
// as two (taskcluster-map 5.1): for the latter each has an unpublished twin.
func (d door) lines() []web.Endpoint {
	pending, claimed := scope.Text("queue:pending-count:<taskQueueId>"), scope.Text("queue:claimed-count:<taskQueueId>")
	list := as("Worker Metadata",
		web.Endpoint{
			Name: "pendingTasks", Method: "GET", Route: "/pending/<taskQueueId*>", Scopes: pending,
			Output: "pending-tasks-response.json", Stability: "deprecated", Handle: d.pending,
			Title: "Number of pending tasks", Description: "How many tasks of the task queue are pending. taskQueueCounts tells more.",
		},
		web.Endpoint{
			Name: "taskQueueCounts", Method: "GET", Route: "/task-queues/<taskQueueId>/counts", Handle: d.counts, Output: "task-queue-counts-response.json",
			Scopes: scope.All{pending, claimed},
			Title:  "Numbers of pending and claimed tasks", Description: "How many tasks of the task queue are pending, and how many are being worked on.",
		},
		web.Endpoint{
			Name: "listPendingTasks", Method: "GET", Route: "/task-queues/<taskQueueId>/pending", Query: pages(), Scopes: scope.Text("queue:pending-list:<taskQueueId>"),
			Output: "list-pending-tasks-response.json", Stability: "experimental", Handle: d.pendingList,
			Title: "Pending tasks", Description: "The pending tasks of a task queue in the order of its line, as they are when the page is read.",
		},
		web.Endpoint{
			Name: "listClaimedTasks", Method: "GET", Route: "/task-queues/<taskQueueId>/claimed", Query: pages(), Scopes: scope.Text("queue:claimed-list:<taskQueueId>"),
			Output: "list-claimed-tasks-response.json", Stability: "experimental", Handle: d.claimedList,
			Title: "Claimed tasks", Description: "The tasks of a task queue that are being worked on, with their workers, those claimed first at the front.",
		},
	)
	for _, e := range list[1:] {
		e.Name, e.Unpublished = e.Name+"BySegments", true
		e.Route = strings.Replace(e.Route, "<taskQueueId>", "<provisionerId>/<workerType>", 1)
		e.Scopes = bySegments(e.Scopes)
		list = append(list, e)
	}
	return list
}

// bySegments makes the scopes of a route with the parts of a task queue's id from those with the id.
func bySegments(t scope.Template) scope.Template {
	switch t := t.(type) {
	case scope.Text:
		return scope.Text(strings.Replace(string(t), "<taskQueueId>", "<provisionerId>/<workerType>", 1))
	case scope.All:
		out := make(scope.All, len(t))
		for i := range t {
			out[i] = bySegments(t[i])
		}
		return out
	}
	return t
}

// taskQueue returns the id in the route, which may stand in two segments.
func taskQueue(r *web.Request) string {
	if id := r.Params["taskQueueId"]; id != "" {
		return id
	}
	return r.Params["provisionerId"] + "/" + r.Params["workerType"]
}

func (d door) pending(ctx context.Context, r *web.Request) (any, error) {
	return d.countsOf(ctx, r, func(body map[string]any) { delete(body, "claimedTasks") })
}

func (d door) counts(ctx context.Context, r *web.Request) (any, error) {
	return d.countsOf(ctx, r, func(map[string]any) {})
}

func (d door) countsOf(ctx context.Context, r *web.Request, trim func(map[string]any)) (any, error) {
	id := taskQueue(r)
	c, err := d.queue.PendingCounts(ctx, id)
	if err != nil {
		return nil, err
	}
	provisioner, worker, _ := strings.Cut(id, "/")
	body := map[string]any{
		"provisionerId": provisioner, "workerType": worker, "taskQueueId": id, "pendingTasks": c.PendingTasks, "claimedTasks": c.ClaimedTasks,
	}
	trim(body)
	return body, nil
}

// definitions returns those of the tasks that there are, by id.
func (d door) definitions(ctx context.Context, n int, id func(int) string) (map[string]task.Definition, error) {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = id(i)
	}
	items, err := d.queue.Items(ctx, ids)
	out := make(map[string]task.Definition, len(items))
	for _, item := range items {
		out[item.Status.TaskID] = item.Task
	}
	return out, err
}

func (d door) pendingList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	line, next, err := d.queue.Roster().Waiting(ctx, taskQueue(r), limit, token)
	if err != nil {
		return nil, err
	}
	definitions, err := d.definitions(ctx, len(line), func(i int) string { return line[i].TaskID })
	type entry struct {
		roster.Waiting
		Task task.Definition `json:"task"`
	}
	list := []entry{}
	for _, w := range line {
		if definition, ok := definitions[w.TaskID]; ok {
			list = append(list, entry{w, definition})
		}
	}
	return paged("tasks", list, next), err
}

func (d door) claimedList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	claims, next, err := d.queue.Roster().Working(ctx, taskQueue(r), limit, token)
	if err != nil {
		return nil, err
	}
	definitions, err := d.definitions(ctx, len(claims), func(i int) string { return claims[i].TaskID })
	type entry struct {
		roster.Working
		Task task.Definition `json:"task"`
	}
	list := []entry{}
	for _, w := range claims {
		if definition, ok := definitions[w.TaskID]; ok {
			list = append(list, entry{w, definition})
		}
	}
	return paged("tasks", list, next), err
}

// queues are the endpoints about task queues, whole and by the halves of their ids.
func (d door) queues() []web.Endpoint {
	const lately = "Those that a worker asked, or tasks waited for, within five days. "
	return as("Worker Metadata",
		web.Endpoint{
			Name: "listTaskQueues", Method: "GET", Route: "/task-queues", Query: pages(), Scopes: scope.Text("queue:list-task-queues"),
			Output: "list-taskqueues-response.json", Handle: d.queueList, Title: "Task queues", Description: lately,
		},
		web.Endpoint{
			Name: "getTaskQueue", Method: "GET", Route: "/task-queues/<taskQueueId>", Scopes: scope.Text("queue:get-task-queue:<taskQueueId>"),
			Output: "taskqueue-response.json", Handle: d.queueInfo, Title: "A task queue", Description: "When it was used last, and when it is forgotten.",
		},
		web.Endpoint{
			Name: "listProvisioners", Method: "GET", Route: "/provisioners", Query: pages(), Scopes: scope.Text("queue:list-provisioners"), Stability: "deprecated",
			Output: "list-provisioners-response.json", Handle: d.provisionerList, Title: "Provisioners",
			Description: "The first halves of the ids of task queues. " + lately,
		},
		web.Endpoint{
			Name: "getProvisioner", Method: "GET", Route: "/provisioners/<provisionerId>", Scopes: scope.Text("queue:get-provisioner:<provisionerId>"), Stability: "deprecated",
			Output: "provisioner-response.json", Handle: d.provisioner, Title: "A provisioner", Description: "When one of its task queues was used last.",
		},
		web.Endpoint{
			Name: "listWorkerTypes", Method: "GET", Route: "/provisioners/<provisionerId>/worker-types", Query: pages(), Stability: "deprecated",
			Scopes: scope.Text("queue:list-worker-types:<provisionerId>"), Output: "list-workertypes-response.json", Handle: d.workerTypeList,
			Title: "Worker types", Description: "The task queues of a provisioner. " + lately,
		},
		web.Endpoint{
			Name: "getWorkerType", Method: "GET", Route: "/provisioners/<provisionerId>/worker-types/<workerType>", Stability: "deprecated",
			Scopes: scope.Text("queue:get-worker-type:<provisionerId>/<workerType>"), Output: "workertype-response.json", Handle: d.workerType,
			Title: "A worker type", Description: "A task queue, by the halves of its id.",
		},
	)
}

func (d door) queueList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	list, next, err := d.queue.Roster().TaskQueues(ctx, "", limit, token)
	return paged("taskQueues", list, next), err
}

func (d door) queueInfo(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.Roster().TaskQueue(ctx, r.Params["taskQueueId"])
}

func (d door) provisionerList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	list, next, err := d.queue.Roster().Provisioners(ctx, limit, token)
	return paged("provisioners", list, next), err
}

func (d door) provisioner(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.Roster().Provisioner(ctx, r.Params["provisionerId"])
}

// workerType is a task queue as the older endpoints show it.
type workerType struct {
	ProvisionerID string `json:"provisionerId"`
	WorkerType    string `json:"workerType"`
	roster.TaskQueue
}

func asWorkerType(q roster.TaskQueue) workerType {
	return workerType{q.ProvisionerID(), q.WorkerType(), q}
}

func (d door) workerTypeList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	queues, next, err := d.queue.Roster().TaskQueues(ctx, r.Params["provisionerId"], limit, token)
	list := make([]workerType, len(queues))
	for i, q := range queues {
		list[i] = asWorkerType(q)
	}
	return paged("workerTypes", list, next), err
}

func (d door) workerType(ctx context.Context, r *web.Request) (any, error) {
	q, err := d.queue.Roster().TaskQueue(ctx, taskQueue(r))
	return asWorkerType(q), err
}
