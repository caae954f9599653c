package app

import (
	"context"
	"log/slog"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/intake"
	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object"
	"github.com/treeline-ci/treeline/queue"
)

// indexWriter joins queue and index: entries are written in the transaction that resolves a task.
type indexWriter struct {
	index *index.Index
	log   *slog.Logger
}

func (w indexWriter) WriteCompleted(ctx context.Context, tx pgx.Tx, entries []queue.IndexEntry) error {
	list := make([]index.Entry, len(entries))
	for i, e := range entries {
		list[i] = index.Entry{Namespace: e.Namespace, TaskID: e.TaskID, Rank: e.Rank, Data: e.Data, Expires: e.Expires}
	}
	rejected, err := w.index.WriteCompleted(ctx, tx, list)
	for _, r := range rejected {
		w.log.WarnContext(ctx, "an index route of a completed task cannot be indexed", "task", r.Entry.TaskID, "path", r.Entry.Namespace, "err", r.Err)
	}
	return err
}

// uploads joins queue and object store.
type uploads struct{ *object.Store }

func (u uploads) Content(ctx context.Context, name string) (queue.Content, error) {
	o, err := u.Get(ctx, name)
	if err != nil {
		return queue.Content{}, err
	}
	return queue.Content{SHA256: o.SHA256, Size: o.Size}, nil
}

// locateArtifact says where an artifact of a task's last run can be fetched. The index's door has
// checked that the caller may read that name; a link to another is left to the queue's door, which
// checks each name on the way, and so is an error in place of an artifact, which that door tells.
func (a *App) locateArtifact(ctx context.Context, taskID, name string) (string, error) {
	artifact, names, err := a.queue.FollowLinks(ctx, taskID, queue.LatestRun, name)
	if err != nil {
		return "", err
	}
	if len(names) > 1 || artifact.StorageType == queue.StorageError {
		return a.config.RootURL + "/api/queue/v1/task/" + taskID + "/artifacts/" + (&url.URL{Path: name}).EscapedPath(), nil
	}
	return a.queue.Location(ctx, artifact)
}

// findIndexed answers which task stands at each index path.
func (a *App) findIndexed(ctx context.Context, paths []string) (map[string]string, error) {
	entries, err := a.index.FindMany(ctx, paths)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string, len(entries))
	for path, e := range entries {
		ids[path] = e.TaskID
	}
	return ids, nil
}

// pushOf finds the push whose tasks a group holds.
func (a *App) pushOf(ctx context.Context, tx pgx.Tx, taskGroupID string) (history.Push, bool, error) {
	p, err := a.push.ByTaskGroupIn(ctx, tx, taskGroupID)
	if fault.KindOf(err) == fault.NotFound {
		return history.Push{}, false, nil
	}
	return intake.Past(p), err == nil, err
}
