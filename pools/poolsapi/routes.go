// Package poolsapi is the HTTP door of worker pools, the service worker-manager (taskcluster-map 12 and
// appendix A).
package poolsapi

import (
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/schemas"
)

// door answers the endpoints.
type door struct{ pools *pools.Pools }

const (
	namePattern = `^([a-zA-Z0-9-_]{1,38})$`
	poolRoute   = "/worker-pool/<workerPoolId>"
	wholePool   = "/worker-pool/<workerPoolId*>" // also for who does not escape the slash
	workerRoute = "/workers/<workerPoolId>/<workerGroup>/<workerId>"
	queueRoute  = "/provisioners/<provisionerId>/worker-types/<workerType>/workers"

	poolScope   = scope.Text("worker-manager:get-worker-pool:<workerPoolId>")
	manageScope = scope.Text("worker-manager:manage-worker-pool:<workerPoolId>")
	errorScope  = scope.Text("worker-manager:list-worker-pool-errors:<workerPoolId>")

	stable, experimental = "stable", "experimental"
)

// Service is the table of endpoints of the service worker-manager.
func Service(p *pools.Pools) web.Service {
	d := &door{p}
	var endpoints []web.Endpoint
	for _, list := range [][]web.Endpoint{d.poolEndpoints(), d.configEndpoints(), d.workerEndpoints(), d.lifeEndpoints(), d.errorEndpoints(), d.queueEndpoints()} {
		endpoints = append(endpoints, list...)
	}
	return web.Service{
		Name: "worker-manager", Version: "v1", Title: "Worker Manager",
		Description: "Keeps worker pools, and brings up as many workers for each as its task queue has work for. Workers come from providers; " +
			"a worker registers with what its provider gave it, and gets credentials for a time.",
		Schemas: schemas.Files(),
		Params: map[string]string{
			"workerPoolId": pools.PoolID, "workerGroup": namePattern, "workerId": namePattern,
			"provisionerId": namePattern, "workerType": `^[a-z]([-a-z0-9]{0,36}[a-z0-9])?$`,
		},
		Endpoints: endpoints,
	}
}

// paged are the query parameters of a listing.
func paged(more map[string]string) map[string]string {
	out := map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern}
	for name, pattern := range more {
		out[name] = pattern
	}
	return out
}

const (
	pageText  = " Continue with `continuationToken`."
	boolText  = `^(true|false)$`
	stateText = `^(requested|running|stopping|stopped|standalone)$`
)

func (d *door) poolEndpoints() []web.Endpoint {
	const category = "Worker Pools"
	change := scope.All{manageScope, scope.Text("worker-manager:provider:<providerId>")}
	return []web.Endpoint{
		{
			Name: "listProviders", Method: "GET", Route: "/providers", Category: "Providers", Stability: stable, Query: paged(nil),
			Scopes: scope.Text("worker-manager:list-providers"), Output: "provider-list.json", Handle: d.listProviders,
			Title: "List providers", Description: "The places where workers can come from, by id." + pageText,
		},
		{
			Name: "createWorkerPool", Method: "PUT", Route: wholePool, Category: category, Stability: stable,
			Scopes: change, Input: "create-worker-pool-request.json", Output: "worker-pool-full.json", Handle: d.createWorkerPool,
			Title: "Create a worker pool", Description: "Makes a pool. Its config must fit the schema `config-<provider type>.json`. A pool of the name is a conflict, whatever its definition.",
		},
		{
			Name: "updateWorkerPool", Method: "POST", Route: wholePool, Category: category, Stability: experimental,
			Scopes: change, Input: "update-worker-pool-request.json", Output: "worker-pool-full.json", Handle: d.updateWorkerPool,
			Title: "Change a worker pool", Description: "Replaces a pool's definition as a whole. Launch configs that it has no more are archived: their workers are to end when they have no work. Workers of another provider than before come from the new one; those there are stay with theirs.",
		},
		{
			Name: "deleteWorkerPool", Method: "DELETE", Route: wholePool, Category: category, Stability: stable,
			Scopes: manageScope, Output: "worker-pool-full.json", Handle: d.deleteWorkerPool,
			Title: "Delete a worker pool", Description: "Gives a pool to the provider `null-provider`, which makes no workers. It goes when its last worker has gone.",
		},
		{
			Name: "workerPool", Method: "GET", Route: wholePool, Category: category, Stability: stable,
			Scopes: poolScope, Output: "worker-pool-full.json", Handle: d.workerPool,
			Title: "Get a worker pool", Description: "A pool's definition, and what workers it has.",
		},
		{
			Name: "listWorkerPools", Method: "GET", Route: "/worker-pools", Category: category, Stability: stable, Query: paged(nil),
			Scopes: scope.Text("worker-manager:list-worker-pools"), Output: "worker-pool-list.json", Handle: d.listWorkerPools,
			Title: "List worker pools", Description: "All pools, by id." + pageText,
		},
		{
			Name: "workerPoolStats", Method: "GET", Route: poolRoute + "/stats", Category: category, Stability: experimental,
			Scopes: poolScope, Output: "worker-pool-stats.json", Handle: d.workerPoolStats,
			Title: "Stats of a worker pool", Description: "What workers there are of each launch config, archived ones too.",
		},
		{
			Name: "listWorkerPoolsStats", Method: "GET", Route: "/worker-pools/stats", Category: category, Stability: experimental, Query: paged(nil),
			Scopes: scope.Text("worker-manager:list-worker-pools"), Output: "worker-pool-list-stats.json", Handle: d.listWorkerPoolsStats,
			Title: "Stats of all worker pools", Description: "What workers each pool has, by id." + pageText,
		},
	}
}

func (d *door) configEndpoints() []web.Endpoint {
	return []web.Endpoint{{
		Name: "listWorkerPoolLaunchConfigs", Method: "GET", Route: poolRoute + "/launch-configs", Category: "Worker Pool Launch Configs", Stability: experimental,
		Query:  paged(map[string]string{"includeArchived": boolText}),
		Scopes: poolScope, Output: "worker-pool-launch-config-list.json", Handle: d.listLaunchConfigs,
		Title: "List launch configs", Description: "The ways in which a pool's workers can be made, by id; those that are archived with `includeArchived=true`." + pageText,
	}}
}

func (d *door) workerEndpoints() []web.Endpoint {
	const category = "Workers"
	worker := func(what string) scope.Template {
		return scope.Text("worker-manager:" + what + "-worker:<workerPoolId>/<workerGroup>/<workerId>")
	}
	return []web.Endpoint{
		{
			Name: "listWorkersForWorkerPool", Method: "GET", Route: "/workers/<workerPoolId>", Category: category, Stability: stable,
			Query:  paged(map[string]string{"launchConfigId": namePattern, "state": `^(requested|running|stopping|stopped)$`}),
			Scopes: scope.Text("worker-manager:list-workers:<workerPoolId>"), Output: "worker-list.json", Handle: d.listWorkersOfPool,
			Title: "List the workers of a pool", Description: "A pool's workers, by group and id." + pageText,
		},
		{
			Name: "listWorkersForWorkerGroup", Method: "GET", Route: "/workers/<workerPoolId>/<workerGroup>", Category: category, Stability: stable, Query: paged(nil),
			Scopes: scope.Text("worker-manager:list-workers:<workerPoolId>/<workerGroup>"), Output: "worker-list.json", Handle: d.listWorkersOfPool,
			Title: "List the workers of a group", Description: "The workers of a group of a pool, by id." + pageText,
		},
		{
			Name: "worker", Method: "GET", Route: workerRoute, Category: category, Stability: stable,
			Scopes: worker("get"), Output: "worker-full.json", Handle: d.worker,
			Title: "Get a worker", Description: "A worker as its pool knows it.",
		},
		{
			Name: "createWorker", Method: "PUT", Route: workerRoute, Category: category, Stability: stable, Secret: []string{web.AllSecret},
			Scopes: worker("create"), Input: "create-worker-request.json", Output: "worker-full.json", Handle: d.createWorker,
			Title: "Create a worker", Description: "Notes a worker that its operator has set up, with the secret by which it shows who it is. Only pools of a static provider have such.",
		},
		{
			Name: "updateWorker", Method: "POST", Route: workerRoute, Category: category, Stability: stable, Secret: []string{web.AllSecret},
			Scopes: worker("update"), Input: "create-worker-request.json", Output: "worker-full.json", Handle: d.updateWorker,
			Title: "Change a worker", Description: "Changes capacity, expiry or secret of a worker that its operator has set up.",
		},
		{
			Name: "removeWorker", Method: "DELETE", Route: workerRoute, Category: category, Stability: stable,
			Scopes: worker("remove"), Handle: d.removeWorker,
			Title: "Remove a worker", Description: "Ends a worker at once, whatever it does. Its tasks are given to others when it is gone. One that was set up by hand is forgotten.",
		},
		{
			Name: "shouldWorkerTerminate", Method: "GET", Route: workerRoute + "/should-terminate", Category: category, Stability: experimental,
			Scopes: scope.Text("worker-manager:should-worker-terminate:<workerPoolId>/<workerGroup>/<workerId>"), Output: "should-worker-terminate-response.json", Handle: d.shouldTerminate,
			Title: "Should a worker end", Description: "For workers that have no work: whether to end, because there are more than are needed, because the launch config is archived, or because the worker is too old.",
		},
	}
}

func (d *door) lifeEndpoints() []web.Endpoint {
	const category = "Worker Interface"
	return []web.Endpoint{
		{
			Name: "registerWorker", Method: "POST", Route: "/worker/register", Proof: web.SignedBody, Category: category, Stability: stable, Secret: []string{web.AllSecret},
			Input: "register-worker-request.json", Output: "register-worker-response.json", Handle: d.registerWorker,
			Title: "Register a worker", Description: "Gives a worker that shows who it is its credentials, its config and the secret for `reregisterWorker`. " +
				"A worker that a provider made registers once; while it has not asked for work it may repeat the call for some minutes.",
		},
		{
			Name: "reregisterWorker", Method: "POST", Route: "/worker/reregister", Category: category, Stability: experimental, Secret: []string{web.AllSecret},
			Scopes: scope.Text("worker-manager:reregister-worker:<workerPoolId>/<workerGroup>/<workerId>"),
			Input:  "reregister-worker-request.json", Output: "reregister-worker-response.json", Handle: d.reregisterWorker,
			Title: "Register again", Description: "Gives a worker new credentials before the old end, for the secret that came with those.",
		},
		{
			Name: "reportWorkerError", Method: "POST", Route: "/worker-pool-errors/<workerPoolId*>", Category: category, Stability: stable,
			Scopes: scope.All{scope.Text("assume:worker-pool:<workerPoolId>"), scope.Text("assume:worker-id:<workerGroup>/<workerId>")},
			Input:  "report-worker-error-request.json", Output: "worker-pool-error.json", Handle: d.reportWorkerError,
			Title: "Report an error", Description: "What a worker has to complain about. It is listed with the pool's errors, and the pool's owner may get a mail.",
		},
	}
}

func (d *door) errorEndpoints() []web.Endpoint {
	const category = "Worker Pools"
	return []web.Endpoint{
		{
			Name: "workerPoolErrorStats", Method: "GET", Route: "/worker-pool-errors/stats", Category: category, Stability: experimental,
			Query:  map[string]string{"workerPoolId": pools.PoolID},
			Scopes: errorScope, Output: "worker-pool-error-stats.json", Handle: d.errorStats,
			Title: "Count errors", Description: "The errors of a pool, or of all without `workerPoolId`, by day, hour, title, code, launch config and pool. They are remembered for 7 days.",
		},
		{
			Name: "listWorkerPoolErrors", Method: "GET", Route: "/worker-pool-errors/<workerPoolId*>", Category: category, Stability: stable,
			Query:  paged(map[string]string{"launchConfigId": namePattern, "errorId": `^[A-Za-z0-9_-]{1,64}$`}),
			Scopes: errorScope, Output: "worker-pool-error-list.json", Handle: d.listErrors,
			Title: "List a pool's errors", Description: "What went wrong with a pool in 7 days, newest first." + pageText,
		},
	}
}

func (d *door) queueEndpoints() []web.Endpoint {
	const category = "Worker Metadata"
	return []web.Endpoint{
		{
			Name: "listWorkers", Method: "GET", Route: queueRoute, Category: category, Stability: experimental,
			Query:  paged(map[string]string{"launchConfigId": namePattern, "quarantined": boolText, "workerState": stateText}),
			Scopes: scope.Text("worker-manager:list-workers:<provisionerId>/<workerType>"), Output: "list-workers-response.json", Handle: d.listWorkers,
			Title: "List the workers that ask for work", Description: "The workers that asked for a task queue's work lately, with what their pool knows of them; `standalone` are those that no pool knows." + pageText,
		},
		{
			Name: "getWorker", Method: "GET", Route: queueRoute + "/<workerGroup>/<workerId>", Category: category, Stability: experimental,
			Scopes: scope.Text("worker-manager:get-worker:<provisionerId>/<workerType>/<workerGroup>/<workerId>"), Output: "worker-response.json", Handle: d.getWorker,
			Title: "Get a worker that asks for work", Description: "A worker as the queue knows it, with its last runs and its quarantines, and what its pool knows of it.",
		},
	}
}
