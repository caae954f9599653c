package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/checks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// onCheckSuite runs what failed at a revision again when somebody presses Re-run all checks. The suite is found by its
// revision: what GitHub tells of a fork's names neither a branch nor a pull request.
func (g *GitHub) onCheckSuite(ctx context.Context, t *told) (string, error) {
	s := t.CheckSuite
	switch {
	case t.payload.Action != "rerequested":
		return ignored("check_suite", t.payload.Action), nil
	case s.App.ID != g.AppID:
		return "the check suite is another App's", nil
	case t.ours(s.App):
		return "we asked for it ourselves", nil
	}
	if why, err := g.find(ctx, t); err != nil || why != "" {
		return why, err
	}
	p := &press{told: t, g: g, check: checks.Check{Kind: checks.Aggregate, SHA: s.HeadSHA, Repository: t.repo.Owner + "/" + t.repo.Repo}, wish: "asked to run all checks again", again: true}
	list, err := g.Checks.OfSuite(ctx, p.check.Repository, s.HeadSHA)
	if err != nil {
		return "", err
	}
	if i := slices.IndexFunc(list, func(c checks.Check) bool { return c.Kind == checks.Aggregate }); i >= 0 {
		p.where = list[i].ID
	}
	return p.do(ctx)
}

// rerunFailed runs the failed tasks of a revision again, the decision among them: of all its builds, or of those that an
// aggregate check of that name speaks of. Without a build, what would have made one is taken again. What it did is said
// in Markdown.
func (g *GitHub) rerunFailed(ctx context.Context, r repository, sha, aggregate string) (string, error) {
	list, err := g.builds(ctx, aggregatedSQL, r.ID, sha, aggregate, checks.DefaultName)
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		return g.decideAgain(ctx, r, sha)
	}
	// A build that a newer one replaced stays cancelled; one that somebody cancelled is the newest of all.
	on := slices.DeleteFunc(slices.Clone(list), func(b Build) bool { return b.State == "cancelled" })
	if len(on) == 0 {
		on = list[:1]
	}
	n := 0
	for _, b := range on {
		some, err := g.rerunBuild(ctx, b)
		n += some
		if err != nil {
			return "", err
		}
	}
	if n == 0 {
		return "nothing had failed, so nothing is run again.", nil
	}
	return fmt.Sprintf("%d failed tasks run again.", n), nil
}

// rerunBuild runs the failed tasks of a build again and returns how many those are.
func (g *GitHub) rerunBuild(ctx context.Context, b Build) (n int, err error) {
	for token := ""; ; {
		page, err := g.Queue.ListGroup(ctx, b.TaskGroupID, 0, token)
		if errors.Is(err, fault.NotFound) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for _, i := range page.Tasks {
			if i.Status.State != task.Failed && i.Status.State != task.Exception {
				continue
			}
			_, err := g.Queue.Rerun(ctx, i.Status.TaskID)
			if err != nil && fault.KindOf(err) != fault.Conflict { // its deadline has passed, or it had all its runs
				return n, err
			}
			if err == nil {
				n++
			}
		}
		if token = page.Next; token == "" {
			break
		}
	}
	if n == 0 {
		return 0, nil
	}
	if _, err := g.Pool.Exec(ctx, reviveSQL.Text, b.TaskGroupID); err != nil {
		return n, fmt.Errorf("github: build %s: %w", b.TaskGroupID, pg.Classify(err))
	}
	g.changed()
	return n, nil
}

// decideAgain takes the webhook again that would have made a build of a revision, had not something been missing then:
// a role, or the file's policy. The ids of tasks follow from the webhook, so nothing is made twice.
func (g *GitHub) decideAgain(ctx context.Context, r repository, sha string) (string, error) {
	list, err := g.recent(ctx, r, []string{"push", "pull_request", "merge_group"})
	if err != nil {
		return "", err
	}
	for _, d := range list {
		if d.head != sha || !slices.Contains([]string{"", "opened", "reopened", "synchronize", "ready_for_review", "checks_requested"}, d.Action) {
			continue
		}
		if _, err := g.Pool.Exec(ctx, takeAgainSQL.Text, d.Seq); err != nil {
			return "", fmt.Errorf("github: delivery %s: %w", d.GUID, pg.Classify(err))
		}
		g.wake()
		return "it is decided again what there is to do.", nil
	}
	return "", fault.New(fault.NotFound, "There is no build of %s, and too long ago to make one now.", sha)
}

// compareAgain takes the comparison of the graphs of a revision again.
func (g *GitHub) compareAgain(ctx context.Context, r repository, sha string) (string, error) {
	list, err := g.recent(ctx, r, []string{graphDiffEvent})
	if err != nil {
		return "", err
	}
	for _, d := range list {
		if d.head != sha {
			continue
		}
		if _, err := g.Pool.Exec(ctx, takeAgainSQL.Text, d.Seq); err != nil {
			return "", fmt.Errorf("github: delivery %s: %w", d.GUID, pg.Classify(err))
		}
		g.wake()
		return "the graphs are compared again.", nil
	}
	return "", fault.New(fault.NotFound, "It is too long ago that %s was compared.", sha)
}

// maxRecent is how many of the last deliveries of a repository are looked through.
const maxRecent = 300

// past is a delivery of a while ago.
type past struct {
	delivery
	number int    // of the pull request
	head   string // the revision that it is about
}

// recent returns the last deliveries of some events, newest first.
func (g *GitHub) recent(ctx context.Context, r repository, events []string) ([]past, error) {
	rows, err := g.Pool.Query(ctx, recentSQL.Text, r.ID, events, maxRecent)
	if err != nil {
		return nil, fmt.Errorf("github: deliveries: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[delivery])
	if err != nil {
		return nil, fmt.Errorf("github: deliveries: %w", pg.Classify(err))
	}
	out := make([]past, 0, len(list))
	for _, d := range list {
		body, err := g.unpack.DecodeAll(d.Body, nil)
		if err != nil {
			continue // it was said when it was taken
		}
		d.Body = nil
		var p struct {
			After       string `json:"after"`
			Number      int    `json:"number"`
			PullRequest struct {
				Head struct{ SHA string }
			} `json:"pull_request"`
			MergeGroup struct {
				HeadSHA string `json:"head_sha"`
			} `json:"merge_group"`
		}
		if json.Unmarshal(body, &p) != nil {
			continue
		}
		x := past{d, p.Number, p.After}
		switch d.Event {
		case "pull_request", graphDiffEvent:
			x.head = p.PullRequest.Head.SHA
		case "merge_group":
			x.head = p.MergeGroup.HeadSHA
		}
		out = append(out, x)
	}
	return out, nil
}

var (
	aggregatedSQL = pg.Statement{Name: "github.aggregated", Text: `
		SELECT ` + buildColumns + ` FROM github_builds
		WHERE repository_id = $1 AND sha = $2 AND ($3::text = '' OR coalesce(nullif(reporting ->> 'name', ''), $4) = $3) ORDER BY created DESC LIMIT 100`}

	recentSQL = pg.Statement{Name: "github.recent", Text: `
		SELECT seq, guid, event, action, installation_id, repository_id, source, body, received, tries FROM github_deliveries
		WHERE repository_id = $1 AND event = ANY ($2) ORDER BY seq DESC LIMIT $3`}

	takeAgainSQL = pg.Statement{Name: "github.take-again", Text: `
		UPDATE github_deliveries SET state = 'new', tries = 0, retry_after = '-infinity' WHERE seq = $1 AND state <> 'new'`}

	// People may bring back what was cancelled.
	reviveSQL = pg.Statement{Name: "github.revive", Text: `
		UPDATE github_builds SET state = 'pending', updated = clock_timestamp() WHERE task_group_id = $1 AND state <> 'pending'`}
)
