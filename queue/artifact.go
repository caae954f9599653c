package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
)

// What package artifact calls them.
type (
	Artifact      = artifact.Artifact
	ArtifactsPage = artifact.Page
	NewArtifact   = artifact.New
	StorageType   = artifact.StorageType
)

// The storage types (taskcluster-map 5.8).
const (
	StorageS3        = artifact.S3
	StorageObject    = artifact.Object
	StorageReference = artifact.Reference
	StorageLink      = artifact.Link
	StorageError     = artifact.Error
)

// LatestRun stands for the last run of a task where a run's number is asked for, even for one
// that has not begun.
const LatestRun = -1

// ObjectName is the name in the object store of an artifact whose content is there.
func ObjectName(taskID string, run int, name string) string {
	return artifact.ObjectName(taskID, run, name)
}

// Artifact returns an artifact of a run, LatestRun for the task's last one. Links are not followed.
// One that is not there, or is an unfinished upload, is fault.NotFound; one past its expiry fault.Gone.
func (q *Queue) Artifact(ctx context.Context, id string, run int, name string) (Artifact, error) {
	run, err := q.runOf(ctx, id, run)
	if err != nil {
		return Artifact{}, err
	}
	return q.artifact(ctx, id, run, name)
}

func (q *Queue) artifact(ctx context.Context, id string, run int, name string) (Artifact, error) {
	a, err := artifact.Read(ctx, q.deps.Pool, id, run, name)
	if err != nil {
		return Artifact{}, err
	}
	if err := q.settle(ctx, &a); err != nil {
		return Artifact{}, err
	}
	if !a.Present {
		return Artifact{}, a.Uploading()
	}
	return a, a.Expired()
}

// settle looks whether the content of an artifact of type s3 has come: its PUT is all that the worker
// does.
func (q *Queue) settle(ctx context.Context, a *Artifact) error {
	if a.Present || a.StorageType != StorageS3 || q.deps.Uploads == nil {
		return nil
	}
	content, err := q.deps.Uploads.Content(ctx, a.ObjectName())
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("queue: artifact %s: %w", a.ObjectName(), err)
	}
	return artifact.Finish(ctx, q.deps.Pool, a, content.SHA256, content.Size)
}

// runOf makes a run's number of LatestRun; other numbers must be runs of the task. The artifacts of a
// task that has expired are fault.Gone, as they will be when they are removed.
func (q *Queue) runOf(ctx context.Context, id string, run int) (int, error) {
	records, err := readRecords(ctx, q.deps.Pool, recordsSQL, []string{id})
	if err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return 0, noTask(id)
	}
	if run == LatestRun {
		run = len(records[0].Runs) - 1
	}
	if run < 0 || run >= len(records[0].Runs) {
		return 0, noRun(id, run)
	}
	return run, nil
}

// maxLinks bounds the length of a chain of links.
const maxLinks = 20

// FollowLinks finds the artifact that a name means, through links, and returns the names on the way,
// the given one first. A caller needs the right to read every one of them, before it may learn
// whether there is anything: so names are returned with every error (taskcluster-map 5.8).
func (q *Queue) FollowLinks(ctx context.Context, id string, run int, name string) (a Artifact, names []string, err error) {
	names = []string{name}
	if run, err = q.runOf(ctx, id, run); err != nil {
		return Artifact{}, names, err
	}
	for {
		a, err = q.artifact(ctx, id, run, names[len(names)-1])
		if err != nil || a.StorageType != StorageLink {
			return a, names, err
		}
		for _, n := range names {
			if n == a.Target {
				return Artifact{}, names, fault.New(fault.Invalid, "Artifact %q of run %d of task %s is a link that leads back to itself.", name, run, id)
			}
		}
		if names = append(names, a.Target); len(names) > maxLinks {
			return Artifact{}, names, fault.New(fault.Invalid, "Artifact %q of run %d of task %s is behind more than %d links.", name, run, id, maxLinks)
		}
	}
}

// Location returns the URL where the artifact's content is. Links must have been followed; errors have
// no content.
func (q *Queue) Location(ctx context.Context, a Artifact) (string, error) {
	switch {
	case a.StorageType == StorageReference:
		return a.Target, nil
	case a.StorageType.Stored():
		if q.deps.Uploads == nil {
			return "", noUploads()
		}
		url, err := q.deps.Uploads.DownloadURL(ctx, a.ObjectName())
		if err != nil {
			return "", fmt.Errorf("queue: artifact %s: %w", a.ObjectName(), err)
		}
		return url, nil
	}
	return "", fault.New(fault.Invalid, "Artifact %q is of type %s, which has no content of its own.", a.Name, a.StorageType)
}

func noUploads() error {
	return fault.New(fault.Unavailable, "This server keeps no objects: no object store is configured.")
}

// ListArtifacts lists the artifacts of a run, LatestRun for the task's last one, without unfinished
// uploads; it pages like ListGroup.
func (q *Queue) ListArtifacts(ctx context.Context, id string, run, limit int, token string) (ArtifactsPage, error) {
	run, err := q.runOf(ctx, id, run)
	if err != nil {
		return ArtifactsPage{}, err
	}
	page, err := artifact.List(ctx, q.deps.Pool, id, run, limit, token)
	if err != nil {
		return ArtifactsPage{}, err
	}
	present := make([]Artifact, 0, len(page.Artifacts))
	for _, a := range page.Artifacts {
		if err := q.settle(ctx, &a); err != nil {
			return ArtifactsPage{}, err
		}
		if a.Present {
			present = append(present, a)
		}
	}
	page.Artifacts = present
	return page, nil
}
