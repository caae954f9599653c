package github

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/app/github/graphdiff"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/taskgraph/history"
	"github.com/treeline-ci/treeline/taskgraph/params"
	"github.com/treeline-ci/treeline/templates"
	"github.com/treeline-ci/treeline/workers/runtask"
)

// graphDiffEvent is what we store, as if it had been delivered, for the graphs of a pull request to be compared: it is
// taken once, by whichever server, and again after a failure, beside the deliveries and never before them.
const graphDiffEvent = "treeline.graph-diff"

// wantGraphDiff asks for the check "task graph" of a pull request's revision, once for each head, and again whenever it
// gets another base branch: what it shows of the revision is of the base that was compared last.
func (g *GitHub) wantGraphDiff(ctx context.Context, t *told) error {
	p := t.PullRequest
	if p.State == "closed" || !slices.Contains(builtActions, t.payload.Action) && t.payload.Action != "edited" {
		return nil
	}
	against := p.Base.Ref
	if t.payload.Action == "edited" && baseChanged(t.Changes) {
		against = t.GUID
	}
	base := sha256.Sum256([]byte(against))
	return g.store(ctx, delivery{
		GUID: fmt.Sprintf("graph-%d-%d-%.40s-%x", t.repo.ID, p.Number, p.Head.SHA, base[:6]), Event: graphDiffEvent, Action: t.payload.Action,
		Installation: t.repo.Installation, Repository: t.repo.ID, Source: "refs", Body: t.Body,
	})
}

// watchHead is how often a comparison looks whether its revision is the newest still.
const watchHead = 300 * time.Millisecond

var (
	errSuperseded = errors.New("the pull request has a newer revision")
	errMoved      = errors.New("the pull request has another base")
)

// onGraphDiff compares the graphs of a pull request and has its check say what differs.
func (g *GitHub) onGraphDiff(ctx context.Context, t *told) (string, error) {
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	p := t.PullRequest
	ctx, cancel := g.whileHead(ctx, t.repo, p)
	defer cancel()
	text, err := g.compareGraphs(ctx, t, p)
	if why := context.Cause(ctx); errors.Is(why, errSuperseded) || errors.Is(why, errMoved) {
		return why.Error(), nil
	}
	return text, err
}

func (g *GitHub) compareGraphs(ctx context.Context, t *told, p pullPayload) (string, error) {
	held, err := g.gated(ctx, t.repo)
	if err != nil {
		return "", err
	}
	if skips(p.Title) && !held {
		return "the title says to skip it", nil
	}
	out, err := g.graphsOf(ctx, t, p, held)
	if err != nil || ctx.Err() != nil {
		return "", errors.Join(err, ctx.Err())
	}
	if !out.Concerned && !held {
		return out.Why, nil
	}
	about := graphdiff.About{Repository: t.repo.Owner + "/" + t.repo.Repo, URL: t.repo.URL, Pull: p.Number, Revision: p.Head.SHA}
	link, err := out.KeepPage(ctx, g.Keep, g.RootURL, t.repo.Name, about)
	if err != nil {
		return "", err
	}
	state := out.State(link)
	if held {
		err = g.holdPull(ctx, t, p, out, state)
	} else {
		err = g.Checks.Want(ctx, graphCheck(t.repo, p.Head.SHA), state)
	}
	return fmt.Sprintf("%s (in %d ms)", state.Title, out.Took.Milliseconds()), err
}

// graphsOf compares the graphs of a pull request, all of them where it matters what they bring.
func (g *GitHub) graphsOf(ctx context.Context, t *told, p pullPayload, whole bool) (graphdiff.Outcome, error) {
	forge := g.forge(t.repo)
	span, err := forge.Compare(ctx, p.Base.SHA, p.Head.SHA)
	if ghclient.Gone(err) {
		const apart = "the two sides have nothing in common"
		return graphdiff.Outcome{Why: apart, Beyond: apart}, nil
	}
	if err != nil {
		return graphdiff.Outcome{}, err
	}
	base, err := forge.Tree(ctx, span.Base)
	if err != nil {
		return graphdiff.Outcome{}, err
	}
	head, err := forge.Tree(ctx, p.Head.SHA)
	if err != nil {
		return graphdiff.Outcome{}, err
	}
	r, err := g.graphRequest(ctx, t, p, span.Base)
	if err != nil {
		return graphdiff.Outcome{}, err
	}
	r.Base, r.Head, r.Whole = base, head, whole
	for _, d := range head.Differs(base) {
		r.Changed = append(r.Changed, graphdiff.Change(d))
	}
	if len(r.Changed) == 0 {
		return graphdiff.Outcome{Why: "no file differs"}, nil
	}
	return graphdiff.Compare(ctx, r)
}

// graphRequest is what is known of a pull request, and of the push that would bring it.
func (g *GitHub) graphRequest(ctx context.Context, t *told, p pullPayload, base string) (graphdiff.Request, error) {
	scripts, err := runtask.Scripts()
	if err != nil {
		return graphdiff.Request{}, err
	}
	known, err := g.Push.Repository(ctx, t.repo.Name)
	if err != nil {
		return graphdiff.Request{}, err
	}
	x := g.pullTrigger(t, p, "github-pull-request", "pull-request").change
	pull := params.Decision{
		BaseRepository: x.BaseRepository, BaseRef: x.BaseRef, BaseRev: base, HeadRepository: x.HeadRepository, HeadRef: x.HeadRef, HeadRev: p.Head.SHA,
		Project: x.Project, Owner: x.Owner, Level: strconv.Itoa(x.Level), PushlogID: "0", RepositoryType: "git", Pushdate: t.Received.Unix(),
		TasksFor: x.TasksFor, CommitMessage: x.Message, Now: t.Received,
	}
	after := pull
	after.TasksFor, after.Level = "github-push", strconv.Itoa(known.Level)
	after.HeadRepository, after.HeadRef, after.BaseRef = x.BaseRepository, x.BaseRef, x.BaseRef
	own := derivedID(t.GUID, "decision")
	return graphdiff.Request{
		BaseRevision: base, HeadRevision: p.Head.SHA, BaseRepository: t.repo.Name, Pull: pull, Push: after, Scripts: scripts, RootURL: g.RootURL, Known: g.bases,
		Event: templates.Event{
			TasksFor: "github-pull-request", Event: t.whole, RootURL: g.RootURL, Now: t.Received, Seed: t.GUID, OwnTaskID: own, Context: map[string]any{"ownTaskId": own},
		},
		Durations: func(ctx context.Context) (history.Durations, error) {
			if g.Past == nil {
				return nil, nil
			}
			return g.Past(ctx, t.repo.Name, p.Base.Ref)
		},
	}, nil
}

// whileHead gives a context that ends when the pull request gets another revision or base.
func (g *GitHub) whileHead(ctx context.Context, r repository, p pullPayload) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	look := func() {
		var head, base string
		err := g.Pool.QueryRow(ctx, pullHeadSQL.Text, r.ID, p.Number).Scan(&head, &base)
		switch {
		case err == nil && head != p.Head.SHA, errors.Is(err, pgx.ErrNoRows):
			cancel(errSuperseded)
		case err == nil && base != "" && base != p.Base.Ref:
			cancel(errMoved)
		}
	}
	look()
	go func() {
		tick := time.NewTicker(watchHead)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look()
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

var pullHeadSQL = pg.Statement{Name: "github.pull-head", Text: `SELECT head, base FROM github_pulls WHERE repository_id = $1 AND number = $2`}
