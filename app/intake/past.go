package intake

import (
	"context"

	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/push"
	past "github.com/treeline-ci/treeline/taskgraph/history"
)

// Past is a push as history knows it.
func Past(p push.Push) history.Push {
	return history.Push{Project: p.Repository, Branch: p.Branch, ID: p.ID, Revision: p.Revision, Time: p.Time, TaskGroupID: p.TaskGroupID}
}

// past gives the table of earlier pushes, for strategies that ask for it.
func (d *nativeDecision) past(ctx context.Context) past.Source {
	return func() (*past.Table, error) { return d.History.For(ctx, Past(d.push)) }
}
