// Package indexapi is the HTTP door of the index (taskcluster-map 6 and appendix A).
package indexapi

import (
	"context"
	"embed"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// Locator says where an artifact of a task's latest run can be fetched; the door has checked that the caller may. The
// URL may carry a signature of its own. Errors are those of the queue, such as fault.NotFound.
type Locator func(ctx context.Context, taskID, name string) (url string, err error)

// Option is a setting of Service.
type Option func(*door)

// WithArtifacts makes findArtifactFromTask send callers where locate says. Without it they are sent to the queue's own
// endpoint, which serves public artifacts to everybody and asks for credentials for others.
func WithArtifacts(locate Locator) Option { return func(d *door) { d.locate = locate } }

// door answers the endpoints.
type door struct {
	index  *index.Index
	locate Locator
}

const path = `^([a-zA-Z0-9_!~*'()%-]+\.)*[a-zA-Z0-9_!~*'()%-]+$`

// Service is the table of endpoints of the service index.
func Service(ix *index.Index, options ...Option) web.Service {
	d := &door{index: ix}
	for _, option := range options {
		option(d)
	}
	return web.Service{
		Name: "index", Version: "v1", Title: "Index",
		Description: "Finds tasks by name. An index path is words with dots between; it leads to the newest task of its kind, " +
			"which is the one of the highest rank. Completed tasks with a route `index.<path>` are entered by themselves.",
		Schemas:   schemas,
		Params:    map[string]string{"indexPath": path, "namespace": path, "name": `^[\x20-\x7e]+$`},
		Endpoints: append(d.finding(), append(d.listing(), d.changing()...)...),
	}
}

const category = "Index Service"

func (d *door) finding() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "findTask", Method: "GET", Route: "/task/<indexPath>", Category: category, Stability: "stable",
			Scopes: scope.Text("index:find-task:<indexPath>"), Output: "indexed-task-response.json", Handle: d.findTask,
			Title: "Find a task", Description: "The task that stands at a path, with its rank and data; 404 when there is none or it has expired.",
		},
		{
			Name: "findTasksAtIndex", Method: "POST", Route: "/tasks/indexes", Category: category, Stability: "experimental",
			Query:  pages(),
			Scopes: scope.All{scope.For{Each: "indexPath", In: "indexPaths", Body: scope.Text("index:find-task:<indexPath>")}},
			Input:  "list-tasks-at-index.json", Output: "list-tasks-response.json", Handle: d.findTasksAtIndex,
			Title:       "Find tasks at many paths",
			Description: "The tasks that stand at the given paths, by path. Paths where none stands are left out.",
		},
		{
			Name: "findArtifactFromTask", Method: "GET", Route: "/task/<indexPath>/artifacts/<name*>", Category: category, Stability: "stable",
			Scopes: scope.Text("queue:get-artifact:<name>"), Output: "", Handle: d.findArtifact,
			Title: "Find a task's artifact",
			Description: "Sends the caller to an artifact of the latest run of the task at a path. Two calls may lead to two tasks: " +
				"to fetch several artifacts that belong together, find the task first.",
		},
	}
}

func (d *door) listing() []web.Endpoint {
	namespaces := web.Endpoint{
		Name: "listNamespaces", Method: "GET", Route: "/namespaces/<namespace>", Also: []string{"/namespaces/", "/namespaces"}, Category: category, Stability: "stable", Query: pages(),
		Scopes: scope.Text("index:list-namespaces:<namespace>"), Output: "list-namespaces-response.json", Handle: d.listNamespaces,
		Title: "List namespaces", Description: "The namespaces directly in a namespace, by name; an empty namespace is the root. For people who look around; programs should know their paths.",
	}
	tasks := web.Endpoint{
		Name: "listTasks", Method: "GET", Route: "/tasks/<namespace>", Also: []string{"/tasks/", "/tasks"}, Category: category, Stability: "stable", Query: pages(),
		Scopes: scope.Text("index:list-tasks:<namespace>"), Output: "list-tasks-response.json", Handle: d.listTasks,
		Title: "List tasks", Description: "The entries directly in a namespace, by name; an empty namespace is the root.",
	}
	return []web.Endpoint{namespaces, tasks, byPost(namespaces, "listNamespacesPost"), byPost(tasks, "listTasksPost")}
}

// byPost is a listing as clients of old call it: limit and token stand in the body.
func byPost(e web.Endpoint, name string) web.Endpoint {
	e.Name, e.Method, e.Stability, e.Unpublished = name, "POST", "deprecated", true
	e.Query, e.Input = nil, "list-namespaces-request.json"
	return e
}

func (d *door) changing() []web.Endpoint {
	return []web.Endpoint{
		{
			Name: "insertTask", Method: "PUT", Route: "/task/<namespace>", Category: category, Stability: "stable",
			Scopes: scope.Text("index:insert-task:<namespace>"), Input: "insert-task-request.json", Output: "indexed-task-response.json",
			Handle: d.insertTask, Title: "Enter a task",
			Description: "Puts a task at a path, unless a task of a higher rank stands there, and answers with the task that stands there now.",
		},
		{
			Name: "deleteTask", Method: "DELETE", Route: "/task/<namespace>", Category: category, Stability: "stable",
			Scopes: scope.Text("index:delete-task:<namespace>"), Handle: d.deleteTask, Title: "Remove an entry",
			Description: "Removes the entry at a path; it is no error when there is none. The task itself stays.",
		},
	}
}

func pages() map[string]string {
	return map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern}
}
