package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
	"github.com/treeline-ci/treeline/task"
)

// FinishRun makes artifacts of a running run and resolves it, both or neither: what a worker has to say at the end
// of a short task, in one call. Otherwise each artifact is as CreateArtifact and FinishArtifact would make it, and
// the report as that of ReportCompleted, ReportFailed and ReportException. The same again is no error. What
// content was stored of a run that is not resolved stays in the object store until it expires.
func (q *Queue) FinishRun(ctx context.Context, id string, run int, reason task.ReasonResolved, list []WholeArtifact) (task.Status, error) {
	if reason != task.ReasonCompleted && reason != task.ReasonFailed && !reason.Reportable() {
		return task.Status{}, fault.New(fault.Invalid, "%q is no outcome that a worker can report", reason)
	}
	if err := artifact.CheckWhole(list); err != nil {
		return task.Status{}, err
	}
	if err := q.keep(ctx, id, run, list); err != nil {
		return task.Status{}, fmt.Errorf("queue: finish run %s/%d: %w", id, run, err)
	}
	return q.settled(ctx, report{id, run, reason, list})
}

// keep brings the content of artifacts into the object store.
func (q *Queue) keep(ctx context.Context, id string, run int, list []WholeArtifact) error {
	var project string
	for i := range list {
		w := &list[i]
		if w.StorageType != StorageObject {
			continue
		}
		if q.deps.Uploads == nil {
			return artifact.NoUploads()
		}
		if project == "" {
			status, err := q.Status(ctx, id)
			if err != nil {
				return err
			}
			if run < 0 || run >= len(status.Runs) || status.Runs[run].State == task.Pending {
				return noRun(id, run)
			}
			project = status.ProjectID
		}
		name := ObjectName(id, run, w.Name)
		if w.UploadID == "" {
			if err := q.deps.Uploads.Keep(ctx, name, project, w.ContentType, w.Expires.Time, w.Data); err != nil {
				return err
			}
			sum := sha256.Sum256(w.Data)
			w.Found(Content{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(w.Data))})
			continue
		}
		if err := q.deps.Uploads.FinishUpload(ctx, name, project, w.UploadID, map[string]string{"sha256": w.SHA256}); err != nil {
			return err
		}
		content, err := q.deps.Uploads.Content(ctx, name)
		if err != nil {
			return err
		}
		w.Found(content)
	}
	return nil
}

// settled reports; it looks for the content of artifacts of type s3 when the report waits for them.
func (q *Queue) settled(ctx context.Context, r report) (task.Status, error) {
	status, err := q.together.reports.Do(ctx, r)
	u, ok := errors.AsType[*artifact.NotUploaded](err)
	if !ok || !u.Puts() {
		return status, err
	}
	for i := range u.Uploads {
		if err := q.Settle(ctx, &u.Uploads[i]); err != nil {
			return task.Status{}, err
		}
	}
	return q.together.reports.Do(ctx, r)
}

// shelving are the artifacts that come with the reports of one transaction.
type shelving struct {
	keys  []artifact.Key
	there map[artifact.Key]*Artifact
	made  []Artifact
}

func (s *shelving) want(r report) {
	for i := range r.artifacts {
		s.keys = append(s.keys, artifact.Key{TaskID: r.id, RunID: r.run, Name: r.artifacts[i].Name})
	}
}

func (s *shelving) look(b *pgx.Batch) {
	s.there = map[artifact.Key]*Artifact{}
	artifact.QueueRead(b, s.keys, s.there)
}

// finishes says whether an upload will be finished by the report.
func (p report) finishes(a *Artifact) bool {
	for i := range p.artifacts {
		if p.artifacts[i].Name == a.Name {
			return a.TaskID == p.id && a.RunID == p.run
		}
	}
	return false
}

// shelve makes the artifacts of a report that resolves its run; they are told of before the run's end.
func (c *change) shelve(s *shelving, p report, r *record) error {
	run := r.run(p.run)
	var made []Artifact
	for i := range p.artifacts {
		w := &p.artifacts[i]
		a, changed, err := w.Of(&r.Status, run, s.there[artifact.Key{TaskID: p.id, RunID: p.run, Name: w.Name}], r.now)
		if err != nil {
			return err
		}
		if changed {
			made = append(made, a)
		}
	}
	for _, a := range made {
		c.tellArtifact(r, *run, a)
	}
	s.made = append(s.made, made...)
	return nil
}
