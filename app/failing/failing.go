// Package failing joins the room of failures with the rooms it asks: what pushes there are, what tasks are, and what
// their runs left.
package failing

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/failures"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/ui/cell"
)

// Rooms are those that are asked. All must be given.
type Rooms struct {
	Pool    *pgxpool.Pool
	Queue   *queue.Queue
	Push    *push.Log
	Objects *object.Store
	Wake    func()
	Log     *slog.Logger
}

// New makes the room of failures.
func New(r Rooms) *failures.Failures {
	return failures.New(failures.Deps{Pool: r.Pool, Push: r.push, Tasks: r.tasks, Open: r.open, Wake: r.Wake, Log: r.Log.With("room", "failures")})
}

func (r Rooms) push(ctx context.Context, tx pgx.Tx, group string) (failures.Push, bool, error) {
	p, err := r.Push.ByTaskGroupIn(ctx, tx, group)
	if errors.Is(err, fault.NotFound) {
		return failures.Push{}, false, nil
	}
	return failures.Push{Repository: p.Repository, ID: p.ID, Branch: p.Branch, Revision: p.Revision, Time: p.Time}, err == nil, err
}

func (r Rooms) tasks(ctx context.Context, tx pgx.Tx, ids []string) (map[string]failures.Task, error) {
	items, err := r.Queue.ItemsIn(ctx, tx, ids)
	out := make(map[string]failures.Task, len(items))
	for i := range items {
		id, d := items[i].Status.TaskID, &items[i].Task
		name := cell.Name(d.Metadata.Name, id)
		out[id] = failures.Task{Label: cmp.Or(d.Tags["label"], name), Name: name, Platform: cell.PlatformOf(d), Queue: d.TaskQueueID}
	}
	return out, err
}

// open opens an artifact that is stored here; others, such as a log at a worker that is gone, are not found.
func (r Rooms) open(ctx context.Context, task string, run int, name string) (io.ReadCloser, error) {
	a, _, err := r.Queue.FollowLinks(ctx, task, run, name)
	if err != nil {
		return nil, err
	}
	if !a.StorageType.Stored() || !a.Present {
		return nil, fault.New(fault.NotFound, "The artifact %q of task %s is not stored here.", name, task)
	}
	_, content, err := r.Objects.Open(ctx, a.ObjectName())
	return content, err
}
