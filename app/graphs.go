package app

import (
	"context"
	"io"

	"github.com/treeline-ci/treeline/app/graphapi"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
)

// graphs joins the door of decisions' records with the rooms that have them.
func (a *App) graphs() graphapi.Deps {
	return graphapi.Deps{Decision: a.decisionOf, Artifact: a.storedArtifact}
}

// decisionOf is the decision that made a task: its task group has the decision's id.
func (a *App) decisionOf(ctx context.Context, taskID string) (string, error) {
	t, err := a.queue.Task(ctx, taskID)
	return t.TaskGroupID, err
}

// storedArtifact finds an artifact that is in the object store. The door has checked that the caller
// may read that name; a link to another is not followed.
func (a *App) storedArtifact(ctx context.Context, taskID, name string) (graphapi.Artifact, error) {
	found, names, err := a.queue.FollowLinks(ctx, taskID, queue.LatestRun, name)
	if err != nil {
		return graphapi.Artifact{}, err
	}
	if len(names) > 1 || !found.StorageType.Stored() {
		return graphapi.Artifact{}, fault.New(fault.NotFound, "The artifact %s of task %s is not stored here.", name, taskID)
	}
	object := found.ObjectName()
	o, err := a.objects.Get(ctx, object)
	if err != nil {
		return graphapi.Artifact{}, err
	}
	return graphapi.Artifact{SHA256: o.SHA256, Size: o.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		_, body, err := a.objects.Open(ctx, object)
		return body, err
	}}, nil
}
