package poolsapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/task"
)

// key is the worker that an address names.
func key(r *web.Request) pools.Key {
	k := pools.Key{WorkerPoolID: r.Params["workerPoolId"], WorkerGroup: r.Params["workerGroup"], WorkerID: r.Params["workerId"]}
	if k.WorkerPoolID == "" {
		k.WorkerPoolID = r.Params["provisionerId"] + "/" + r.Params["workerType"]
	}
	return k
}

func (d *door) listWorkersOfPool(ctx context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	list, err := d.pools.Workers(ctx, r.Params["workerPoolId"], pools.WorkerFilter{
		WorkerGroup: r.Params["workerGroup"], LaunchConfigID: r.Query("launchConfigId"), State: pools.State(r.Query("state")),
		AfterGroup: from[0], AfterID: from[1],
	}, limit+1)
	if err != nil {
		return nil, err
	}
	return page("workers", list, limit, func(w pools.Worker) []any { return []any{w.WorkerGroup, w.WorkerID} })
}

func (d *door) worker(ctx context.Context, r *web.Request) (any, error) {
	return d.pools.Worker(ctx, key(r))
}

func (d *door) createWorker(ctx context.Context, r *web.Request) (any, error) {
	return d.putWorker(ctx, r, d.pools.CreateWorker)
}

func (d *door) updateWorker(ctx context.Context, r *web.Request) (any, error) {
	return d.putWorker(ctx, r, d.pools.UpdateWorker)
}

func (d *door) putWorker(ctx context.Context, r *web.Request, write func(context.Context, pools.Key, pools.NewWorker) (pools.Worker, error)) (any, error) {
	var in pools.NewWorker
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	return write(ctx, key(r), in)
}

func (d *door) removeWorker(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.pools.RemoveWorker(ctx, key(r), "removed by "+caller.ClientID)
}

func (d *door) shouldTerminate(ctx context.Context, r *web.Request) (any, error) {
	terminate, reason, err := d.pools.Verdict(ctx, key(r))
	return map[string]any{"terminate": terminate, "reason": reason}, err
}

// named is the worker that a body names.
type named struct {
	WorkerPoolID string `json:"workerPoolId"`
	WorkerGroup  string `json:"workerGroup"`
	WorkerID     string `json:"workerId"`
}

// credentials are credentials on the wire.
type credentials struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	Certificate string `json:"certificate"`
}

// registration is the answer to a worker that registers.
type registration struct {
	Expires      task.Time       `json:"expires"`
	Credentials  credentials     `json:"credentials"`
	Secret       string          `json:"secret"`
	WorkerConfig json.RawMessage `json:"workerConfig,omitempty"`
}

func registered(r pools.Registered) registration {
	c := r.Credentials
	return registration{task.At(r.Expires), credentials{c.ClientID, c.AccessToken, c.Certificate}, r.Secret, r.Config}
}

func (d *door) registerWorker(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		named
		ProviderID string          `json:"providerId"`
		Proof      json.RawMessage `json:"workerIdentityProof"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	out, err := d.pools.Register(ctx, pools.Registration{Key: pools.Key(in.named), ProviderID: in.ProviderID, Proof: in.Proof})
	if err != nil {
		return nil, err
	}
	return registered(out), nil
}

func (d *door) reregisterWorker(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		named
		Secret string `json:"secret"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"workerPoolId": in.WorkerPoolID, "workerGroup": in.WorkerGroup, "workerId": in.WorkerID}); err != nil {
		return nil, err
	}
	out, err := d.pools.Reregister(ctx, pools.Key(in.named), in.Secret)
	if err != nil {
		return nil, err
	}
	return registered(out), nil
}

func (d *door) reportWorkerError(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		pools.Error
		WorkerGroup string `json:"workerGroup"`
		WorkerID    string `json:"workerId"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"workerGroup": in.WorkerGroup, "workerId": in.WorkerID}); err != nil {
		return nil, err
	}
	k := pools.Key{WorkerPoolID: r.Params["workerPoolId"], WorkerGroup: in.WorkerGroup, WorkerID: in.WorkerID}
	return d.pools.ReportWorkerError(ctx, k, in.Error)
}

func (d *door) listErrors(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	f := pools.ErrorFilter{LaunchConfigID: r.Query("launchConfigId"), ErrorID: r.Query("errorId")}
	var micros int64
	if web.ReadToken(token, &micros, &f.BeforeID) {
		f.Before = time.UnixMicro(micros)
	}
	list, err := d.pools.Errors(ctx, r.Params["workerPoolId"], f, limit+1)
	if err != nil {
		return nil, err
	}
	return page("workerPoolErrors", list, limit, func(e pools.Error) []any { return []any{e.Reported.UnixMicro(), e.ErrorID} })
}

func (d *door) errorStats(ctx context.Context, r *web.Request) (any, error) {
	id := r.Query("workerPoolId")
	if err := r.Authorize(ctx, map[string]any{"workerPoolId": id}); err != nil {
		return nil, err
	}
	totals, err := d.pools.ErrorStats(ctx, id)
	return map[string]any{"workerPoolId": id, "totals": totals}, err
}

func (d *door) listWorkers(ctx context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	f := pools.JoinFilter{LaunchConfigID: r.Query("launchConfigId"), State: pools.State(r.Query("workerState"))}
	if q := r.Query("quarantined"); q != "" {
		yes := q == "true"
		f.Quarantined = &yes
	}
	list, err := d.pools.Joined(ctx, key(r).WorkerPoolID, f, time.Now())
	if err != nil {
		return nil, err
	}
	for len(list) > 0 && (list[0].WorkerGroup < from[0] || list[0].WorkerGroup == from[0] && list[0].WorkerID <= from[1]) {
		list = list[1:]
	}
	list = list[:min(len(list), limit+1)]
	out := make([]map[string]any, len(list))
	for i := range list {
		if out[i], err = joined(&list[i], key(r).WorkerPoolID); err != nil {
			return nil, err
		}
	}
	return page("workers", out, limit, func(w map[string]any) []any { return []any{w["workerGroup"], w["workerId"]} })
}

func (d *door) getWorker(ctx context.Context, r *web.Request) (any, error) {
	j, err := d.pools.JoinedOne(ctx, key(r))
	if err != nil {
		return nil, err
	}
	return joined(&j, key(r).WorkerPoolID)
}

// joined is what the queue says of a worker, with what its pool says.
func joined(j *pools.Joined, poolID string) (map[string]any, error) {
	text, err := json.Marshal(j.Details)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the queue's word on a worker cannot be written")
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the queue's word on a worker cannot be read")
	}
	delete(out, "taskQueueId")
	out["workerPoolId"], out["state"] = poolID, string(j.State())
	if w := j.Worker; w != nil {
		out["providerId"], out["capacity"] = w.ProviderID, w.Capacity
		if w.LaunchConfigID != "" {
			out["launchConfigId"] = w.LaunchConfigID
		}
	}
	return out, nil
}
