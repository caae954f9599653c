package artifact

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Content is what the object store knows of a finished object.
type Content struct {
	SHA256 string // lower-case hex; "" when unknown
	Size   int64  // bytes
}

// Uploads is the object store, as the queue needs it.
type Uploads interface {
	// DownloadURL returns an absolute URL from which the object can be read for a while without
	// credentials. An object that is not there or not finished is fault.NotFound.
	DownloadURL(ctx context.Context, name string) (string, error)
	// Content describes a finished object; one that is not there is fault.NotFound.
	Content(ctx context.Context, name string) (Content, error)
	// SignedPut returns a URL to which a content of the type can be PUT until the given instant; then it
	// is an object that is finished. contentLength is in bytes, -1 when it is not known. Asking again
	// gives another URL.
	SignedPut(ctx context.Context, name, projectID, contentType string, contentLength int64, expires time.Time) (url string, until time.Time, err error)
	// Keep makes a finished object of a content. The same content again is no error, another is
	// fault.Conflict.
	Keep(ctx context.Context, name, projectID, contentType string, expires time.Time, content []byte) error
	// FinishUpload makes an object of an upload whose content has come; the hashes given must be those of
	// the content. Again is no error.
	FinishUpload(ctx context.Context, name, projectID, uploadID string, hashes map[string]string) error
	// Extend lets an object, finished or not, expire no earlier than the given instant; one that is
	// not there is no error.
	Extend(ctx context.Context, name string, expires time.Time) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Latest stands for the last run of a task where a run's number is asked for, even for one that has not
// begun.
const Latest = -1

// Shelf is where artifacts are read.
type Shelf struct {
	db      Database
	uploads Uploads
}

// NewShelf returns a Shelf; uploads is nil where there is no object store.
func NewShelf(db Database, uploads Uploads) *Shelf { return &Shelf{db, uploads} }

// Artifact returns an artifact of a run, Latest for the task's last one. Links are not followed.
// One that is not there, or is an unfinished upload, is fault.NotFound; one past its expiry fault.Gone.
func (s *Shelf) Artifact(ctx context.Context, id string, run int, name string) (Artifact, error) {
	run, err := s.runOf(ctx, id, run)
	if err != nil {
		return Artifact{}, err
	}
	return s.artifact(ctx, id, run, name)
}

func (s *Shelf) artifact(ctx context.Context, id string, run int, name string) (Artifact, error) {
	a, err := Read(ctx, s.db, id, run, name)
	if err != nil {
		return Artifact{}, err
	}
	if err := s.Settle(ctx, &a); err != nil {
		return Artifact{}, err
	}
	if !a.Present {
		return Artifact{}, a.Uploading()
	}
	return a, a.Expired()
}

// Settle looks whether the content of an artifact of type s3 has come: its PUT is all that the worker
// does.
func (s *Shelf) Settle(ctx context.Context, a *Artifact) error {
	if a.Present || a.StorageType != S3 || s.uploads == nil {
		return nil
	}
	content, err := s.uploads.Content(ctx, a.ObjectName())
	if errors.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("queue: artifact %s: %w", a.ObjectName(), err)
	}
	return Finish(ctx, s.db, a, content.SHA256, content.Size)
}

// runOf makes a run's number of Latest; other numbers must be runs of the task. Artifacts of a task that
// has expired are fault.Gone until they are removed, so such a task counts.
func (s *Shelf) runOf(ctx context.Context, id string, run int) (int, error) {
	rows, err := s.db.Query(ctx, lastRunSQL.Text, id)
	if err != nil {
		return 0, fmt.Errorf("queue: %s: %w", lastRunSQL.Name, pg.Classify(err))
	}
	last, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, fault.New(fault.NotFound, "Task %s does not exist. Is the id right? Tasks vanish when they expire.", id)
	case err != nil:
		return 0, fmt.Errorf("queue: %s: %w", lastRunSQL.Name, pg.Classify(err))
	case run == Latest:
		run = last
	}
	if run < 0 || run > last {
		return 0, fault.New(fault.NotFound, "Task %s has no run %d.", id, run)
	}
	return run, nil
}

// maxLinks bounds the length of a chain of links.
const maxLinks = 20

// FollowLinks finds the artifact that a name means, through links, and returns the names on the way,
// the given one first. A caller needs the right to read every one of them, before it may learn
// whether there is anything: so names are returned with every error (taskcluster-map 5.8).
func (s *Shelf) FollowLinks(ctx context.Context, id string, run int, name string) (a Artifact, names []string, err error) {
	names = []string{name}
	if run, err = s.runOf(ctx, id, run); err != nil {
		return Artifact{}, names, err
	}
	for {
		a, err = s.artifact(ctx, id, run, names[len(names)-1])
		if err != nil || a.StorageType != Link {
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
func (s *Shelf) Location(ctx context.Context, a Artifact) (string, error) {
	switch {
	case a.StorageType == Reference:
		return a.Target, nil
	case a.StorageType.Stored():
		if s.uploads == nil {
			return "", NoUploads()
		}
		url, err := s.uploads.DownloadURL(ctx, a.ObjectName())
		if err != nil {
			return "", fmt.Errorf("queue: artifact %s: %w", a.ObjectName(), err)
		}
		return url, nil
	}
	return "", fault.New(fault.Invalid, "Artifact %q is of type %s, which has no content of its own.", a.Name, a.StorageType)
}

// NoUploads is what a server without an object store answers.
func NoUploads() error {
	return fault.New(fault.Unavailable, "This server keeps no objects: no object store is configured.")
}

// ListArtifacts lists the artifacts of a run, Latest for the task's last one, without unfinished
// uploads; it pages by name.
func (s *Shelf) ListArtifacts(ctx context.Context, id string, run, limit int, token string) (Page, error) {
	run, err := s.runOf(ctx, id, run)
	if err != nil {
		return Page{}, err
	}
	page, err := List(ctx, s.db, id, run, limit, token)
	if err != nil {
		return Page{}, err
	}
	present := make([]Artifact, 0, len(page.Artifacts))
	for _, a := range page.Artifacts {
		if err := s.Settle(ctx, &a); err != nil {
			return Page{}, err
		}
		if a.Present {
			present = append(present, a)
		}
	}
	page.Artifacts = present
	return page, nil
}

var lastRunSQL = pg.Statement{Name: "queue.last-run", Text: `
SELECT coalesce((SELECT max(run_id) FROM runs r WHERE r.task_id = t.task_id), -1) FROM tasks t WHERE t.task_id = $1`}
