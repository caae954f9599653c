package github

import (
	"context"
	"reflect"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/app/github/scopegate"
)

// gated reports whether an owner has to approve what pull requests bring.
func (g *GitHub) gated(ctx context.Context, r repository) (bool, error) {
	file, _, err := g.defaults(ctx, r)
	return err == nil && file.Extras.ApproveNewScopes != "", err
}

// holdPull writes down what a pull request brings, and has the check say whether it may.
func (g *GitHub) holdPull(ctx context.Context, t *told, p pullPayload, out graphdiff.Outcome, state checks.State) error {
	pull := scopegate.Pull{Repository: t.repo.ID, Number: p.Number, Base: p.Base.Ref, Revision: p.Head.SHA, Author: p.User.login()}
	if t.payload.Action == "opened" || t.payload.Action == "synchronize" {
		pull.PushedBy = t.payload.Sender.login()
	}
	if err := g.gate().Found(ctx, pull, out.Gains(p.Head.SHA)); err != nil {
		return err
	}
	return g.showHeld(ctx, t.repo, graphCheck(t.repo, p.Head.SHA), func(pulls []scopegate.Held) checks.State { return scopegate.Show(state, pulls) })
}

// showHeld has a check say how the pull requests at its revision stand. Those are looked at once more after it was said:
// of two servers that do this for two pull requests of one revision, the later one then says what both found.
func (g *GitHub) showHeld(ctx context.Context, r repository, check checks.Check, show func([]scopegate.Held) checks.State) error {
	for {
		pulls, err := g.gate().At(ctx, r.ID, check.SHA)
		if err != nil {
			return err
		}
		if err := g.Checks.Want(ctx, check, show(pulls)); err != nil {
			return err
		}
		after, err := g.gate().At(ctx, r.ID, check.SHA)
		if err != nil || reflect.DeepEqual(pulls, after) {
			return err
		}
	}
}

// passGroup lets a merge group pass: what its pull requests bring was approved before GitHub let them into the queue.
func (g *GitHub) passGroup(ctx context.Context, r repository, sha string) error {
	held, err := g.gated(ctx, r)
	if err != nil || !held {
		return err
	}
	state := checks.State{
		Status: checks.Completed, Title: "Its pull requests were looked at", Summary: "What pull requests bring is approved before they come to the merge queue.",
	}
	return g.showHeld(ctx, r, graphCheck(r, sha), func(pulls []scopegate.Held) checks.State { return scopegate.Show(state, pulls) })
}

// graphCheck is the check "task graph" of a revision.
func graphCheck(r repository, sha string) checks.Check {
	return checks.Check{Installation: r.Installation, Repository: r.Owner + "/" + r.Repo, SHA: sha, Name: graphdiff.Name, Kind: checks.GraphDiff}
}

func (g *GitHub) gate() scopegate.Gate { return scopegate.Gate{Pool: g.Pool} }

// approve lets pass what the pull requests at a revision bring.
func (p *press) approve(ctx context.Context) (string, error) {
	err := p.g.gate().Approve(ctx, p.repo.ID, p.repo.Owner+"/"+p.repo.Repo, p.check.SHA, p.payload.Sender.login(), p.by())
	if err != nil {
		return "", err
	}
	return "what is new is approved.", p.g.showHeld(ctx, p.repo, p.check, func(pulls []scopegate.Held) checks.State { return scopegate.Approved(p.state, pulls) })
}
