package queue

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/task"
)

// enter gathers the index entries of the tasks that completed. No task is created any more with a
// route that is no namespace; one of a task from before is dropped with a line in the log: the task
// is done, whatever its routes say.
func (c *change) enter(ctx context.Context, resolved []*record) error {
	var ids []string
	for _, r := range resolved {
		if r.State == task.Completed && len(indexPaths(r.routes)) > 0 {
			ids = append(ids, r.TaskID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	extras, err := c.extras(ctx, ids)
	if err != nil {
		return err
	}
	for _, r := range resolved {
		extra, ok := extras[r.TaskID]
		if !ok {
			continue
		}
		for _, path := range indexPaths(r.routes) {
			if !draft.IsIndexPath(path) {
				c.q.log.WarnContext(ctx, "an index route is no namespace", "task", r.TaskID, "path", path)
				continue
			}
			x := draft.ReadIndexed(extra, r.Expires.Time)
			c.entries = append(c.entries, IndexEntry{Namespace: path, TaskID: r.TaskID, Rank: x.Rank, Data: x.Data, Expires: x.Expires})
		}
	}
	return nil
}

func indexPaths(routes []string) []string {
	var paths []string
	for _, r := range routes {
		if path, ok := draft.IndexPath(r); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

func (c *change) extras(ctx context.Context, ids []string) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	var (
		id    string
		extra json.RawMessage
	)
	rows, err := c.tx.Query(ctx, extrasSQL.Text, ids)
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", extrasSQL.Name, err)
	}
	_, err = pgx.ForEachRow(rows, []any{&id, &extra}, func() error {
		out[id] = append(json.RawMessage(nil), extra...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: %s: %w", extrasSQL.Name, err)
	}
	return out, nil
}

var extrasSQL = pg.Statement{Name: "queue.extras", Text: `SELECT task_id, extra FROM definitions WHERE task_id = ANY($1)`}
