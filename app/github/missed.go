package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Bounds of looking for what was missed.
const (
	lookBack     = 3 * 24 * time.Hour // GitHub redelivers no longer than that
	maxLogPages  = 50                 // of a hundred deliveries
	maxAttempts  = 10                 // at one delivery, of all servers together: those that start look at once
	compareEvery = 10 * time.Minute   // a repository's branches
	compareAtOne = 20                 // repositories a time
)

// FindMissed finds webhooks that never arrived: it has GitHub send again what its log says it could not deliver, and
// holds the branches of repositories against the record of pushes.
func (g *GitHub) FindMissed(ctx context.Context) error {
	return errors.Join(g.readLog(ctx), g.compareRefs(ctx, compareEvery))
}

// readLog goes through the App's log of deliveries. Which ones failed is judged by their status: a delivery that could
// not be made at all has no code.
func (g *GitHub) readLog(ctx context.Context) error {
	type attempt struct {
		id    int64 // of the last
		tries int
		good  bool
	}
	by := map[string]*attempt{}
	c := g.client.AsApp()
	o := &github.ListCursorOptions{PerPage: 100}
pages:
	for range maxLogPages {
		page, answer, err := c.Apps.ListHookDeliveries(ctx, o)
		if err != nil {
			return fmt.Errorf("github: log of deliveries: %w", err)
		}
		for _, d := range page {
			if time.Since(d.GetDeliveredAt().Time) > lookBack {
				break pages
			}
			a := by[d.GetGUID()]
			if a == nil {
				a = &attempt{id: d.GetID()} // newest first
				by[d.GetGUID()] = a
			}
			a.tries++
			a.good = a.good || d.GetStatus() == "OK"
		}
		if answer.Cursor == "" {
			break
		}
		o.Cursor = answer.Cursor
	}
	for _, guid := range slices.Sorted(maps.Keys(by)) {
		a := by[guid]
		if a.good || a.tries > maxAttempts {
			continue
		}
		if _, err := g.OutcomeOf(ctx, guid); err == nil {
			continue // it came; only the answer was lost
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		_, _, err := c.Apps.RedeliverHookDelivery(ctx, a.id)
		if _, accepted := errors.AsType[*github.AcceptedError](err); err != nil && !accepted {
			return fmt.Errorf("github: have delivery %s made again: %w", guid, err)
		}
		g.Log.InfoContext(ctx, "a webhook that was missed is sent again", "delivery", guid)
	}
	return nil
}

// compareRefs holds the branches of some repositories against the record. The first time everything counts as known.
func (g *GitHub) compareRefs(ctx context.Context, every time.Duration) error {
	rows, err := g.Pool.Query(ctx, compareSQL.Text, every.Seconds(), compareAtOne)
	if err != nil {
		return fmt.Errorf("github: compare branches: %w", pg.Classify(err))
	}
	type due struct {
		repository
		First bool `db:"first"`
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[due])
	if err != nil {
		return fmt.Errorf("github: compare branches: %w", pg.Classify(err))
	}
	var errs []error
	for _, r := range list {
		if err := errors.Join(g.compare(ctx, r.repository, r.First), g.comparePulls(ctx, r.repository, r.First)); err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", r.Owner, r.Repo, err))
		}
	}
	return errors.Join(errs...)
}

func (g *GitHub) compare(ctx context.Context, r repository, first bool) error {
	heads, err := g.forge(r).Heads(ctx)
	if err != nil {
		return err
	}
	known, err := g.Push.Heads(ctx, r.Name)
	if err != nil {
		return err
	}
	for _, branch := range slices.Sorted(maps.Keys(heads)) {
		head := heads[branch]
		if head == known[branch] || strings.HasPrefix(branch, mergeQueue) || !printable.MatchString(branch) {
			continue
		}
		if _, err := g.Push.AtRevision(ctx, r.Name, branch, head); err == nil || first && known[branch] == "" {
			err = g.Push.SetHead(ctx, r.Name, branch, head)
			if err != nil {
				return err
			}
			continue
		} else if !errors.Is(err, fault.NotFound) {
			return err
		}
		if err := g.pretend(ctx, r, branch, known[branch], head); err != nil {
			return err
		}
	}
	for branch := range known {
		if heads[branch] == "" {
			if err := g.Push.DropHead(ctx, r.Name, branch); err != nil {
				return err
			}
		}
	}
	return nil
}

// settledAfter is how long a pull request must have been left alone before its webhook counts as missed: one that is
// only late, or is being sent again, would build it a second time.
const settledAfter = 15 * time.Minute

// comparePulls holds the open pull requests of a repository that changed in the last days against what was seen of them.
func (g *GitHub) comparePulls(ctx context.Context, r repository, first bool) error {
	rows, err := g.Pool.Query(ctx, pullsSQL.Text, r.ID)
	if err != nil {
		return fmt.Errorf("github: pull requests: %w", pg.Classify(err))
	}
	seen := map[int]string{}
	var number int
	var head string
	if _, err := pgx.ForEachRow(rows, []any{&number, &head}, func() error { seen[number] = head; return nil }); err != nil {
		return fmt.Errorf("github: pull requests: %w", pg.Classify(err))
	}
	c := g.client.Installation(r.Installation)
	list, _, err := c.PullRequests.List(ctx, r.Owner, r.Repo, &github.PullRequestListOptions{
		State: "open", Sort: "updated", Direction: "desc", ListOptions: github.ListOptions{PerPage: 100},
	})
	if err != nil {
		return fmt.Errorf("github: pull requests of %s/%s: %w", r.Owner, r.Repo, err)
	}
	for _, p := range list {
		number, head, age := p.GetNumber(), p.GetHead().GetSHA(), time.Since(p.GetUpdatedAt().Time)
		if seen[number] == head || !first && (age > lookBack || age < settledAfter) {
			continue
		}
		if err := g.missedPull(ctx, r, number, head, seen[number] == "", first); err != nil {
			return err
		}
	}
	return nil
}

// missedPull stores a revision of a pull request that no webhook told of as if one had, unless it has a build or was
// there before the repository was watched.
func (g *GitHub) missedPull(ctx context.Context, r repository, number int, head string, fresh, known bool) error {
	if !known {
		if err := g.Pool.QueryRow(ctx, builtSQL.Text, r.ID, number, head).Scan(&known); err != nil {
			return fmt.Errorf("github: pull requests: %w", pg.Classify(err))
		}
	}
	p, whole, err := g.pullRequest(ctx, r, number)
	if err != nil {
		return err
	}
	if known {
		return g.sawPull(ctx, r, p)
	}
	action := "synchronize"
	if fresh {
		action = "opened"
	}
	body := map[string]any{"action": action, "number": number, "pull_request": whole, "sender": whole["user"]}
	r.describe(body)
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("github: missed pull request: %w", err)
	}
	g.Log.InfoContext(ctx, "a pull request that no webhook told of", "repository", r.Owner+"/"+r.Repo, "pull", number, "revision", head)
	return g.store(ctx, delivery{
		GUID: fmt.Sprintf("refs-%d-pull-%d-%s", r.ID, number, head), Event: "pull_request", Action: action, Installation: r.Installation, Repository: r.ID, Source: "refs", Body: text,
	})
}

// describe adds to a webhook's body what every one has.
func (r repository) describe(body map[string]any) {
	body["installation"] = map[string]any{"id": r.Installation}
	body["repository"] = map[string]any{
		"id": r.ID, "name": r.Repo, "full_name": r.Owner + "/" + r.Repo, "default_branch": r.DefaultBranch, "clone_url": r.URL,
		"html_url": strings.TrimSuffix(r.URL, ".git"), "owner": map[string]any{"login": r.Owner, "name": r.Owner},
	}
}

// pretend stores a push that no webhook told of as if one had: it then goes the same way.
func (g *GitHub) pretend(ctx context.Context, r repository, branch, before, after string) error {
	last, err := g.Push.List(ctx, r.Name, 0, 1)
	if err != nil {
		return err
	}
	n := int64(0)
	if len(last) > 0 {
		n = last[0].ID
	}
	head, err := g.forge(r).Describe(ctx, after)
	if err != nil {
		return err
	}
	person := map[string]any{"name": head.Author, "email": head.Email}
	commits := []any{}
	if before != "" {
		span, err := g.forge(r).Compare(ctx, before, after)
		if err != nil {
			before = "" // the old history is gone
		}
		for _, c := range slices.Backward(span.Commits) {
			commits = append(commits, map[string]any{
				"id": c.Revision, "message": c.Message, "timestamp": c.Time, "author": map[string]any{"name": c.Author, "email": c.Email},
				"added": []any{}, "removed": []any{}, "modified": span.Files,
			})
		}
	}
	from := before
	if from == "" {
		from = zeros
	}
	body := map[string]any{
		"ref": "refs/heads/" + branch, "before": from, "after": after, "created": before == "", "deleted": false, "forced": len(commits) == 0 && before != "",
		"base_ref": nil, "commits": commits, "pusher": person, "sender": map[string]any{"login": head.Author, "type": "User"},
		"head_commit": map[string]any{"id": after, "message": head.Message, "timestamp": head.Time, "author": person},
	}
	r.describe(body)
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("github: missed push: %w", err)
	}
	g.Log.InfoContext(ctx, "a push that no webhook told of", "repository", r.Owner+"/"+r.Repo, "branch", branch, "revision", after)
	return g.store(ctx, delivery{
		GUID: fmt.Sprintf("refs-%d-%d-%s", r.ID, n, after), Event: "push", Installation: r.Installation, Repository: r.ID, Source: "refs", Body: text,
	})
}

var (
	compareSQL = pg.Statement{Name: "github.compare", Text: `
		WITH due AS (
			SELECT id, compared = '-infinity' AS first FROM github_repositories
			WHERE enabled AND compared < clock_timestamp() - make_interval(secs => $1) ORDER BY compared LIMIT $2 FOR UPDATE SKIP LOCKED)
		UPDATE github_repositories r SET compared = clock_timestamp() FROM due WHERE r.id = due.id
		RETURNING r.id, name, owner, repo, installation_id, default_branch, url, enabled, first`}

	newestSQL = pg.Statement{Name: "github.newest-builds", Text: `
		SELECT ` + buildColumns + ` FROM github_builds WHERE repository_id = $1 AND (event_id = $2 OR sha = $2) ORDER BY created DESC LIMIT 10`}
)
