// Package scopegate holds a pull request back that brings scopes or task queues which no task had before, until an owner of
// the repository has approved them (field R12). What is held is a check that branches can require; GitHub then refuses to
// merge.
//
// A check run belongs to a revision, and several pull requests may have the same one: it passes when nothing is held of any
// of them. An approval is of what a pull request brings to its base branch. It holds for later revisions which bring
// no more.
package scopegate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Gate is the record of what is held and what was approved. It is safe for concurrent use, by any number of servers.
type Gate struct{ Pool *pgxpool.Pool }

// Pull is a pull request at a revision.
type Pull struct {
	Repository int64 // GitHub's id
	Number     int
	Base       string // branch
	Revision   string // head
	Author     string // login of who opened it
	PushedBy   string // login of who pushed the revision; "" where that is not known
}

// maxGains is how many gains are kept one by one. Of more, all or none is approved, at one revision.
const maxGains = 2000

// Found writes down what a pull request brings, in place of what was found of the same revision before.
func (g Gate) Found(ctx context.Context, p Pull, gains []string) error {
	gains = slices.Compact(slices.Sorted(slices.Values(gains)))
	if len(gains) > maxGains {
		gains = []string{fmt.Sprintf("%d scopes and task queues at %s", len(gains), p.Revision)}
	}
	// An empty list of Go's that is nil would be NULL.
	_, err := g.Pool.Exec(ctx, foundSQL.Text, p.Repository, p.Number, p.Base, p.Revision, p.Author, p.PushedBy, append([]string{}, gains...))
	if err != nil {
		return fmt.Errorf("scopegate: pull request %d: %w", p.Number, pg.Classify(err))
	}
	return nil
}

// Held is how one of the open pull requests at a revision stands.
type Held struct {
	Number int
	Base   string
	Author string
	Gains  []string // all that it brings, sorted
	Open   []string // what of it nobody has approved
	By     []string // who approved the rest
}

// At returns the open pull requests at a revision, by number: those that Found was told of.
func (g Gate) At(ctx context.Context, repository int64, revision string) ([]Held, error) {
	rows, err := g.Pool.Query(ctx, atSQL.Text, repository, revision)
	if err != nil {
		return nil, fmt.Errorf("scopegate: revision %s: %w", revision, pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Held])
	if err != nil {
		return nil, fmt.Errorf("scopegate: revision %s: %w", revision, pg.Classify(err))
	}
	return list, nil
}

// Approve lets pass what the open pull requests at a revision bring, but for those that login opened or pushed: somebody
// else must approve what they bring. It stands in the audit log under client, with the repository's name. The error is
// fault.Forbidden when something is held and none of it is for login to approve, and fault.Conflict when no open pull
// request is at the revision; to approve once more does nothing.
func (g Gate) Approve(ctx context.Context, repository int64, name, revision, login, client string) error {
	n := 0
	err := pg.Tx(ctx, g.Pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, approveSQL.Text, repository, revision, login)
		if err != nil {
			return err
		}
		type deed struct {
			Number int
			Base   string
			Gains  []string
		}
		deeds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deed])
		if err != nil {
			return err
		}
		for _, d := range deeds {
			err := auth.Audit(ctx, tx, auth.Record{
				EntityType: "pull-request", EntityID: fmt.Sprintf("%s#%d", name, d.Number), ClientID: client, Action: "new scopes approved", Own: true,
				After: map[string]any{"base": d.Base, "revision": revision, "approved": d.Gains},
			})
			if err != nil {
				return err
			}
		}
		n = len(deeds)
		return nil
	})
	if err != nil {
		return fmt.Errorf("scopegate: approve %s: %w", revision, pg.Classify(err))
	}
	if n > 0 {
		return nil
	}
	pulls, err := g.At(ctx, repository, revision)
	if err != nil {
		return err
	}
	if len(pulls) == 0 {
		return fault.New(fault.Conflict, "There is a newer revision, or the pull request is closed.")
	}
	if slices.ContainsFunc(pulls, func(h Held) bool { return len(h.Open) > 0 }) {
		return fault.New(fault.Forbidden, "Who opened a pull request, or pushed its newest revision, cannot approve what it brings: somebody else must.")
	}
	return nil
}

// Prune removes what is older than keep, in small steps, and returns how many rows that were. How open pull requests stand
// at their newest revisions stays: the check of a revision depends on it.
func (g Gate) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	return pg.Prune(ctx, g.Pool, pruneSQL, 1000, keep)
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{foundSQL, atSQL, approveSQL, pruneSQL}
}

// open is the condition that a pull request is open, and has no newer revision and no other base branch.
const open = `EXISTS (SELECT FROM github_pulls p WHERE p.repository_id = g.repository_id AND p.number = g.number AND p.head = g.revision AND p.base IN ('', g.base))`

// own is the condition that $3 opened the pull request or pushed its revision, for whichever base.
const own = `EXISTS (
	SELECT FROM github_scope_gates o WHERE o.repository_id = g.repository_id AND o.number = g.number AND o.revision = g.revision
		AND lower($3::text) IN (lower(o.author), lower(o.pushed_by)))`

// unapproved are the gains of a row that no row of the same pull request and base has approved.
const unapproved = `ARRAY(
	SELECT unnest(g.gains) EXCEPT SELECT unnest(a.approved) FROM github_scope_gates a
	WHERE a.repository_id = g.repository_id AND a.number = g.number AND a.base = g.base ORDER BY 1)`

var (
	foundSQL = pg.Statement{Name: "scopegate.found", Text: `
		INSERT INTO github_scope_gates (repository_id, number, base, revision, author, pushed_by, gains) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (repository_id, number, base, revision) DO UPDATE SET gains = EXCLUDED.gains, author = EXCLUDED.author,
			pushed_by = coalesce(nullif(EXCLUDED.pushed_by, ''), github_scope_gates.pushed_by), updated = now()`}

	atSQL = pg.Statement{Name: "scopegate.at", Text: `
		SELECT g.number, g.base, g.author, g.gains, ` + unapproved + `, ARRAY(
			SELECT DISTINCT a.approved_by FROM github_scope_gates a
			WHERE a.repository_id = g.repository_id AND a.number = g.number AND a.base = g.base AND a.approved && g.gains ORDER BY 1)
		FROM github_scope_gates g WHERE g.repository_id = $1 AND g.revision = $2 AND ` + open + ` ORDER BY g.number, g.base`}

	approveSQL = pg.Statement{Name: "scopegate.approve", Text: `
		UPDATE github_scope_gates g SET approved = g.gains, approved_by = $3, updated = now()
		WHERE g.repository_id = $1 AND g.revision = $2 AND NOT ` + own + ` AND ` + open + ` AND ` + unapproved + ` <> '{}'
			AND NOT g.gains <@ g.approved -- of one that somebody else approves just now, the rest of the statement sees the state before
		RETURNING g.number, g.base, g.gains`}

	pruneSQL = pg.Statement{Name: "scopegate.prune", Text: `
		DELETE FROM github_scope_gates WHERE ctid = ANY (ARRAY(
			SELECT g.ctid FROM github_scope_gates g WHERE g.updated < now() - $2::interval AND NOT ` + open + ` LIMIT $1))`}
)
