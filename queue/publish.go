package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/queue/holder"
	"github.com/treeline-ci/treeline/queue/message"
	"github.com/treeline-ci/treeline/task"
)

// Upload says what to do next for a created artifact. An object has to be uploaded to the object store
// under Name with these credentials and UploadID, and then finished by FinishArtifact; Expires is the
// object's. For s3, one PUT to PutURL, before Expires, with the ContentType, is all.
type Upload struct {
	StorageType StorageType  `json:"storageType"`
	Name        string       `json:"name,omitempty"`
	ProjectID   string       `json:"projectId,omitempty"`
	UploadID    string       `json:"uploadId,omitempty"`
	Expires     *task.Time   `json:"expires,omitempty"`
	Credentials *Credentials `json:"credentials,omitempty"`
	PutURL      string       `json:"putUrl,omitempty"`
	ContentType string       `json:"contentType,omitempty"`
}

// How long the credentials for uploads and downloads hold (taskcluster-map 5.8).
const (
	uploadTime   = 24 * time.Hour
	downloadTime = time.Hour
)

// CreateArtifact announces an artifact of a run that is running, or ended as exception a short while
// ago. The same artifact again is no error; a changed one is fault.Conflict, but the expiry may grow,
// and a reference may become another reference or a link.
func (q *Queue) CreateArtifact(ctx context.Context, id string, runID int, name string, n NewArtifact) (Upload, error) {
	if err := n.Check(name); err != nil {
		return Upload{}, err
	}
	if n.StorageType.Stored() && q.deps.Uploads == nil {
		return Upload{}, artifact.NoUploads()
	}
	var (
		a     Artifact
		run   task.Run
		again bool
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
		if err := holder.Of(ctx).Check(id, &run); err != nil {
			return err
		}
		if a, err = n.Of(&r.Status, &run, name, r.now); err != nil {
			return err
		}
		var changed bool
		changed, again, err = artifact.Publish(ctx, c.tx, &a)
		if err == nil && changed && a.Present {
			c.tellArtifact(r, run, a)
		}
		return err
	})
	if err == nil && again && a.StorageType.Stored() {
		err = q.deps.Uploads.Extend(ctx, a.ObjectName(), a.Expires.Time)
	}
	if err != nil {
		return Upload{}, fmt.Errorf("queue: artifact %q of %s/%d: %w", name, id, runID, err)
	}
	return q.upload(ctx, a, run)
}

// upload says how the content of a created artifact is to be sent.
func (q *Queue) upload(ctx context.Context, a Artifact, run task.Run) (Upload, error) {
	switch a.StorageType {
	case StorageObject:
		creds, err := q.mint(hawk.TempOptions{
			ClientID: fmt.Sprintf("artifact-upload/%s/%d/on/%s/%s", a.TaskID, a.RunID, run.WorkerGroup, run.WorkerID),
			Scopes:   []string{"object:upload:" + a.ProjectID + ":" + a.ObjectName()},
			Start:    a.Now, Expiry: a.Now.Add(uploadTime),
		})
		return Upload{
			StorageType: StorageObject, Name: a.ObjectName(), ProjectID: a.ProjectID, UploadID: a.UploadID, Expires: &a.Expires, Credentials: &creds,
		}, err
	case StorageS3:
		// The length that was announced may be that of the content, while what is sent is compressed.
		url, until, err := q.deps.Uploads.SignedPut(ctx, a.ObjectName(), a.ProjectID, a.ContentType, -1, a.Expires.Time)
		if err != nil {
			return Upload{}, fmt.Errorf("queue: artifact %s: %w", a.ObjectName(), err)
		}
		ends := task.At(until)
		return Upload{StorageType: StorageS3, PutURL: url, ContentType: a.ContentType, Expires: &ends}, nil
	}
	return Upload{StorageType: a.StorageType}, nil
}

// FinishArtifact makes an artifact of type object visible, when its upload is finished. It is
// idempotent.
func (q *Queue) FinishArtifact(ctx context.Context, id string, runID int, name, uploadID string) error {
	if q.deps.Uploads == nil {
		return artifact.NoUploads()
	}
	content, missing := q.deps.Uploads.Content(ctx, ObjectName(id, runID, name))
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
		if err := holder.Of(ctx).Check(id, r.run(runID)); err != nil {
			return err
		}
		a, err := artifact.Read(ctx, c.tx, id, runID, name)
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
		if err := artifact.Finish(ctx, c.tx, &a, content.SHA256, content.Size); err != nil {
			return err
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
		Start:    a.Now, Expiry: a.Now.Add(downloadTime),
	})
}

func (c *change) tellArtifact(r *record, run task.Run, a Artifact) {
	status := r.Status
	c.add(r, kindArtifact, &run.RunID, message.Task{
		Status: &status, WorkerGroup: run.WorkerGroup, WorkerID: run.WorkerID, Version: message.Version,
		Artifact: &message.Artifact{StorageType: string(a.StorageType), Name: a.Name, Expires: a.Expires, ContentType: a.ContentType},
	})
}
