package queue

import (
	"context"

	"github.com/treeline-ci/treeline/queue/combine"
	"github.com/treeline-ci/treeline/task"
)

// Outcome is what one call of several that share a transaction gets.
type Outcome[T any] struct {
	Value T
	Err   error
}

func outcomes[T any](answers []combine.Answer[T]) []Outcome[T] {
	out := make([]Outcome[T], len(answers))
	for i, a := range answers {
		out[i] = Outcome[T]{a.Value, a.Err}
	}
	return out
}

// CreateTogether does several creates in one transaction.
func (q *Queue) CreateTogether(ctx context.Context, batches ...[]NewTask) ([]Outcome[[]task.Status], error) {
	calls := make([]combine.Call[[]NewTask], len(batches))
	for i, b := range batches {
		calls[i].Item = b
	}
	answers, err := q.createTogether(ctx, calls)
	return outcomes(answers), err
}

// Report is what a worker says of a run.
type Report struct {
	ID        string
	Run       int
	Reason    task.ReasonResolved
	Artifacts []WholeArtifact
}

// ReportTogether does several reports in one transaction.
func (q *Queue) ReportTogether(ctx context.Context, reports ...Report) ([]Outcome[task.Status], error) {
	calls := make([]combine.Call[report], len(reports))
	for i, r := range reports {
		calls[i].Item = report{id: r.ID, run: r.Run, reason: r.Reason, artifacts: r.Artifacts}
	}
	answers, err := q.reportTogether(ctx, calls)
	return outcomes(answers), err
}

// ClaimTogether does several claims in one transaction, for callers with the given contexts.
func (q *Queue) ClaimTogether(ctx context.Context, callers []context.Context, requests ...ClaimRequest) ([]Outcome[[]Claim], error) {
	calls := make([]combine.Call[ClaimRequest], len(requests))
	for i, r := range requests {
		calls[i] = combine.CallOf(callers[i], r)
	}
	answers, err := q.claimTogether(ctx, calls)
	out := make([]Outcome[[]Claim], len(answers))
	for i, a := range answers {
		out[i] = Outcome[[]Claim]{a.Value.claims, a.Err}
	}
	return out, err
}
