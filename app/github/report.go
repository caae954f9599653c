package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/task"
)

// Bounds of telling GitHub of builds.
const (
	reportLease = 90 * time.Second // longer than a request with its repetitions
	reportPoll  = 5 * time.Second  // what another server changed
	reportTries = 50               // after which GitHub is left with what it has
)

// statusContext begins the name of a build's commit status; what happened follows in parentheses, since a push and a
// pull request may both build one revision (taskcluster-map 13.7).
const statusContext = "Treeline"

// reportBuilds tells GitHub how builds stand, until ctx ends. What GitHub ought to know stands in the build's row, and
// so does what it was told: whatever fails or is interrupted is made good, by any server and one at a time.
func (g *GitHub) reportBuilds(ctx context.Context) {
	ticker := time.NewTicker(reportPoll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		n, err := g.reportSome(ctx)
		if err != nil && ctx.Err() == nil {
			g.Log.ErrorContext(ctx, "tell GitHub of builds; tried again soon", "err", err)
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-g.change:
		}
	}
}

// untold is a build whose state GitHub does not know.
type untold struct {
	Build
	RepositoryID int64 `db:"repository_id"`
	Tries        int   `db:"report_tries"`
}

func (g *GitHub) reportSome(ctx context.Context) (int, error) {
	rows, err := g.Pool.Query(ctx, unreportedSQL.Text, reportLease.Seconds(), 10)
	if err != nil {
		return 0, fmt.Errorf("github: untold builds: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[untold])
	if err != nil {
		return 0, fmt.Errorf("github: untold builds: %w", pg.Classify(err))
	}
	for _, b := range list {
		if err := g.report(ctx, b); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// report sets the commit status of a build. A failure is never told at GitHub: that would cost more requests.
func (g *GitHub) report(ctx context.Context, b untold) error {
	err := g.setStatus(ctx, b)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	wait := min(10*time.Minute, time.Second<<min(b.Tries, 10))
	limit, limited := ghclient.Limited(err, time.Now())
	switch {
	case limited:
		wait = limit
		if _, err := g.Pool.Exec(ctx, blockSQL.Text, b.Installation, limit.Seconds()); err != nil {
			return fmt.Errorf("github: note a rate limit: %w", pg.Classify(err))
		}
	case err == nil, never(err), b.Tries > reportTries:
		if err != nil {
			g.Log.WarnContext(ctx, "GitHub does not take the status of a build", "build", b.TaskGroupID, "repository", b.Organization+"/"+b.Repository, "err", err)
		}
		if _, err := g.Pool.Exec(ctx, reportedSQL.Text, b.TaskGroupID, b.State); err != nil {
			return fmt.Errorf("github: build %s: %w", b.TaskGroupID, pg.Classify(err))
		}
		return nil
	}
	g.Log.InfoContext(ctx, "the status of a build is set later", "build", b.TaskGroupID, "err", err)
	if _, err := g.Pool.Exec(ctx, reportLaterSQL.Text, b.TaskGroupID, wait.Seconds()); err != nil {
		return fmt.Errorf("github: build %s: %w", b.TaskGroupID, pg.Classify(err))
	}
	return nil
}

// never reports whether GitHub will not take a status however often it is asked: the repository or the permission is
// gone, or the revision has its thousand statuses.
func never(err error) bool {
	switch ghclient.Status(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity, http.StatusUnavailableForLegalReasons:
		return true
	}
	return errors.Is(err, fault.NotFound)
}

func (g *GitHub) setStatus(ctx context.Context, b untold) error {
	r, err := g.repository(ctx, b.RepositoryID)
	if err != nil {
		return err
	}
	counts, err := g.Queue.GroupCounts(ctx, []string{b.TaskGroupID})
	if err != nil {
		return err
	}
	state, text := verdict(b.State, counts[b.TaskGroupID])
	kind, _, _ := strings.Cut(b.EventType, ".")
	_, _, err = g.client.Installation(r.Installation).Repositories.CreateStatus(ctx, r.Owner, r.Repo, b.SHA, &github.RepoStatus{
		State: &state, Description: &text, Context: github.String(statusContext + " (" + kind + ")"), TargetURL: github.String(g.RootURL + "/tasks/groups/" + b.TaskGroupID),
	})
	return err
}

// verdict is a build's state in GitHub's words, and in ours.
func verdict(build string, counts map[task.State]int) (state, text string) {
	all := 0
	for _, n := range counts {
		all += n
	}
	bad := counts[task.Failed] + counts[task.Exception]
	switch build {
	case "success":
		return "success", fmt.Sprintf("all of %d tasks passed", all)
	case "cancelled":
		return "error", "cancelled"
	case "failure":
		if bad == 0 {
			return "failure", "the decision failed"
		}
		return "failure", fmt.Sprintf("%d of %d tasks failed", bad, all)
	case "error":
		return "error", "the build could not be made"
	}
	if all == 0 {
		return "pending", "tasks are being made"
	}
	return "pending", fmt.Sprintf("%d of %d tasks done", counts[task.Completed], all)
}

var (
	unreportedSQL = pg.Statement{Name: "github.unreported", Text: `
		UPDATE github_builds SET report_after = clock_timestamp() + make_interval(secs => $1), report_tries = report_tries + 1
		WHERE task_group_id IN (
			SELECT b.task_group_id FROM github_builds b LEFT JOIN github_installations i ON i.id = b.installation_id
			WHERE b.reported <> b.state AND b.report_after <= clock_timestamp() AND coalesce(i.blocked_until, '-infinity') <= clock_timestamp()
			ORDER BY b.report_after LIMIT $2 FOR UPDATE OF b SKIP LOCKED)
		RETURNING ` + buildColumns + `, repository_id, report_tries`}

	// The state may have changed while GitHub was told: then the row is due again.
	reportedSQL = pg.Statement{Name: "github.reported", Text: `
		UPDATE github_builds SET reported = $2, report_after = '-infinity', report_tries = 0 WHERE task_group_id = $1`}

	reportLaterSQL = pg.Statement{Name: "github.report-later", Text: `
		UPDATE github_builds SET report_after = clock_timestamp() + make_interval(secs => $2) WHERE task_group_id = $1`}
)
