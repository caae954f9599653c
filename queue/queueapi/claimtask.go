package queueapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
)

func (d door) claimTask() []web.Endpoint {
	return as("Worker Interface", web.Endpoint{
		Name: "claimTask", Method: "POST", Route: "/task/<taskId>/runs/<runId>/claim", Input: "task-claim-request.json", Output: "task-claim-response.json",
		Scopes:    scope.All{scope.Text("queue:claim-task:<provisionerId>/<workerType>"), scope.Text("queue:worker-id:<workerGroup>/<workerId>")},
		Stability: "deprecated", Handle: d.claimRun, Title: "Claim one run",
		Description: "Gives a pending run to the worker, wherever it stands in line. The same worker's claim again, while it holds, gives the same claim; anything else that is not pending is a conflict. claimWork is what workers should use.",
	})
}

func (d door) claimRun(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		WorkerGroup string `json:"workerGroup"`
		WorkerID    string `json:"workerId"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	n, err := run(r)
	if err != nil {
		return nil, err
	}
	s, err := d.queue.Status(ctx, r.Params["taskId"])
	if err != nil {
		return nil, err
	}
	err = r.Authorize(ctx, map[string]any{
		"provisionerId": s.ProvisionerID, "workerType": s.WorkerType, "workerGroup": in.WorkerGroup, "workerId": in.WorkerID,
	})
	if err != nil {
		return nil, err
	}
	return d.queue.ClaimTask(ctx, s.TaskID, n, queue.ClaimRequest{WorkerGroup: in.WorkerGroup, WorkerID: in.WorkerID})
}
