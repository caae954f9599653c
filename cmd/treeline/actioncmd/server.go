package actioncmd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
)

// batchSize is how many names one call asks about.
const batchSize = 500

// states tells how tasks stand; those that the queue does not know are absent.
func states(ctx context.Context, c *client.Client, ids []string) (map[string]task.Status, error) {
	out := map[string]task.Status{}
	type page struct {
		Statuses []struct {
			TaskID string      `json:"taskId"`
			Status task.Status `json:"status"`
		} `json:"statuses"`
		Token string `json:"continuationToken"`
	}
	for batch := range slices.Chunk(ids, batchSize) {
		err := pages(ctx, c, "queue", "/tasks/status", map[string]any{"taskIds": batch}, func(p page) string {
			for _, s := range p.Statuses {
				out[s.TaskID] = s.Status
			}
			return p.Token
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// indexed gives the tasks at index paths.
func indexed(ctx context.Context, c *client.Client, paths []string) (map[string]string, error) {
	out := map[string]string{}
	type page struct {
		Tasks []struct {
			Namespace string `json:"namespace"`
			TaskID    string `json:"taskId"`
		} `json:"tasks"`
		Token string `json:"continuationToken"`
	}
	for batch := range slices.Chunk(paths, batchSize) {
		err := pages(ctx, c, "index", "/tasks/indexes", map[string]any{"indexes": batch}, func(p page) string {
			for _, t := range p.Tasks {
				out[t.Namespace] = t.TaskID
			}
			return p.Token
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pages posts the same question until there is no further page.
func pages[P any](ctx context.Context, c *client.Client, service, path string, in any, each func(P) (token string)) error {
	query := url.Values{}
	for {
		var page P
		if err := c.Call(ctx, service, http.MethodPost, path, query, in, &page); err != nil {
			return err
		}
		token := each(page)
		if token == "" {
			return nil
		}
		query.Set("continuationToken", token)
	}
}

// unknownMethod reports whether the server has no such method.
func unknownMethod(err error) bool {
	e, ok := errors.AsType[*client.Error](err)
	return ok && errors.Is(err, fault.NotFound) && (e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed)
}

// definition is a task's definition as plain values.
func definition(ctx context.Context, c *client.Client, taskID string) (map[string]any, error) {
	d, err := c.Task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return plainObject(b)
}
