package graphcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/optimize"
)

// fileIndex answers from a file: a JSON object of index path to {taskId, state, expires}.
func fileIndex(name string) (optimize.IndexFinder, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	var found map[string]optimize.Found
	if err := json.Unmarshal(b, &found); err != nil {
		return nil, fmt.Errorf("index: %s: expected {\"path\": {\"taskId\", \"state\", \"expires\"}}: %w", name, err)
	}
	return func(context.Context, []string) (map[string]optimize.Found, error) { return found, nil }, nil
}

// serverIndex answers from a server's index and queue: two calls for a page of paths.
func serverIndex(c *client.Client) optimize.IndexFinder {
	return func(ctx context.Context, paths []string) (map[string]optimize.Found, error) {
		at := map[string]string{} // path → task id
		err := batches(ctx, c, "index", "/tasks/indexes", "indexes", paths, func(page indexAnswer) {
			for _, t := range page.Tasks {
				at[t.Namespace] = t.TaskID
			}
		})
		if err != nil {
			return nil, err
		}
		known := map[string]optimize.Found{}
		ids := slices.Compact(slices.Sorted(maps.Values(at)))
		err = batches(ctx, c, "queue", "/tasks/status", "taskIds", ids, func(page statusAnswer) {
			for _, s := range page.Statuses {
				known[s.TaskID] = optimize.Found{TaskID: s.TaskID, State: string(s.Status.State), Expires: s.Status.Expires.Time}
			}
		})
		if err != nil {
			return nil, err
		}
		out := make(map[string]optimize.Found, len(at))
		for path, id := range at {
			if f, ok := known[id]; ok { // a task that the queue has forgotten cannot stand in
				out[path] = f
			}
		}
		return out, nil
	}
}

// indexAnswer and statusAnswer are pages of answers.
type indexAnswer struct {
	Tasks []struct {
		Namespace string `json:"namespace"`
		TaskID    string `json:"taskId"`
	} `json:"tasks"`
	nextPage
}

type statusAnswer struct {
	Statuses []struct {
		TaskID string      `json:"taskId"`
		Status task.Status `json:"status"`
	} `json:"statuses"`
	nextPage
}

type nextPage struct {
	Token string `json:"continuationToken"`
}

func (p nextPage) token() string { return p.Token }

// batchSize is how many names one call asks about: as many as a page of an answer holds.
const batchSize = 1000

// batches posts names under key, a batch a call, and hands every page of the answers to each.
func batches[P interface{ token() string }](ctx context.Context, c *client.Client, service, path, key string, names []string, each func(P)) error {
	for batch := range slices.Chunk(names, batchSize) {
		query := url.Values{}
		for {
			var page P
			if err := c.Call(ctx, service, "POST", path, query, map[string]any{key: batch}, &page); err != nil {
				return err
			}
			each(page)
			if page.token() == "" {
				break
			}
			query.Set("continuationToken", page.token())
		}
	}
	return nil
}
