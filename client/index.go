package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"

	"github.com/treeline-ci/treeline/task"
)

const indexService = "index"

// IndexedTask is an entry of the index (taskcluster-map 6).
type IndexedTask struct {
	Namespace string          `json:"namespace,omitempty"`
	TaskID    string          `json:"taskId"`
	Rank      float64         `json:"rank"`
	Data      json.RawMessage `json:"data"`
	Expires   task.Time       `json:"expires"`
}

// Namespace is a folder of the index.
type Namespace struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	Expires   task.Time `json:"expires"`
}

type indexPage struct {
	Tasks             []IndexedTask `json:"tasks"`
	Namespaces        []Namespace   `json:"namespaces"`
	ContinuationToken string        `json:"continuationToken"`
}

// FindTask returns the task indexed at a path.
func (c *Client) FindTask(ctx context.Context, indexPath string) (IndexedTask, error) {
	var out IndexedTask
	err := c.Call(ctx, indexService, http.MethodGet, Path("task", indexPath), nil, nil, &out)
	return out, err
}

// InsertTask puts a task at a path; a task of higher rank that is there already stays.
func (c *Client) InsertTask(ctx context.Context, indexPath string, in IndexedTask) (IndexedTask, error) {
	in.Namespace = ""
	if in.Data == nil {
		in.Data = json.RawMessage("{}")
	}
	var out IndexedTask
	err := c.Call(ctx, indexService, http.MethodPut, Path("task", indexPath), nil, in, &out)
	return out, err
}

// IndexedTasks yields the entries directly below a namespace.
func (c *Client) IndexedTasks(ctx context.Context, namespace string) iter.Seq2[IndexedTask, error] {
	return pages(ctx, c, indexService, Path("tasks", namespace), nil,
		func(p *indexPage) []IndexedTask { return p.Tasks }, func(p *indexPage) string { return p.ContinuationToken })
}

// Namespaces yields the namespaces directly below a namespace; "" is the root.
func (c *Client) Namespaces(ctx context.Context, namespace string) iter.Seq2[Namespace, error] {
	return pages(ctx, c, indexService, Path("namespaces", namespace), nil,
		func(p *indexPage) []Namespace { return p.Namespaces }, func(p *indexPage) string { return p.ContinuationToken })
}
