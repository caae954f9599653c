package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
)

const planners = 2

// kinds of events after which the checks of a build may be otherwise.
var kinds = []string{"task-defined", "task-pending", "task-running", "task-completed", "task-failed", "task-exception", "task-group-resolved", "task-group-sealed"}

const consumer = "github-checks"

var interest = event.Interest{Kinds: kinds, Every: 100 * time.Millisecond, Fresh: true} // builds are marked when they are written down

// Start starts the loops; they run until Stop.
func (c *Checks) Start(ctx context.Context) {
	ctx, c.cancel = context.WithCancel(ctx)
	for range writers {
		c.loops.Go(func() { c.write(ctx) })
	}
	for range planners {
		c.loops.Go(func() { c.plan(ctx) })
	}
	c.Feed.Register(ctx, consumer, interest) // before there can be builds
	c.loops.Go(func() { c.follow(ctx) })
	c.loops.Go(func() { c.reconcile(ctx) })
}

// Stop ends the loops and waits for them. What was not told stands in the rows.
func (c *Checks) Stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.loops.Wait()
}

// follow marks the revisions of builds whose tasks changed, until ctx ends. What their checks are to show is found
// from how things stand, so that it does not matter how many changes there were, or in what order.
func (c *Checks) follow(ctx context.Context) {
	err := c.Feed.Consume(ctx, consumer, interest, func(ctx context.Context, tx pgx.Tx, events []event.Event) error {
		seen := map[string]bool{}
		var groups []string
		for _, e := range events {
			if !seen[e.TaskGroupID] && e.TaskGroupID != "" {
				seen[e.TaskGroupID] = true
				groups = append(groups, e.TaskGroupID)
			}
		}
		tag, err := tx.Exec(ctx, markGroupsSQL.Text, groups)
		if err == nil && tag.RowsAffected() > 0 {
			wake(c.marked) // the transaction ends in a moment; a look that comes too early is repeated
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.Log.ErrorContext(ctx, "checks at GitHub no longer follow tasks", "err", err)
	}
}

// Mark says, in the transaction of the change, that something changed at a revision. Call Wake after it.
func (c *Checks) Mark(ctx context.Context, tx pgx.Tx, repositoryID int64, sha string) error {
	_, err := tx.Exec(ctx, markSQL.Text, repositoryID, sha)
	return err
}

// Wake looks at marked revisions now. It never blocks.
func (c *Checks) Wake() { wake(c.marked) }

// plan looks at revisions that are marked, until ctx ends.
func (c *Checks) plan(ctx context.Context) {
	tick := time.NewTicker(min(c.Times.Poll, max(c.Times.Gather, 50*time.Millisecond)))
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := c.planSome(ctx)
		if err != nil && ctx.Err() == nil {
			c.Log.ErrorContext(ctx, "look what GitHub is to show; tried again soon", "err", err)
			c.pause(ctx, c.Times.Backoff)
		}
		if n > 0 {
			wake(c.fresh)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-c.marked:
		}
	}
}

// planSome looks at the revisions that were marked longest ago, and returns how many.
func (c *Checks) planSome(ctx context.Context) (n int, err error) {
	rows, err := c.Pool.Query(ctx, markedSQL.Text, c.Times.Gather.Seconds(), 20)
	if err != nil {
		return 0, fmt.Errorf("checks: marked revisions: %w", pg.Classify(err))
	}
	type marked struct {
		Repository int64  `db:"repository_id"`
		SHA        string `db:"sha"`
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[marked])
	if err != nil {
		return 0, fmt.Errorf("checks: marked revisions: %w", pg.Classify(err))
	}
	var errs []error
	for _, m := range list {
		done, err := c.planHead(ctx, m.Repository, m.SHA)
		if err != nil {
			errs = append(errs, fmt.Errorf("checks: revision %s of repository %d: %w", m.SHA, m.Repository, err)) // the others need not wait for it
		}
		if done {
			n++
		}
	}
	return n, errors.Join(errs...)
}

// planHead looks at one revision. Who looks holds it, so that what was seen earlier is never written later; marks
// that come meanwhile stay.
func (c *Checks) planHead(ctx context.Context, repositoryID int64, sha string) (done bool, err error) {
	err = pg.Tx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, holdHeadSQL.Text, repositoryID, sha).Scan(&mine); err != nil || !mine {
			return err
		}
		var last int64
		if err := tx.QueryRow(ctx, lastMarkSQL.Text, repositoryID, sha).Scan(&last); err != nil || last == 0 {
			return err
		}
		h := head{Checks: c, tx: tx, id: repositoryID, sha: sha}
		if err := h.look(ctx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, plannedSQL.Text, repositoryID, sha, h.tasks, h.open, h.changed, last); err != nil {
			return err
		}
		done = true
		return nil
	})
	return done, err
}

// Reporting is how a file wants its builds told at GitHub. The zero value is commit statuses, as the peer.
type Reporting struct {
	Checks     bool   `json:"checks,omitempty"`     // as check runs
	NoStatuses bool   `json:"noStatuses,omitempty"` // not as commit statuses
	Name       string `json:"name,omitempty"`       // of the aggregate, with what happened where it is not a pull request or a merge queue
	Context    string `json:"context,omitempty"`    // of the commit status
	Tasks      string `json:"tasks,omitempty"`      // check runs besides the aggregate: auto (""), task, group, none
}

// Verdict is what is to be said of a revision that becomes no build.
type Verdict struct {
	RepositoryID int64
	SHA          string
	Source       string // what happened: a later verdict, or build, of the same source takes its place
	Delivery     int64  // order
	Reporting    Reporting
	Kind         string // Nothing, Refused, Wrong
	State        State  // Title, Summary, DetailsURL, Annotations
}

// The kinds of verdicts.
const (
	Nothing = "nothing" // there is nothing to do: success
	Refused = "refused" // the policy wants somebody to act
	Wrong   = "wrong"   // the file is: failure
)

// Judge writes down a verdict; GitHub is told as the reporting asks.
func (c *Checks) Judge(ctx context.Context, v Verdict) error {
	v.State.Status = Completed
	v.State.Conclusion = map[string]string{Nothing: Success, Refused: ActionRequired, Wrong: Failure}[v.Kind]
	reporting, err := json.Marshal(v.Reporting)
	if err != nil {
		return fmt.Errorf("checks: verdict: %w", err)
	}
	said, err := json.Marshal(v.State.fit())
	if err != nil {
		return fmt.Errorf("checks: verdict: %w", err)
	}
	err = pg.Tx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, judgeSQL.Text, v.RepositoryID, v.SHA, v.Source, v.Delivery, clean(reporting), v.Kind, clean(said)); err != nil {
			return err
		}
		return c.Mark(ctx, tx, v.RepositoryID, v.SHA)
	})
	if err != nil {
		return fmt.Errorf("checks: verdict on %s: %w", v.SHA, err)
	}
	c.Wake()
	return nil
}

var (
	markGroupsSQL = pg.Statement{Name: "checks.mark-groups", Text: `
		INSERT INTO github_check_marks (repository_id, sha) SELECT DISTINCT repository_id, sha FROM github_builds WHERE task_group_id = ANY ($1)`}

	markSQL = pg.Statement{Name: "checks.mark", Text: `INSERT INTO github_check_marks (repository_id, sha) VALUES ($1, $2)`}

	// Changes gather for a while; the more tasks there are to look at, the longer.
	markedSQL = pg.Statement{Name: "checks.marked", Text: `
		SELECT m.repository_id, m.sha FROM github_check_marks m LEFT JOIN github_check_heads h ON h.repository_id = m.repository_id AND h.sha = m.sha
		WHERE h.planned IS NULL OR h.planned + make_interval(secs => $1 + h.tasks / 500.0) <= clock_timestamp()
		GROUP BY m.repository_id, m.sha ORDER BY min(m.id) LIMIT $2`}

	holdHeadSQL = pg.Statement{Name: "checks.hold-head", Text: `
		SELECT pg_try_advisory_xact_lock(hashtextextended('github checks of ' || $1::bigint || ' ' || $2::text, 0))`}

	lastMarkSQL = pg.Statement{Name: "checks.last-mark", Text: `SELECT coalesce(max(id), 0) FROM github_check_marks WHERE repository_id = $1 AND sha = $2`}

	plannedSQL = pg.Statement{Name: "checks.planned", Text: `
		WITH seen AS (DELETE FROM github_check_marks WHERE repository_id = $1 AND sha = $2 AND id <= $6)
		INSERT INTO github_check_heads AS h (repository_id, sha, tasks, open) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id, sha) DO UPDATE SET planned = clock_timestamp(), tasks = EXCLUDED.tasks, open = EXCLUDED.open,
			updated = CASE WHEN $5 THEN clock_timestamp() ELSE h.updated END`}

	judgeSQL = pg.Statement{Name: "checks.judge", Text: `
		INSERT INTO github_verdicts AS v (repository_id, sha, source, delivery, reporting, kind, verdict) VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7::jsonb)
		ON CONFLICT (repository_id, sha, source) DO UPDATE SET delivery = EXCLUDED.delivery, reporting = EXCLUDED.reporting, kind = EXCLUDED.kind, verdict = EXCLUDED.verdict
		WHERE v.delivery <= EXCLUDED.delivery`}
)
