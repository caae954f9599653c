package queue

import (
	"context"

	"github.com/treeline-ci/treeline/queue/weigh"
	"github.com/treeline-ci/treeline/queue/why"
)

// WhyPending says why a task does not run yet.
func (q *Queue) WhyPending(ctx context.Context, id string) (why.Answer, error) {
	status, err := q.Status(ctx, id)
	if err != nil {
		return why.Answer{}, err
	}
	return why.Read(ctx, q.deps.Pool, status)
}

// WeighGroup gives a task group its weight against others of the same priority, 1 to 100
// (docs/explanation/fairness.md). It holds for what is pending and for what will be.
func (q *Queue) WeighGroup(ctx context.Context, id string, weight int) (weigh.Group, error) {
	g, err := weigh.Set(ctx, q.deps.Pool, id, weight)
	if err == nil {
		q.turns.Weighed(id)
	}
	return g, err
}
