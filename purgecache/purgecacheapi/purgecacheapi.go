// Package purgecacheapi is the HTTP door of the wishes to drop caches (taskcluster-map 10 and appendix A).
package purgecacheapi

import (
	"context"
	"embed"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/purgecache"
	"github.com/treeline-ci/treeline/task"
)

//go:embed schemas/*.json
var schemas embed.FS

type door struct{ purges *purgecache.PurgeCache }

// Service is the table of endpoints of the service purge-cache.
func Service(p *purgecache.PurgeCache) web.Service {
	d := door{p}
	const category = "Purge-Cache Service"
	return web.Service{
		Name: "purge-cache", Version: "v1", Title: "Purge Cache Service",
		Description: "Keeps wishes that caches on workers be dropped. Before a task uses caches, its worker asks for the wishes of " +
			"its pool, and drops what was made before their moment.",
		Schemas: schemas,
		Params:  map[string]string{"workerPoolId": `^[a-zA-Z0-9_-]{1,38}/[a-zA-Z0-9_-]{1,38}$`},
		Endpoints: []web.Endpoint{
			{
				Name: "purgeCache", Method: "POST", Route: "/purge-cache/<workerPoolId*>", Category: category, Stability: "stable",
				Scopes: scope.Text("purge-cache:<workerPoolId>:<cacheName>"), Input: "purge-cache-request.json", MaxBody: 1 << 20, Handle: d.purge,
				Title:       "Wish for a cache to be dropped",
				Description: "From now on no task on the pool's workers uses a cache of this name as it is now. A wish that is there already is renewed.",
			},
			{
				Name: "allPurgeRequests", Method: "GET", Route: "/purge-cache/list", Category: category, Stability: "stable",
				Query:  map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern},
				Scopes: scope.Text("purge-cache:all-purge-requests"), Output: "all-purge-cache-request-list.json", Handle: d.all,
				Title: "All wishes", Description: "The wishes of all pools, by pool and cache, each for a day. For people; workers ask for those of their pool.",
			},
			{
				Name: "purgeRequests", Method: "GET", Route: "/purge-cache/<workerPoolId*>", Category: category, Stability: "stable",
				Query:  map[string]string{"since": `^.{1,64}$`},
				Scopes: scope.Text("purge-cache:purge-requests::<workerPoolId>"), Output: "purge-cache-request-list.json", Handle: d.requests,
				Title:       "Wishes of a worker pool",
				Description: "Which caches the workers of a pool are to drop if they were made before the moment given. With `since`, those of that moment or later. The answer may be ten seconds old.",
			},
		},
	}
}

func (d door) purge(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		CacheName string `json:"cacheName"`
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"cacheName": in.CacheName}); err != nil {
		return nil, err
	}
	return nil, d.purges.Purge(ctx, r.Params["workerPoolId"], in.CacheName)
}

// request is a wish on the wire.
type request struct {
	ProvisionerID string    `json:"provisionerId"`
	WorkerType    string    `json:"workerType"`
	CacheName     string    `json:"cacheName"`
	Before        task.Time `json:"before"`
}

func shown(list []purgecache.Request) []request {
	out := make([]request, len(list))
	for i, p := range list {
		provisioner, worker, _ := strings.Cut(p.WorkerPoolID, "/")
		out[i] = request{provisioner, worker, p.CacheName, task.At(p.Before)}
	}
	return out
}

func (d door) requests(ctx context.Context, r *web.Request) (any, error) {
	var since time.Time
	if text := r.Query("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fault.New(fault.BadArguments, "The query parameter since, %q, is no time such as 2026-01-02T03:04:05.678Z.", text)
		}
	}
	list, err := d.purges.Requests(ctx, r.Params["workerPoolId"], since)
	if err != nil {
		return nil, err
	}
	return struct {
		Requests []request `json:"requests"`
	}{shown(list)}, nil
}

func (d door) all(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after purgecache.Request
	web.ReadToken(token, &after.WorkerPoolID, &after.CacheName)
	list, err := d.purges.All(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	var out struct {
		Requests          []request `json:"requests"`
		ContinuationToken string    `json:"continuationToken,omitempty"`
	}
	if len(list) > limit {
		list = list[:limit]
		last := list[limit-1]
		if out.ContinuationToken, err = web.Token(last.WorkerPoolID, last.CacheName); err != nil {
			return nil, err
		}
	}
	out.Requests = shown(list)
	return out, nil
}
