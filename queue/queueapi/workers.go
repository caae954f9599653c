package queueapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/holder"
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
			Output: "task-reclaim-response.json", Handle: asHolder(d.reclaim), Title: "Renew a claim",
			Description: "Brings fresh credentials. A conflict tells the worker to stop: the task was canceled, or the claim is over.",
		},
		web.Endpoint{
			Name: "reportCompleted", Method: "POST", Route: "/task/<taskId>/runs/<runId>/completed", Scopes: resolve, Output: statusFile,
			Handle: asHolder(d.report(d.queue.ReportCompleted)), Title: "Report success", Description: "Resolves a running run as completed. The same report again is no error.",
		},
		web.Endpoint{
			Name: "reportFailed", Method: "POST", Route: "/task/<taskId>/runs/<runId>/failed", Scopes: resolve, Output: statusFile,
			Handle: asHolder(d.report(d.queue.ReportFailed)), Title: "Report failure", Description: "Resolves a running run as failed: the task did its work, and the outcome is bad. The same report again is no error.",
		},
		web.Endpoint{
			Name: "reportException", Method: "POST", Route: "/task/<taskId>/runs/<runId>/exception", Scopes: resolve, Input: "task-exception-request.json", Output: statusFile,
			Handle: asHolder(d.exception), Title: "Report an exception", Description: "Resolves a run that could not be carried out. Some reasons make the queue try again, and then the answer shows the next run.",
		},
		web.Endpoint{
			Name: "finishRun", Method: "POST", Route: "/task/<taskId>/runs/<runId>/finish", Stability: "experimental", MaxBody: 2 << 20,
			Scopes: scope.All{scope.Text("queue:create-artifact:<taskId>/<runId>"), resolve}, Input: "finish-run-request.json", Output: statusFile, Handle: asHolder(d.finish),
			Title: "Make artifacts and report",
			Description: "Makes artifacts of a running run and resolves it, all or nothing: what a worker has to say at the end of a task, in one call. " +
				"Objects come with their content, or as an upload of which all bytes have come. The same again is no error.",
		},
		web.Endpoint{
			Name: "workerGone", Method: "POST", Route: "/workers/<workerGroup>/<workerId>/gone", Scopes: goneScopes, Stability: "experimental",
			Input: "worker-gone-request.json", Output: "worker-gone-response.json", Handle: d.gone, Title: "Give back what a worker has claimed",
			Description: "For whoever knows that a worker is no more, the worker itself or the provider of its machine: the runs that it has claimed are resolved as worker-shutdown " +
				"and tried again at once, instead of when the claims expire.",
		},
	)
}

// asHolder has the queue know whose credentials a request comes with: those of a run may act on the claim alone that
// brought them.
func asHolder(handle func(context.Context, *web.Request) (any, error)) func(context.Context, *web.Request) (any, error) {
	return func(ctx context.Context, r *web.Request) (any, error) {
		caller, err := r.Caller(ctx)
		if err != nil {
			return nil, err
		}
		return handle(holder.With(ctx, holder.Holder{ClientID: caller.ClientID, Since: caller.Since}), r)
	}
}

// goneScopes lets a worker speak for itself, and whoever looks after it.
var goneScopes = scope.Any{scope.Text("queue:worker-gone:<workerGroup>/<workerId>"), scope.Text("queue:worker-id:<workerGroup>/<workerId>")}

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
	if ctx.Err() != nil { // there is nobody to take them
		return map[string]any{"tasks": []queue.Claim{}}, d.queue.GiveBack(context.WithoutCancel(ctx), claims)
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

func (d door) finish(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Reason    task.ReasonResolved   `json:"reasonResolved"`
		Artifacts []queue.WholeArtifact `json:"artifacts"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	return status(d.queue.FinishRun(ctx, r.Params["taskId"], n, in.Reason, in.Artifacts))
}

func (d door) gone(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		TaskQueueID string `json:"taskQueueId"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	ids, err := d.queue.WorkerGone(ctx, in.TaskQueueID, r.Params["workerGroup"], r.Params["workerId"])
	if err != nil {
		return nil, err
	}
	return map[string]any{"taskIds": ids}, nil
}
