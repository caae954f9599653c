package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/queue/artifact"
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
	if err := n.Check(w.Name); err != nil {
		return err
	}
	run := *r.run(runID)
	a, err := n.Of(&r.Status, &run, w.Name, r.now)
	if err != nil {
		return err
	}
	if _, _, err := artifact.Publish(ctx, c.tx, &a); err != nil || a.Present {
		return err
	}
	if err := artifact.Finish(ctx, c.tx, &a, w.SHA256, w.Size); err != nil {
		return err
	}
	c.tellArtifact(r, run, a)
	return nil
}
