package queue

import (
	"context"
	"fmt"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue/artifact"
)

// unfinished is the fault.Conflict of a run that was reported as completed before its uploads were
// finished.
type unfinished struct {
	error
	uploads []Artifact
}

func (u *unfinished) Unwrap() error { return u.error }

// puts reports whether there are uploads among them that only the object store knows the end of.
func (u *unfinished) puts() bool {
	for _, a := range u.uploads {
		if a.StorageType == StorageS3 {
			return true
		}
	}
	return false
}

// unfinished returns the uploads of tasks that are not finished. The tasks' locks keep new ones away.
func (c *change) unfinished(ctx context.Context, ids []string) ([]Artifact, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return artifact.Unfinished(ctx, c.tx, ids)
}

// uploaded refuses to complete a run that has some of the uploads which are not finished.
func uploaded(open []Artifact, id string, run int) error {
	var list []Artifact
	for _, a := range open {
		if a.TaskID == id && a.RunID == run {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil
	}
	more := ""
	if len(list) > 1 {
		more = fmt.Sprintf(", nor are %d more", len(list)-1)
	}
	return &unfinished{uploads: list, error: fault.New(fault.Conflict,
		"Run %d of task %s cannot be resolved as completed: the upload of artifact %q is not finished%s. Finish it, or report the run as failed or as an exception.",
		run, id, list[0].Name, more)}
}

// settleAll looks for each of the uploads whether its content has come.
func (q *Queue) settleAll(ctx context.Context, uploads []Artifact) error {
	for i := range uploads {
		if err := q.settle(ctx, &uploads[i]); err != nil {
			return err
		}
	}
	return nil
}
