package intake

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/history"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	past "github.com/treeline-ci/treeline/taskgraph/history"
)

// Past is a push as history knows it.
func Past(p push.Push) history.Push {
	return history.Push{Project: p.Repository, Branch: p.Branch, ID: p.ID, Revision: p.Revision, Time: p.Time, TaskGroupID: p.TaskGroupID}
}

// past gives the table of earlier pushes, for strategies that ask for it. Only a push's own decision
// enters its push; others see what the next push would.
func (d *nativeDecision) past(ctx context.Context, p push.Push) past.Source {
	return func() (*past.Table, error) {
		if d.occasion.Cron == nil && p.ID != 0 {
			return d.History.For(ctx, Past(p))
		}
		table, err := d.History.Next(ctx, d.push.Repository, d.push.Branch)
		if errors.Is(err, fault.NotFound) { // the branch has no pushes
			return nil, nil
		}
		return table, err
	}
}
