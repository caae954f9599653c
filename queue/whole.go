package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/task"
)

// Whole is an artifact whose content stands in the object store already, under ObjectName.
type Whole struct {
	Name        string
	ContentType string
	SHA256      string // lower-case hex
	Size        int64  // bytes
	Expires     task.Time
}

// ObjectName is the name in the object store of an artifact of type object.
func ObjectName(taskID string, run int, name string) string { return objectName(taskID, run, name) }

// PublishWhole makes finished artifacts of type object of a run, in one transaction: for work that is
// done in the server. It is idempotent; its refusals are those of CreateArtifact.
func (q *Queue) PublishWhole(ctx context.Context, id string, runID int, artifacts []Whole) error {
	err := q.change(ctx, func(ctx context.Context, c *change) error {
		r, err := c.one(ctx, id)
		if err != nil {
			return err
		}
		if r.run(runID) == nil {
			return noRun(id, runID)
		}
		for _, w := range artifacts {
			if err := c.publishWhole(ctx, r, runID, w); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("queue: %d artifacts of %s/%d: %w", len(artifacts), id, runID, err)
	}
	return nil
}

func (c *change) publishWhole(ctx context.Context, r *record, runID int, w Whole) error {
	n := NewArtifact{StorageType: StorageObject, ContentType: w.ContentType, ContentLength: &w.Size, Expires: w.Expires}
	if err := n.check(w.Name); err != nil {
		return err
	}
	run := *r.run(runID)
	if err := mayPublish(r, run, w.Name, n); err != nil {
		return err
	}
	a := n.artifact(r, runID, w.Name)
	if _, err := c.publish(ctx, &a); err != nil || a.Present {
		return err
	}
	if _, err := c.tx.Exec(ctx, finishArtifactSQL.Text, r.TaskID, runID, w.Name, orNull(w.SHA256), w.Size); err != nil {
		return fmt.Errorf("queue: %s: %w", finishArtifactSQL.Name, err)
	}
	c.tellArtifact(r, run, a)
	return nil
}
