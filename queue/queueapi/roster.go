package queueapi

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/task"
)

const workerFile = "worker-response.json"

// roster are the endpoints about workers.
func (d door) roster() []web.Endpoint {
	const workers = "/provisioners/<provisionerId>/worker-types/<workerType>/workers"
	const worker = "<provisionerId>/<workerType>/<workerGroup>/<workerId>"
	filtered := pages()
	filtered["quarantined"] = `^(true|false)$`
	return as("Worker Metadata",
		web.Endpoint{
			Name: "listWorkers", Method: "GET", Route: workers, Query: filtered, Scopes: scope.Text("queue:list-workers:<provisionerId>/<workerType>"),
			Output: "list-workers-response.json", Stability: "deprecated", Handle: d.workerList, Title: "Workers of a task queue",
			Description: "Those that asked for its tasks within a day, were declared, or are in quarantine. With quarantined=true those in quarantine, with false the others.",
		},
		web.Endpoint{
			Name: "getWorker", Method: "GET", Route: workers + "/<workerGroup>/<workerId>", Scopes: scope.Text("queue:get-worker:" + worker),
			Output: workerFile, Stability: "deprecated", Handle: d.worker, Title: "A worker", Description: "When it asked for work, its last runs, and its quarantines.",
		},
		web.Endpoint{
			Name: "quarantineWorker", Method: "PUT", Route: workers + "/<workerGroup>/<workerId>", Scopes: scope.All{scope.Text("queue:quarantine-worker:" + worker)},
			Input: "quarantine-worker-request.json", Output: workerFile, Stability: "experimental", Handle: d.quarantine, Title: "Put a worker in quarantine",
			Description: "Until the given time the worker gets no work; what it has claimed it keeps. A time that has passed lifts the quarantine.",
		},
		web.Endpoint{
			Name: "declareWorker", Method: "PUT", Route: "/provisioners/<provisionerId>/worker-types/<workerType>/<workerGroup>/<workerId>",
			Scopes: scope.All{each("property", "properties", "queue:declare-worker:"+worker+"#<property>")},
			Input:  "update-worker-request.json", Output: workerFile, Stability: "experimental", Handle: d.declare, Title: "Declare a worker",
			Description: "Makes a worker known, or changes what is known of it. Each property has its own scope.",
		},
	)
}

func workerKey(r *web.Request) roster.Key {
	return roster.Key{TaskQueueID: taskQueue(r), WorkerGroup: r.Params["workerGroup"], WorkerID: r.Params["workerId"]}
}

func (d door) workerList(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var quarantined *bool
	if r.HasQuery("quarantined") {
		only := r.Query("quarantined") == "true"
		quarantined = &only
	}
	return d.queue.Roster().Workers(ctx, taskQueue(r), quarantined, limit, token)
}

func (d door) worker(ctx context.Context, r *web.Request) (any, error) {
	return d.queue.Roster().Worker(ctx, workerKey(r))
}

func (d door) quarantine(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Until task.Time `json:"quarantineUntil"`
		Info  string    `json:"quarantineInfo"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return d.queue.Roster().Quarantine(ctx, workerKey(r), in.Until, caller.ClientID, in.Info)
}

func (d door) declare(ctx context.Context, r *web.Request) (any, error) {
	var (
		in struct {
			Expires task.Time `json:"expires"`
		}
		properties map[string]json.RawMessage
	)
	if err := r.Decode(&properties); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"properties": slices.Sorted(maps.Keys(properties))}); err != nil {
		return nil, err
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	return d.queue.Roster().Declare(ctx, workerKey(r), in.Expires)
}
