package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/draft"
	"github.com/treeline-ci/treeline/queue/message"
	"github.com/treeline-ci/treeline/task"
)

// NewArtifact is an artifact to create.
type NewArtifact struct {
	StorageType   StorageType `json:"storageType"`
	ContentType   string      `json:"contentType"`
	ContentLength *int64      `json:"contentLength"` // bytes, when known
	Expires       task.Time   `json:"expires"`       // at most the task's
	URL           string      `json:"url"`           // of a reference
	Artifact      string      `json:"artifact"`      // what a link means: an artifact of the same run
	Reason        string      `json:"reason"`        // of an error
	Message       string      `json:"message"`       // of an error
}

// Upload says what to do next for a created artifact: an object has to be uploaded to the object store
// under Name with these credentials and UploadID, and then finished by FinishArtifact.
type Upload struct {
	StorageType StorageType  `json:"storageType"`
	Name        string       `json:"name,omitempty"`
	ProjectID   string       `json:"projectId,omitempty"`
	UploadID    string       `json:"uploadId,omitempty"`
	Expires     *task.Time   `json:"expires,omitempty"`
	Credentials *Credentials `json:"credentials,omitempty"`
}

// Limits of artifacts (taskcluster-map 5.8).
const (
	maxArtifactName   = 1024
	lateArtifacts     = 25 * time.Minute // after the run ended as exception
	uploadTime        = 24 * time.Hour
	downloadTime      = time.Hour
	plainContentType  = "application/octet-stream"
	errorContentType  = "application/json"
	maxArtifactTarget = 8192
)

// CreateArtifact announces an artifact of a run that is running, or ended as exception a short while
// ago. The same artifact again is no error; a changed one is fault.Conflict, but the expiry may grow,
// and a reference may become another reference or a link.
func (q *Queue) CreateArtifact(ctx context.Context, id string, runID int, name string, n NewArtifact) (Upload, error) {
	if err := n.check(name); err != nil {
		return Upload{}, err
	}
	if n.StorageType == StorageObject && q.deps.Uploads == nil {
		return Upload{}, noUploads()
	}
	var (
		a   Artifact
		run task.Run
	)
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		if r.run(runID) == nil {
			return noRun(id, runID)
		}
		run = *r.run(runID)
		if err := mayPublish(r, run, name, n); err != nil {
			return err
		}
		a = n.artifact(r, runID, name)
		changed, err := c.publish(ctx, &a)
		if err == nil && changed && a.Present {
			c.tellArtifact(r, run, a)
		}
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("queue: artifact %q of %s/%d: %w", name, id, runID, err)
	}
	if a.StorageType != StorageObject {
		return Upload{StorageType: a.StorageType}, nil
	}
	creds, err := q.mint(hawk.TempOptions{
		ClientID: fmt.Sprintf("artifact-upload/%s/%d/on/%s/%s", id, runID, run.WorkerGroup, run.WorkerID),
		Scopes:   []string{"object:upload:" + a.ProjectID + ":" + a.ObjectName()},
		Start:    a.now, Expiry: a.now.Add(uploadTime),
	})
	return Upload{
		StorageType: StorageObject, Name: a.ObjectName(), ProjectID: a.ProjectID, UploadID: a.UploadID, Expires: &a.Expires, Credentials: &creds,
	}, err
}

func (n *NewArtifact) check(name string) error {
	switch {
	case len(name) < 1 || len(name) > maxArtifactName || !draft.Printable(name):
		return fault.New(fault.Invalid, "An artifact's name must have 1 to %d printable ASCII characters.", maxArtifactName)
	case n.StorageType == StorageS3:
		return fault.New(fault.Invalid, "This server has no s3 storage: create the artifact with storageType %q.", StorageObject)
	case !draft.Storable(n.ContentType) || !draft.Storable(n.URL) || !draft.Storable(n.Artifact) || !draft.Storable(n.Message) || !draft.Storable(n.Reason):
		return fault.New(fault.Invalid, "An artifact's properties must be UTF-8 without NUL.")
	case len(n.URL) > maxArtifactTarget || len(n.Artifact) > maxArtifactName:
		return fault.New(fault.Invalid, "What the artifact refers to has too long a name.")
	}
	return nil
}

// mayPublish refuses artifacts of runs that do not take any, and expiries out of range.
func mayPublish(r *record, run task.Run, name string, n NewArtifact) error {
	at := fmt.Sprintf("Artifact %q of run %d of task %s", name, run.RunID, r.TaskID)
	late := run.State == task.Exception && run.Started != nil && run.Resolved.After(r.now.Add(-lateArtifacts))
	switch {
	case run.State != task.Running && !late:
		return fault.New(fault.Conflict, "%s cannot be created: the run is %s%s. Only a running one takes artifacts, or one that ended as exception less than %v ago.",
			at, run.State, because(&run), lateArtifacts)
	case n.Expires.After(r.Expires.Time):
		return fault.New(fault.Invalid, "%s cannot expire at %s, after its task (%s).", at, n.Expires, r.Expires)
	case n.Expires.Before(r.now.Add(-task.ClockTolerance)):
		return fault.New(fault.Invalid, "%s cannot expire at %s, which has passed.", at, n.Expires)
	}
	return nil
}

func (n *NewArtifact) artifact(r *record, run int, name string) Artifact {
	a := Artifact{
		TaskID: r.TaskID, RunID: run, ProjectID: r.ProjectID, Name: name, StorageType: n.StorageType, ContentType: n.ContentType,
		ContentLength: n.ContentLength, Expires: n.Expires, Target: n.URL + n.Artifact, Reason: n.Reason, Message: n.Message,
		Present: n.StorageType != StorageObject, now: r.now,
	}
	switch {
	case a.StorageType == StorageError:
		a.ContentType = errorContentType
	case a.ContentType == "":
		a.ContentType = plainContentType
	}
	if a.StorageType == StorageObject {
		a.UploadID = slug.New()
	}
	return a
}

// publish writes the artifact, unless it is there already; then a becomes what is there.
func (c *change) publish(ctx context.Context, a *Artifact) (changed bool, err error) {
	there, err := readArtifact(ctx, c.tx, artifactSQL, a.TaskID, a.RunID, a.Name)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return false, err
	}
	if err == nil {
		if reason := collides(&there, a); reason != "" {
			return false, fault.New(fault.Conflict, "Artifact %q of run %d of task %s exists already, and %s.", a.Name, a.RunID, a.TaskID, reason)
		}
		if there.StorageType == a.StorageType {
			a.UploadID, a.Present, a.ContentLength, a.ContentSHA256 = there.UploadID, there.Present, there.ContentLength, there.ContentSHA256
			changed = there.Target != a.Target
			if !changed && there.Expires.Equal(a.Expires.Time) {
				return false, nil
			}
		}
	}
	_, err = c.tx.Exec(ctx, publishSQL.Text, a.TaskID, a.RunID, a.Name, a.StorageType, a.ContentType, a.ContentLength, a.Target, a.Reason, a.Message,
		a.UploadID, a.Present, a.Expires.Time)
	if err != nil {
		return false, fmt.Errorf("queue: %s: %w", publishSQL.Name, err)
	}
	return changed || there.StorageType != a.StorageType, nil
}

// collides says what is wrong with replacing the artifact that is there, "" when nothing is.
func collides(there, a *Artifact) string {
	toLink := a.StorageType == StorageLink
	switch {
	case there.StorageType != a.StorageType && (there.StorageType != StorageReference || !toLink):
		return fmt.Sprintf("its storageType is %s", there.StorageType)
	case a.Expires.Before(there.Expires.Time):
		return fmt.Sprintf("it expires at %s: that may only become later", there.Expires)
	case !toLink && a.ContentType != there.ContentType:
		return fmt.Sprintf("its contentType is %q", there.ContentType)
	case a.StorageType == StorageObject && a.ContentLength != nil && there.ContentLength != nil && *a.ContentLength != *there.ContentLength:
		return fmt.Sprintf("its contentLength is %d", *there.ContentLength)
	case there.StorageType == StorageReference:
		return ""
	case a.Target != there.Target:
		return fmt.Sprintf("it means %q", there.Target)
	case a.Reason != there.Reason || a.Message != there.Message:
		return "its reason or message is another"
	}
	return ""
}

// FinishArtifact makes an artifact of type object visible, when its upload is finished. It is
// idempotent.
func (q *Queue) FinishArtifact(ctx context.Context, id string, runID int, name, uploadID string) error {
	if q.deps.Uploads == nil {
		return noUploads()
	}
	content, missing := q.deps.Uploads.Content(ctx, objectName(id, runID, name))
	if missing != nil && !errors.Is(missing, fault.NotFound) {
		return fmt.Errorf("queue: finish artifact %q of %s/%d: %w", name, id, runID, missing)
	}
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		if r.run(runID) == nil {
			return noRun(id, runID)
		}
		a, err := readArtifact(ctx, c.tx, artifactSQL, id, runID, name)
		switch {
		case err != nil:
			return err
		case a.StorageType != StorageObject:
			return fault.New(fault.Invalid, "Artifact %q is of type %s: only those of type %s are finished.", name, a.StorageType, StorageObject)
		case a.UploadID != uploadID:
			return fault.New(fault.Invalid, "Artifact %q has another uploadId than %s.", name, uploadID)
		case a.Present:
			return nil
		case missing != nil:
			return fault.New(fault.Conflict, "Artifact %q cannot be finished: its upload %s to the object service is not.", name, uploadID)
		}
		_, err = c.tx.Exec(ctx, finishArtifactSQL.Text, id, runID, name, orNull(content.SHA256), content.Size)
		if err != nil {
			return fmt.Errorf("queue: %s: %w", finishArtifactSQL.Name, err)
		}
		c.tellArtifact(r, *r.run(runID), a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: finish artifact %q of %s/%d: %w", name, id, runID, err)
	}
	return nil
}

// DownloadCredentials returns credentials that may read an artifact of type object for a while.
func (q *Queue) DownloadCredentials(a Artifact) (Credentials, error) {
	return q.mint(hawk.TempOptions{
		ClientID: fmt.Sprintf("artifact-download/%s/%d", a.TaskID, a.RunID),
		Scopes:   []string{"object:download:" + a.ObjectName()},
		Start:    a.now, Expiry: a.now.Add(downloadTime),
	})
}

func (c *change) tellArtifact(r *record, run task.Run, a Artifact) {
	status := r.Status
	c.add(r, kindArtifact, &run.RunID, message.Task{
		Status: &status, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID, Version: message.Version,
		Artifact: &message.Artifact{StorageType: string(a.StorageType), Name: a.Name, Expires: a.Expires, ContentType: a.ContentType},
	})
}

var (
	publishSQL = pg.Statement{Name: "queue.publish", Text: `
INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, content_length, target, reason, message, upload_id, present, expires)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (task_id, run_id, name) DO UPDATE SET
    storage_type = excluded.storage_type, content_type = excluded.content_type, content_length = excluded.content_length, target = excluded.target,
    expires = excluded.expires`}

	finishArtifactSQL = pg.Statement{Name: "queue.finish-artifact", Text: `
UPDATE artifacts SET present = true, content_sha256 = $4, content_length = $5 WHERE task_id = $1 AND run_id = $2 AND name = $3`}
)
