package poolsapi

import (
	"context"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/pools"
)

// page cuts a list that has one more than a page at most, and adds the token of the next.
func page[T any](name string, list []T, limit int, mark func(T) []any) (any, error) {
	out := map[string]any{}
	if len(list) > limit {
		list = list[:limit]
		token, err := web.Token(mark(list[limit-1])...)
		if err != nil {
			return nil, err
		}
		out["continuationToken"] = token
	}
	if list == nil {
		list = []T{}
	}
	out[name] = list
	return out, nil
}

// after reads the mark of a listing by names.
func after(r *web.Request) (limit int, names [2]string, err error) {
	limit, token, err := r.Page()
	if err == nil && !web.ReadToken(token, &names[0]) {
		web.ReadToken(token, &names[0], &names[1])
	}
	return limit, names, err
}

func (d *door) listProviders(_ context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	list := d.pools.ListProviders()
	for len(list) > 0 && list[0].ProviderID <= from[0] {
		list = list[1:]
	}
	return page("providers", list, limit, func(p pools.ProviderInfo) []any { return []any{p.ProviderID} })
}

// definition reads the body of a change, and checks what the caller needs for it.
func definition(ctx context.Context, r *web.Request) (d pools.Definition, actor string, err error) {
	var in struct {
		pools.Definition
		WorkerPoolID string `json:"workerPoolId"`
	}
	if err := r.Decode(&in); err != nil {
		return d, "", err
	}
	if err := r.Authorize(ctx, map[string]any{"providerId": in.ProviderID}); err != nil {
		return d, "", err
	}
	if in.WorkerPoolID != "" && in.WorkerPoolID != r.Params["workerPoolId"] {
		return d, "", fault.New(fault.Invalid, "The workerPoolId of the body, %s, is not that of the address, %s; leave it out.", in.WorkerPoolID, r.Params["workerPoolId"])
	}
	caller, err := r.Caller(ctx)
	return in.Definition, caller.ClientID, err
}

func (d *door) createWorkerPool(ctx context.Context, r *web.Request) (any, error) {
	def, actor, err := definition(ctx, r)
	if err != nil {
		return nil, err
	}
	return d.pools.Create(ctx, actor, r.Params["workerPoolId"], def)
}

func (d *door) updateWorkerPool(ctx context.Context, r *web.Request) (any, error) {
	def, actor, err := definition(ctx, r)
	if err != nil {
		return nil, err
	}
	return d.pools.Update(ctx, actor, r.Params["workerPoolId"], def)
}

func (d *door) deleteWorkerPool(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return d.pools.Delete(ctx, caller.ClientID, r.Params["workerPoolId"])
}

func (d *door) workerPool(ctx context.Context, r *web.Request) (any, error) {
	return d.pools.Get(ctx, r.Params["workerPoolId"])
}

func (d *door) listWorkerPools(ctx context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	list, err := d.pools.List(ctx, from[0], limit+1)
	if err != nil {
		return nil, err
	}
	return page("workerPools", list, limit, func(p pools.Pool) []any { return []any{p.ID} })
}

// poolStats are the stats of a pool in a listing.
type poolStats struct {
	WorkerPoolID string `json:"workerPoolId"`
	pools.Stats
}

func (d *door) listWorkerPoolsStats(ctx context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	list, err := d.pools.List(ctx, from[0], limit+1)
	if err != nil {
		return nil, err
	}
	out := make([]poolStats, len(list))
	for i, p := range list {
		out[i] = poolStats{p.ID, p.Stats}
	}
	return page("workerPoolsStats", out, limit, func(p poolStats) []any { return []any{p.WorkerPoolID} })
}

func (d *door) workerPoolStats(ctx context.Context, r *web.Request) (any, error) {
	list, err := d.pools.ConfigStats(ctx, r.Params["workerPoolId"])
	if list == nil {
		list = []pools.ConfigStats{}
	}
	return map[string]any{"launchConfigStats": list}, err
}

func (d *door) listLaunchConfigs(ctx context.Context, r *web.Request) (any, error) {
	limit, from, err := after(r)
	if err != nil {
		return nil, err
	}
	list, err := d.pools.LaunchConfigs(ctx, r.Params["workerPoolId"], r.Query("includeArchived") == "true", from[0], limit+1)
	if err != nil {
		return nil, err
	}
	return page("workerPoolLaunchConfigs", list, limit, func(c pools.LaunchConfig) []any { return []any{c.LaunchConfigID} })
}
