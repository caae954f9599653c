package push

import (
	"context"
	"strconv"

	"github.com/treeline-ci/treeline/internal/stamp"
)

// Mark returns a context whose lines of the log have the push, as repository/id, and its task group where that is known.
func (p Push) Mark(ctx context.Context) context.Context {
	if p.ID == 0 {
		return ctx
	}
	return stamp.With(stamp.With(ctx, stamp.Push, p.Repository+"/"+strconv.FormatInt(p.ID, 10)), stamp.Group, p.TaskGroupID)
}
