package client

import (
	"context"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

const purgeCacheService = "purge-cache"

// PurgeRequest says that caches of a name that were made before a moment are not to be used again
// (taskcluster-map 10).
type PurgeRequest struct {
	CacheName string    `json:"cacheName"`
	Before    task.Time `json:"before"`
}

// PurgeRequests returns what caches the workers of a pool are to drop. The answer may be ten seconds
// old.
func (c *Client) PurgeRequests(ctx context.Context, workerPoolID string) ([]PurgeRequest, error) {
	var out struct {
		Requests []PurgeRequest `json:"requests"`
	}
	err := c.Call(ctx, purgeCacheService, http.MethodGet, Path("purge-cache", workerPoolID), nil, nil, &out)
	return out.Requests, err
}

// PurgeCache asks the workers of a pool to drop the caches of a name, as they are now.
func (c *Client) PurgeCache(ctx context.Context, workerPoolID, cacheName string) error {
	in := struct {
		CacheName string `json:"cacheName"`
	}{cacheName}
	return c.Call(ctx, purgeCacheService, http.MethodPost, Path("purge-cache", workerPoolID), nil, in, nil)
}
