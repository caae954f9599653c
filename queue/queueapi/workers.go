package queueapi

import (
	"context"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

func (d door) workers() []web.Endpoint {
	resolve := scope.Text("queue:resolve-task:<taskId>/<runId>")
	return as("Worker Interface",
		web.Endpoint{
			Name: "claimWork", Method: "POST", Route: "/claim-work/<taskQueueId*>", Input: "claim-work-request.json", Output: "claim-work-response.json", Handle: d.claim,
			Scopes: scope.All{scope.Text("queue:claim-work:<taskQueueId>"), scope.Text("queue:worker-id:<workerGroup>/<workerId>")},
			Title:  "Claim work",
			Description: "Hands out pending tasks, those with a higher priority first, then the older ones. Waits up to 20 seconds for the first one; the answer may be empty. " +
				"Each claim ends at its takenUntil unless it is renewed, and brings credentials for its run.",
		},
		web.Endpoint{
			Name: "reclaimTask", Method: "POST", Route: "/task/<taskId>/runs/<runId>/reclaim", Scopes: scope.Text("queue:reclaim-task:<taskId>/<runId>"),
			Output: "task-reclaim-response.json", Handle: d.reclaim, Title: "Renew a claim",
			Description: "Brings fresh credentials. A conflict tells the worker to stop: the task was canceled, or the claim is over.",
		},
		web.Endpoint{
			Name: "reportCompleted", Method: "POST", Route: "/task/<taskId>/runs/<runId>/completed", Scopes: resolve, Output: statusFile,
			Handle: d.report(d.queue.ReportCompleted), Title: "Report success", Description: "Resolves a running run as completed. The same report again is no error.",
		},
		web.Endpoint{
			Name: "reportFailed", Method: "POST", Route: "/task/<taskId>/runs/<runId>/failed", Scopes: resolve, Output: statusFile,
			Handle: d.report(d.queue.ReportFailed), Title: "Report failure", Description: "Resolves a running run as failed: the task did its work, and the outcome is bad. The same report again is no error.",
		},
		web.Endpoint{
			Name: "reportException", Method: "POST", Route: "/task/<taskId>/runs/<runId>/exception", Scopes: resolve, Input: "task-exception-request.json", Output: statusFile,
			Handle: d.exception, Title: "Report an exception", Description: "Resolves a run that could not be carried out. Some reasons make the queue try again, and then the answer shows the next run.",
		},
	)
}

func (d door) claim(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		WorkerGroup string `json:"workerGroup"`
		WorkerID    string `json:"workerId"`
		Tasks       int    `json:"tasks"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"workerGroup": in.WorkerGroup, "workerId": in.WorkerID}); err != nil {
		return nil, err
	}
	claims, err := d.queue.Claim(ctx, queue.ClaimRequest{
		TaskQueueID: r.Params["taskQueueId"], WorkerGroup: in.WorkerGroup, WorkerID: in.WorkerID, Tasks: in.Tasks, Wait: queue.MaxWait,
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"tasks": claims}, nil
}

func (d door) reclaim(ctx context.Context, r *web.Request) (any, error) {
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	return d.queue.Reclaim(ctx, r.Params["taskId"], n)
}

// report makes a handler of a verb that resolves a run.
func (d door) report(verb func(context.Context, string, int) (task.Status, error)) func(context.Context, *web.Request) (any, error) {
	return func(ctx context.Context, r *web.Request) (any, error) {
		n, err := run(r)
		if err != nil {
			return nil, err
		}
		return status(verb(ctx, r.Params["taskId"], n))
	}
}

func (d door) exception(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Reason task.ReasonResolved `json:"reason"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	return status(d.queue.ReportException(ctx, r.Params["taskId"], n, in.Reason))
}

func (d door) queues() []web.Endpoint {
	return as("Worker Metadata",
		web.Endpoint{
			Name: "pendingTasks", Method: "GET", Route: "/pending/<taskQueueId*>", Scopes: scope.Text("queue:pending-count:<taskQueueId>"),
			Output: "pending-tasks-response.json", Stability: "deprecated", Handle: d.pending,
			Title: "Number of pending tasks", Description: "How many tasks of the task queue are pending. taskQueueCounts tells more.",
		},
		web.Endpoint{
			Name: "taskQueueCounts", Method: "GET", Route: "/task-queues/<taskQueueId>/counts", Handle: d.counts, Output: "task-queue-counts-response.json",
			Scopes: scope.All{scope.Text("queue:pending-count:<taskQueueId>"), scope.Text("queue:claimed-count:<taskQueueId>")},
			Title:  "Numbers of pending and claimed tasks", Description: "How many tasks of the task queue are pending, and how many are being worked on.",
		},
	)
}

func (d door) pending(ctx context.Context, r *web.Request) (any, error) {
	return d.countsOf(ctx, r, func(body map[string]any) { delete(body, "claimedTasks") })
}

func (d door) counts(ctx context.Context, r *web.Request) (any, error) {
	return d.countsOf(ctx, r, func(map[string]any) {})
}

func (d door) countsOf(ctx context.Context, r *web.Request, trim func(map[string]any)) (any, error) {
	id := r.Params["taskQueueId"]
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
