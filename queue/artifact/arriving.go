package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/task"
)

// Keep brings the content of artifacts that come with a report into the object store; project asks for the task's
// project, at most once.
func (s *Shelf) Keep(ctx context.Context, id string, run int, list []Whole, project func() (string, error)) error {
	var known string
	for i := range list {
		w := &list[i]
		if w.StorageType != Object {
			continue
		}
		if s.uploads == nil {
			return NoUploads()
		}
		if known == "" {
			var err error
			if known, err = project(); err != nil {
				return err
			}
		}
		name := ObjectName(id, run, w.Name)
		if w.UploadID == "" {
			if err := s.uploads.Keep(ctx, name, known, w.ContentType, w.Expires.Time, w.Data); err != nil {
				return err
			}
			sum := sha256.Sum256(w.Data)
			w.found = Content{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(w.Data))}
			continue
		}
		if err := s.uploads.FinishUpload(ctx, name, known, w.UploadID, map[string]string{"sha256": w.SHA256}); err != nil {
			return err
		}
		content, err := s.uploads.Content(ctx, name)
		if err != nil {
			return err
		}
		w.found = content
	}
	return nil
}

// Arriving are the artifacts that come with the reports of one transaction.
type Arriving struct {
	keys  []Key
	there map[Key]*Artifact
	made  []Artifact
}

// Want notes the names of what comes with a report.
func (a *Arriving) Want(id string, run int, list []Whole) {
	for i := range list {
		a.keys = append(a.keys, Key{id, run, list[i].Name})
	}
}

// QueueRead adds to a batch the look for what is there already; what an attempt before made is forgotten.
func (a *Arriving) QueueRead(b *pgx.Batch) {
	a.there, a.made = map[Key]*Artifact{}, nil
	QueueRead(b, a.keys, a.there)
}

// Make makes the artifacts of a report whose run is s's, all or none, and returns those that are new to readers.
func (a *Arriving) Make(s *task.Status, run *task.Run, list []Whole, now task.Time) ([]Artifact, error) {
	var made []Artifact
	for i := range list {
		w := &list[i]
		one, changed, err := w.Of(s, run, a.there[Key{s.TaskID, run.RunID, w.Name}], now.Time)
		if err != nil {
			return nil, err
		}
		if changed {
			made = append(made, one)
		}
	}
	a.made = append(a.made, made...)
	return made, nil
}

// QueuePublish adds to a batch the writing of what was made.
func (a *Arriving) QueuePublish(b *pgx.Batch) { QueuePublish(b, a.made) }

// Without leaves out of uploads that are not finished those that a report finishes.
func Without(open []Artifact, id string, run int, list []Whole) []Artifact {
	var rest []Artifact
	for _, o := range open {
		finished := false
		for i := range list {
			finished = finished || o.TaskID == id && o.RunID == run && o.Name == list[i].Name
		}
		if !finished {
			rest = append(rest, o)
		}
	}
	return rest
}
