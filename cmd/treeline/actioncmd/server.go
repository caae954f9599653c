package actioncmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/action"
	"github.com/treeline-ci/treeline/taskgraph/action/perform"
)

// remote is a server behind its API, with the credentials of the action task.
type remote struct {
	client    *client.Client
	dir       string // where artifacts go, for the worker to take them from
	ancestors func(ctx context.Context, revision string, n int) ([]string, error)
}

func (r *remote) Artifact(ctx context.Context, taskID, name string) ([]byte, error) {
	var b bytes.Buffer
	_, err := r.client.DownloadArtifact(ctx, client.Download{TaskID: taskID, RunID: client.LatestRun, Name: "public/" + name}, &b)
	return b.Bytes(), err
}

func (r *remote) Definition(ctx context.Context, taskID string) (map[string]any, error) {
	d, err := r.client.Task(ctx, taskID)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return perform.PlainObject(b)
}

func (r *remote) Status(ctx context.Context, taskID string) (task.Status, error) {
	return r.client.Status(ctx, taskID)
}

func (r *remote) States(ctx context.Context, ids []string) (map[string]task.Status, error) {
	return states(ctx, r.client, ids)
}

func (r *remote) Group(ctx context.Context, id string) ([]perform.Member, error) {
	var list []perform.Member
	for t, err := range r.client.GroupTasks(ctx, id) {
		if err != nil {
			return nil, err
		}
		list = append(list, perform.Member{Status: t.Status, Name: t.Task.Metadata.Name, Tags: t.Task.Tags})
	}
	return list, nil
}

func (r *remote) Indexed(ctx context.Context, paths []string) (map[string]string, error) {
	return indexed(ctx, r.client, paths)
}

func (r *remote) IndexedIn(ctx context.Context, namespace string) ([]string, error) {
	var ids []string
	for t, err := range r.client.IndexedTasks(ctx, namespace) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, t.TaskID)
	}
	return ids, nil
}

func (r *remote) Ancestors(ctx context.Context, revision string, n int) ([]string, error) {
	return r.ancestors(ctx, revision, n)
}

func (r *remote) Rerun(ctx context.Context, taskID string) error {
	_, err := r.client.Rerun(ctx, taskID)
	return err
}

func (r *remote) Cancel(ctx context.Context, taskID string) error {
	_, err := r.client.Cancel(ctx, taskID)
	return err
}

// Publish leaves the artifacts where the worker takes them from.
func (r *remote) Publish(_ context.Context, files map[string][]byte) error {
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o644); err != nil {
			return fmt.Errorf("artifact %s: %w", name, err)
		}
	}
	return nil
}

// Create makes the tasks: all or none where the server can, else one after another.
func (r *remote) Create(ctx context.Context, tasks []action.NewTask, say func(format string, args ...any)) error {
	batch := make([]client.NewTask, len(tasks))
	for i, t := range tasks {
		batch[i] = client.NewTask{TaskID: t.TaskID, Task: t.Definition}
	}
	_, err := r.client.CreateTasks(ctx, batch)
	if unknownMethod(err) {
		return r.createEach(ctx, tasks, say)
	}
	if err != nil {
		return fmt.Errorf("create tasks: %w", err)
	}
	for _, t := range tasks {
		say("created %s (%s)", t.TaskID, t.Label)
	}
	return nil
}

func (r *remote) createEach(ctx context.Context, tasks []action.NewTask, say func(format string, args ...any)) error {
	for i, t := range tasks {
		if _, err := r.client.CreateTask(ctx, t.TaskID, t.Definition); err != nil {
			return fmt.Errorf("create task %s (%s), after %d others: %w", t.TaskID, t.Label, i, err)
		}
		say("created %s (%s)", t.TaskID, t.Label)
	}
	return nil
}

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
