package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	comparedAtOnce = 20
	keepFor        = 90 * 24 * time.Hour
)

// reconcile holds what GitHub shows against what it ought to, now and again until ctx ends.
func (c *Checks) reconcile(ctx context.Context) {
	tick := time.NewTicker(min(time.Minute, c.Times.Reconcile))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := c.reconcileSome(ctx); err != nil && ctx.Err() == nil {
			c.Log.WarnContext(ctx, "hold GitHub's checks against ours; tried again soon", "err", err)
		}
	}
}

// Prune forgets checks, revisions and verdicts of which nothing was heard for longer than keep, in small steps,
// and returns how many rows that were.
func (c *Checks) Prune(ctx context.Context, keep time.Duration) (total int64, err error) {
	for _, s := range []pg.Statement{forgetSQL, forgetHeadsSQL, forgetVerdictsSQL} {
		n, err := pg.Prune(ctx, c.Pool, s, 500, keep.Seconds())
		if total += n; err != nil {
			return total, fmt.Errorf("checks: %w", err)
		}
	}
	return total, nil
}

// compared is a revision that is due.
type compared struct {
	Repository   int64  `db:"repository_id"`
	SHA          string `db:"sha"`
	Name         string `db:"name"` // owner/repo
	Installation int64  `db:"installation_id"`
}

// reconcileSome compares the revisions that are due. Of several servers one takes each.
func (c *Checks) reconcileSome(ctx context.Context) error {
	rows, err := c.Pool.Query(ctx, dueHeadsSQL.Text, c.Times.Reconcile.Seconds(), c.Times.Recent.Seconds(), comparedAtOnce)
	if err != nil {
		return fmt.Errorf("checks: revisions to compare: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[compared])
	if err != nil {
		return fmt.Errorf("checks: revisions to compare: %w", pg.Classify(err))
	}
	var errs []error
	for _, h := range list {
		if err := c.compare(ctx, h); err != nil {
			errs = append(errs, fmt.Errorf("checks: compare %s at %s: %w", h.Name, h.SHA, err))
			errs = append(errs, c.exec(ctx, compareSoonSQL, h.Repository, h.SHA, c.Times.Reconcile.Seconds(), min(time.Minute, c.Times.Reconcile).Seconds()))
		}
	}
	wake(c.marked)
	wake(c.fresh)
	return errors.Join(errs...)
}

// compare repairs what GitHub shows at a revision: what was lost is made again, what differs is told again, what
// nobody knows is ended. The revision's tasks are looked at anew, too, should news of them have been missed.
func (c *Checks) compare(ctx context.Context, h compared) error {
	if err := c.exec(ctx, markSQL, h.Repository, h.SHA); err != nil {
		return err
	}
	ours, err := c.rows(ctx, allRowsSQL, h.Name, h.SHA)
	if err != nil {
		return pg.Classify(err)
	}
	if len(ours) == 0 {
		return nil
	}
	asked := row{Installation: h.Installation, Repository: h.Name, SHA: h.SHA}
	theirs, err := c.list(ctx, &asked, url.Values{})
	if err != nil {
		return err
	}
	byKey := map[string]row{}
	for _, r := range ours {
		byKey[r.check().externalID()] = r
	}
	shown := map[int64]bool{}
	over := map[string]int64{} // by name, the newest check run that is no last attempt's
	for _, at := range theirs {
		shown[at.ID] = true
		r, known := byKey[at.ExternalID]
		if !known || !r.Latest || r.GitHubID != at.ID {
			over[at.Name] = max(over[at.Name], at.ID)
		}
		switch {
		case !known || r.GitHubID != 0 && r.GitHubID != at.ID:
			err = c.closeStranger(ctx, asked, at)
		case r.GitHubID == at.ID:
			err = c.repair(ctx, r, at)
		case r.Ended != "" || r.Sent == r.Wanted: // it was made after all, and nobody heard of it
			err = c.exec(ctx, foundSQL, r.ID, r.Fence, at.ID, at.Output.Annotations)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range ours {
		// Of a name the newest check run counts. Where that is an older attempt, made late, the last one is made again.
		if r.Latest && r.GitHubID != 0 && r.GitHubID < over[r.Name] && r.Sent == r.Wanted && r.Ended == "" {
			if err := c.renew(ctx, &r); err != nil {
				return err
			}
			continue
		}
		if r.GitHubID != 0 && !shown[r.GitHubID] && r.Latest && r.Ended == "" {
			c.Log.InfoContext(ctx, "a check run is lost at GitHub; it is made again", "check", r.Name, "repository", r.Repository, "revision", r.SHA)
			if err := c.exec(ctx, remakeSQL, r.ID, r.Fence); err != nil {
				return err
			}
		}
	}
	return nil
}

// repair tells again what GitHub shows otherwise than it was told. What is on and completed there, or stale, is a new
// attempt.
func (c *Checks) repair(ctx context.Context, r row, at answer) error {
	var s State
	if err := json.Unmarshal(r.State, &s); err != nil {
		return fmt.Errorf("checks: row %d: %w", r.ID, err)
	}
	if r.Sent != r.Wanted || r.Ended != "" || at.Status == s.Status && at.Conclusion == s.Conclusion {
		return nil // in order, or on its way
	}
	c.Log.InfoContext(ctx, "GitHub shows a check otherwise; it is told again", "check", r.Name, "repository", r.Repository, "revision", r.SHA, "shows", at.Status+" "+at.Conclusion)
	if at.Status == Completed && s.Status != Completed {
		return c.renew(ctx, &r)
	}
	return c.exec(ctx, resendSQL, r.ID, r.Fence)
}

// closeStranger ends a check run of the App that no row is of, so that it does not hang for ever.
func (c *Checks) closeStranger(ctx context.Context, asked row, at answer) error {
	if at.Status == Completed {
		return nil
	}
	body := map[string]any{
		"name": at.Name, "status": Completed, "conclusion": Neutral,
		"output": output{Title: "Superseded", Summary: "Nothing is known of this check any more; another took its place."},
	}
	if err := c.exec(ctx, paySQL, asked.Installation, 1/c.Pace.PerSecond); err != nil {
		return err
	}
	var done answer
	return c.call(ctx, &asked, http.MethodPatch, asked.path("check-runs/"+strconv.FormatInt(at.ID, 10)), body, &done)
}

// gone begins the reason of checks that ended because the App does not reach their repository.
const gone = "gone: "

// EndInstallation ends the work on all checks of an installation: it was removed or suspended.
func (c *Checks) EndInstallation(ctx context.Context, installation int64, why string) error {
	return c.exec(ctx, endInstallationSQL, installation, gone+why)
}

// EndRepositories ends the work on the checks of repositories: they were deleted, or taken from the App.
func (c *Checks) EndRepositories(ctx context.Context, ids []int64, why string) error {
	return c.exec(ctx, endRepositoriesSQL, ids, gone+why)
}

// Resume takes the work up again that ended because the App did not reach a repository, as far as it is recent.
func (c *Checks) Resume(ctx context.Context, installation int64) error {
	if err := c.exec(ctx, resumeSQL, installation, c.Times.Recent.Seconds(), gone); err != nil {
		return err
	}
	wake(c.fresh)
	return nil
}

var (
	dueHeadsSQL = pg.Statement{Name: "checks.due-heads", Text: `
		WITH due AS (
			SELECT h.repository_id AS id, h.sha AS at FROM github_check_heads h
			WHERE h.compared <= clock_timestamp() - make_interval(secs => $1) AND (h.open OR h.updated > clock_timestamp() - make_interval(secs => $2))
			ORDER BY h.compared LIMIT $3 FOR UPDATE SKIP LOCKED)
		UPDATE github_check_heads h SET compared = clock_timestamp() FROM due, github_repositories r LEFT JOIN github_pace p ON p.installation_id = r.installation_id
		WHERE h.repository_id = due.id AND h.sha = due.at AND r.id = due.id AND r.enabled AND coalesce(p.blocked_until, '-infinity') <= clock_timestamp()
		RETURNING h.repository_id, h.sha, r.owner || '/' || r.repo AS name, r.installation_id`}

	compareSoonSQL = pg.Statement{Name: "checks.compare-soon", Text: `
		UPDATE github_check_heads SET compared = clock_timestamp() - make_interval(secs => $3) + make_interval(secs => $4) WHERE repository_id = $1 AND sha = $2`}

	allRowsSQL = pg.Statement{Name: "checks.all-rows", Text: `
		SELECT ` + rowColumns + ` FROM github_checks WHERE lower(repository) = lower($1) AND sha = $2 AND kind <> 'status'`}

	resendSQL = pg.Statement{Name: "checks.resend", Text: `
		UPDATE github_checks SET sent = 0, due = clock_timestamp() WHERE id = $1 AND fence = $2`}

	// It is looked for by its key before it is made, should the list have been an old one.
	remakeSQL = pg.Statement{Name: "checks.remake", Text: `
		UPDATE github_checks SET github_id = 0, annotated = 0, perhaps = true, sent = 0, due = clock_timestamp() WHERE id = $1 AND fence = $2`}

	foundSQL = pg.Statement{Name: "checks.found", Text: `
		UPDATE github_checks SET github_id = $3, annotated = $4, perhaps = false, ended = '', sent = 0, tries = 0, due = clock_timestamp() WHERE id = $1 AND fence = $2 AND github_id = 0`}

	endInstallationSQL = pg.Statement{Name: "checks.end-installation", Text: `
		UPDATE github_checks SET ended = $2, updated = clock_timestamp() WHERE installation_id = $1 AND ended = ''`}

	endRepositoriesSQL = pg.Statement{Name: "checks.end-repositories", Text: `
		UPDATE github_checks SET ended = $2, updated = clock_timestamp() FROM github_repositories r
		WHERE r.id = ANY ($1::bigint[]) AND lower(repository) = lower(r.owner || '/' || r.repo) AND ended = ''`}

	resumeSQL = pg.Statement{Name: "checks.resume", Text: `
		UPDATE github_checks SET ended = '', tries = 0, due = clock_timestamp(), updated = clock_timestamp() FROM github_repositories r
		WHERE github_checks.installation_id = $1 AND starts_with(ended, $3) AND latest AND github_checks.updated > clock_timestamp() - make_interval(secs => $2)
			AND r.enabled AND lower(repository) = lower(r.owner || '/' || r.repo)`}

	forgetSQL = pg.Statement{Name: "checks.forget", Text: `
		DELETE FROM github_checks WHERE id IN (
			SELECT id FROM github_checks WHERE updated < now() - make_interval(secs => $2) ORDER BY updated LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	forgetHeadsSQL = pg.Statement{Name: "checks.forget-heads", Text: `
		DELETE FROM github_check_heads WHERE (repository_id, sha) IN (
			SELECT repository_id, sha FROM github_check_heads WHERE updated < now() - make_interval(secs => $2) AND compared < now() - make_interval(secs => $2)
			ORDER BY compared LIMIT $1 FOR UPDATE SKIP LOCKED)`}

	forgetVerdictsSQL = pg.Statement{Name: "checks.forget-verdicts", Text: `
		DELETE FROM github_verdicts WHERE (repository_id, sha, source) IN (
			SELECT repository_id, sha, source FROM github_verdicts WHERE created < now() - make_interval(secs => $2) ORDER BY created LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
