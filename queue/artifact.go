package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/queue/paging"
	"github.com/treeline-ci/treeline/task"
)

// StorageType says where the content of an artifact is.
type StorageType string

// The storage types (taskcluster-map 5.8).
const (
	StorageS3        StorageType = "s3"
	StorageObject    StorageType = "object"
	StorageReference StorageType = "reference"
	StorageLink      StorageType = "link"
	StorageError     StorageType = "error"
)

// LatestRun stands for the last run of a task where a run's number is asked for, even for one
// that has not begun.
const LatestRun = -1

// Artifact is what the queue knows of an artifact.
type Artifact struct {
	TaskID        string      `json:"-"`
	RunID         int         `json:"-"`
	ProjectID     string      `json:"-"`
	StorageType   StorageType `json:"storageType"`
	Name          string      `json:"name"`
	Expires       task.Time   `json:"expires"`
	ContentType   string      `json:"contentType"`
	ContentLength *int64      `json:"contentLength,omitempty"` // bytes
	ContentSHA256 string      `json:"contentSha256,omitempty"` // hex; ours, the peer does not have it
	Target        string      `json:"-"`                       // a reference's URL, the name that a link means
	Reason        string      `json:"-"`                       // of an error
	Message       string      `json:"-"`                       // of an error
	UploadID      string      `json:"-"`                       // of an object
	Present       bool        `json:"-"`                       // false for an object that is not finished

	now time.Time
}

// objectName is the name in the object store of an artifact of type object.
func objectName(taskID string, run int, name string) string {
	return fmt.Sprintf("t/%s/%d/%s", taskID, run, name)
}

// ObjectName returns the name in the object store of an artifact of type object.
func (a *Artifact) ObjectName() string { return objectName(a.TaskID, a.RunID, a.Name) }

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
	a, err := readArtifact(ctx, q.deps.Pool, artifactSQL, id, run, name)
	switch {
	case err != nil:
		return Artifact{}, err
	case !a.Present:
		return Artifact{}, fault.New(fault.NotFound, "Artifact %q of run %d of task %s is still being uploaded.", name, run, id)
	case !a.Expires.After(a.now):
		return Artifact{}, fault.New(fault.Gone, "Artifact %q of run %d of task %s expired at %s.", name, run, id, a.Expires)
	}
	return a, nil
}

// runOf makes a run's number of LatestRun; other numbers must be runs of the task.
func (q *Queue) runOf(ctx context.Context, id string, run int) (int, error) {
	status, err := q.Status(ctx, id)
	if err != nil {
		return 0, err
	}
	if run == LatestRun {
		run = len(status.Runs) - 1
	}
	if run < 0 || run >= len(status.Runs) {
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
	switch a.StorageType {
	case StorageReference:
		return a.Target, nil
	case StorageObject:
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

// ArtifactsPage is a page of artifacts, sorted by name.
type ArtifactsPage struct {
	Artifacts []Artifact `json:"artifacts"`
	Next      string     `json:"continuationToken,omitempty"`
}

// ListArtifacts lists the artifacts of a run, LatestRun for the task's last one, without unfinished
// uploads; it pages like ListGroup.
func (q *Queue) ListArtifacts(ctx context.Context, id string, run, limit int, token string) (ArtifactsPage, error) {
	var after string
	if err := paging.Read(token, &after); err != nil {
		return ArtifactsPage{}, err
	}
	run, err := q.runOf(ctx, id, run)
	if err != nil {
		return ArtifactsPage{}, err
	}
	limit = paging.Size(limit)
	rows, err := q.deps.Pool.Query(ctx, listArtifactsSQL.Text, id, run, after, limit+1)
	if err != nil {
		return ArtifactsPage{}, fmt.Errorf("queue: %s: %w", listArtifactsSQL.Name, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, scanArtifact)
	if err != nil {
		return ArtifactsPage{}, fmt.Errorf("queue: %s: %w", listArtifactsSQL.Name, pg.Classify(err))
	}
	var page ArtifactsPage
	page.Artifacts, page.Next, err = paging.Cut(list, limit, func(a Artifact) []any { return []any{a.Name} })
	return page, err
}

func readArtifact(ctx context.Context, db querier, s pg.Statement, id string, run int, name string) (Artifact, error) {
	rows, err := db.Query(ctx, s.Text, id, run, name)
	if err != nil {
		return Artifact{}, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	a, err := pgx.CollectExactlyOneRow(rows, scanArtifact)
	if errors.Is(err, pgx.ErrNoRows) {
		return Artifact{}, fault.New(fault.NotFound, "Run %d of task %s has no artifact %q.", run, id, name)
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
	}
	return a, nil
}

func scanArtifact(row pgx.CollectableRow) (Artifact, error) {
	var (
		a      Artifact
		sha256 *string
	)
	err := row.Scan(&a.TaskID, &a.RunID, &a.ProjectID, &a.Name, &a.StorageType, &a.ContentType, &a.ContentLength, &sha256,
		&a.Target, &a.Reason, &a.Message, &a.UploadID, &a.Present, &a.Expires.Time, &a.now)
	a.ContentSHA256, a.Expires = text(sha256), task.At(a.Expires.Time)
	return a, err
}

const artifactColumns = `a.task_id, a.run_id, t.project_id, a.name, a.storage_type, a.content_type, a.content_length, a.content_sha256,
    a.target, a.reason, a.message, a.upload_id, a.present, a.expires, now()`

var (
	artifactSQL = pg.Statement{Name: "queue.artifact", Text: `
SELECT ` + artifactColumns + ` FROM artifacts a JOIN tasks t USING (task_id)
WHERE a.task_id = $1 AND a.run_id = $2 AND a.name = $3`}

	listArtifactsSQL = pg.Statement{Name: "queue.list-artifacts", Text: `
SELECT ` + artifactColumns + ` FROM artifacts a JOIN tasks t USING (task_id)
WHERE a.task_id = $1 AND a.run_id = $2 AND a.name > $3 AND a.present
ORDER BY a.name LIMIT $4`}
)
