package checks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/treeline-ci/treeline/app/github/ghclient"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Bounds of writing.
const (
	writers     = 4
	reserve     = 250 // requests of the hour that are kept for aggregates and failures
	maxBackoff  = 5 * time.Minute
	maxBlock    = 15 * time.Minute // without a word of GitHub's on how long
	maxRefusals = 4
)

// write tells GitHub what rows want, until ctx ends.
func (c *Checks) write(ctx context.Context) {
	tick := time.NewTicker(c.Times.Poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		r, found, err := c.claim(ctx)
		if err == nil && found {
			err = c.tell(ctx, r)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.Log.ErrorContext(ctx, "tell GitHub of checks; tried again soon", "err", err)
			c.pause(ctx, c.Times.Backoff)
			continue
		case found:
			wake(c.fresh) // there may be more, for the others too
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-c.fresh:
		case <-c.nextDue(ctx):
		}
	}
}

func (c *Checks) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// nextDue tells when the next row can be sent, where that is before the next look anyway.
func (c *Checks) nextDue(ctx context.Context) <-chan time.Time {
	var wait *float64
	if c.Pool.QueryRow(ctx, nextDueSQL.Text, c.burst()).Scan(&wait) != nil || wait == nil {
		return nil
	}
	if d := time.Duration(*wait * float64(time.Second)); d > 0 && d < c.Times.Poll {
		return time.After(d + time.Millisecond)
	}
	return nil // far off, or another writer is at it
}

// burst is how many seconds of writes may be paid for afterwards.
func (c *Checks) burst() float64 { return float64(c.Pace.Burst-1) / c.Pace.PerSecond }

// claim takes the most urgent row that is due, for one request of its installation.
func (c *Checks) claim(ctx context.Context) (row, bool, error) {
	// A claim that was made is heard of, even if the server stops: then it is handed over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	list, err := c.rows(ctx, claimSQL, c.Times.Lease.Seconds(), c.burst(), 1/c.Pace.PerSecond, reserve)
	if err != nil {
		return row{}, false, fmt.Errorf("checks: claim: %w", pg.Classify(err))
	}
	if len(list) == 0 {
		return row{}, false, nil
	}
	return list[0], true, nil
}

// errOutdated says that another writer has the row, or another state was told of it meanwhile.
var errOutdated = errors.New("checks: the row is another writer's")

// tell brings a row's state to GitHub and writes down what came of it. Its requests end before the lease does.
func (c *Checks) tell(ctx context.Context, r row) error {
	bounded, cancel := context.WithTimeout(ctx, c.Times.Lease*9/10)
	defer cancel()
	err := c.send(bounded, &r)
	if errors.Is(err, errOutdated) {
		return nil
	}
	if ctx.Err() != nil {
		return c.handOver(ctx, r)
	}
	if err == nil {
		return c.exec(ctx, sentSQL, r.ID, r.Fence, r.Wanted, c.Times.Progress.Seconds())
	}
	log := c.Log.With("check", r.Name, "repository", r.Repository, "revision", r.SHA, "err", err)
	if wait, limited := ghclient.Limited(err, time.Now()); limited {
		log.InfoContext(ctx, "GitHub takes no more for now", "wait", wait)
		_, own := errors.AsType[*github.RateLimitError](err)
		if err := c.exec(ctx, blockSQL, r.Installation, wait.Seconds(), own, maxBlock.Seconds(), maxRefusals); err != nil {
			return err
		}
		return c.exec(ctx, laterSQL, r.ID, r.Fence, 0.0, "GitHub takes no more for now", true)
	}
	switch code := ghclient.Status(err); {
	case ghclient.Gone(err):
		log.WarnContext(ctx, "the repository is gone from GitHub, or from the App; its checks end")
		return c.exec(ctx, endRepositorySQL, r.Installation, r.Repository, fmt.Sprintf("%sstatus %d", gone, code))
	case code == http.StatusForbidden, code == http.StatusUnprocessableEntity:
		log.WarnContext(ctx, "GitHub does not take a check")
		return c.exec(ctx, endSQL, r.ID, r.Fence, "GitHub: "+cutLine(err.Error(), 500))
	}
	wait := min(maxBackoff, c.Times.Backoff<<min(max(r.Tries-1, 0), 20))
	log.InfoContext(ctx, "a check is told later", "wait", wait)
	return c.exec(ctx, laterSQL, r.ID, r.Fence, wait.Seconds(), cutLine(err.Error(), 500), false)
}

// handOver gives a row up when the server stops, so that another need not wait for the end of its lease: but for a
// while, as GitHub may be doing what it was asked last.
func (c *Checks) handOver(ctx context.Context, r row) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return c.exec(ctx, laterSQL, r.ID, r.Fence, 5*c.Times.Backoff.Seconds(), "the server stopped", false)
}

func (c *Checks) exec(ctx context.Context, s pg.Statement, args ...any) error {
	if _, err := c.Pool.Exec(ctx, s.Text, args...); err != nil {
		return fmt.Errorf("%s: %w", s.Name, pg.Classify(err))
	}
	return nil
}

// own does the like of exec where the row must still be this writer's.
func (c *Checks) own(ctx context.Context, s pg.Statement, args ...any) error {
	tag, err := c.Pool.Exec(ctx, s.Text, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, pg.Classify(err))
	}
	if tag.RowsAffected() == 0 {
		return errOutdated
	}
	return nil
}

var (
	// The row of the installation is locked only while one is chosen: no two writers take the same second.
	claimSQL = pg.Statement{Name: "checks.claim", Text: `
		WITH chosen AS (
			SELECT c.id AS chosen, c.installation_id AS installation FROM github_checks c JOIN github_pace p ON p.installation_id = c.installation_id
			WHERE c.sent < c.wanted AND c.ended = '' AND c.due <= clock_timestamp() AND c.leased_until <= clock_timestamp() AND p.blocked_until <= clock_timestamp()
				AND p.paid_until <= clock_timestamp() + make_interval(secs => $2) AND (c.urgency <= 1 OR p.remaining > $4 OR p.refilled <= clock_timestamp())
			ORDER BY c.urgency, c.due, c.id LIMIT 1 FOR UPDATE OF c, p SKIP LOCKED),
		paid AS (UPDATE github_pace SET paid_until = greatest(paid_until, clock_timestamp()) + make_interval(secs => $3) FROM chosen WHERE installation_id = installation)
		UPDATE github_checks SET leased_until = clock_timestamp() + make_interval(secs => $1), fence = fence + 1, tries = tries + 1
		FROM chosen WHERE id = chosen RETURNING ` + rowColumns}

	nextDueSQL = pg.Statement{Name: "checks.next-due", Text: `
		SELECT extract(epoch FROM min(greatest(c.due, c.leased_until, p.blocked_until, p.paid_until - make_interval(secs => $1))) - clock_timestamp())::float8
		FROM github_checks c JOIN github_pace p ON p.installation_id = c.installation_id WHERE c.sent < c.wanted AND c.ended = ''`}

	sentSQL = pg.Statement{Name: "checks.sent", Text: `
		WITH fine AS (UPDATE github_pace SET refusals = 0 WHERE refusals > 0 AND installation_id = (SELECT installation_id FROM github_checks WHERE id = $1))
		UPDATE github_checks SET sent = $3, sent_at = clock_timestamp(), tries = 0, error = '', leased_until = '-infinity',
			due = CASE WHEN wanted > $3 AND open THEN clock_timestamp() + greatest(make_interval(secs => $4), (clock_timestamp() - created) / 20) ELSE clock_timestamp() END
		WHERE id = $1 AND fence = $2`}

	laterSQL = pg.Statement{Name: "checks.later", Text: `
		UPDATE github_checks SET due = clock_timestamp() + make_interval(secs => $3), error = $4, leased_until = '-infinity', tries = CASE WHEN $5 THEN tries - 1 ELSE tries END
		WHERE id = $1 AND fence = $2`}

	endSQL = pg.Statement{Name: "checks.end", Text: `
		UPDATE github_checks SET ended = $3, error = $3, leased_until = '-infinity', updated = clock_timestamp() WHERE id = $1 AND fence = $2`}

	endRepositorySQL = pg.Statement{Name: "checks.end-repository", Text: `
		UPDATE github_checks SET ended = $3, leased_until = '-infinity', updated = clock_timestamp() WHERE installation_id = $1 AND lower(repository) = lower($2) AND ended = ''`}

	// A refusal with a time is obeyed, and longer each time when it is not the last. What several writers are refused at
	// once is one refusal.
	blockSQL = pg.Statement{Name: "checks.block", Text: `
		UPDATE github_pace SET refusals = CASE WHEN blocked_until > clock_timestamp() THEN refusals ELSE least(refusals + 1, $5::integer) END,
			blocked_until = greatest(blocked_until, clock_timestamp() + CASE WHEN $3 OR blocked_until > clock_timestamp() THEN make_interval(secs => $2)
				ELSE greatest(make_interval(secs => $2), least(make_interval(secs => $2 * power(2, refusals)), make_interval(secs => $4))) END)
		WHERE installation_id = $1`}
)
