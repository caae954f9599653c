package cron

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
)

// Branch is a branch whose .cron.yml is followed.
type Branch struct {
	Repository string     `db:"repository"`
	Branch     string     `db:"branch"`
	Revision   string     `db:"revision"`    // where the file was read last; "" before that
	Source     string     `db:"source"`      // the file there; "" without one
	Error      *Error     `db:"error"`       // what is wrong with the file, or why it could not be read
	DoneUntil  time.Time  `db:"done_until"`  // the last slot that is settled
	Due        time.Time  `db:"due"`         // when it is looked at next
	Checked    *time.Time `db:"checked"`     // when the head was read last
	Failures   int        `db:"failures"`    // in a row
	RetryAfter time.Time  `db:"retry_after"` // not looked at before
	Now        time.Time  `db:"now"`         // of the calendar's clock, when this was read
}

// Place is the branch as .cron.yml sees it: the project is the repository's name.
func (b Branch) Place() crontab.Branch {
	return crontab.Branch{Project: b.Repository, Branch: b.Branch}
}

// File reads the file as it stood; a branch without one has no jobs. It fails when the file is broken.
func (b Branch) File() (*crontab.File, error) { return crontab.Parse(crontab.Name, []byte(b.Source)) }

// Follow has branches followed from the next slot on; those that are followed stay as they are. Other
// branches of the repositories are followed no longer.
func (c *Calendar) Follow(ctx context.Context, repositories []string, branches []Branch) error {
	of, names := make([]string, len(branches)), make([]string, len(branches))
	for i, b := range branches {
		of[i], names[i] = b.Repository, b.Branch
	}
	err := pg.Tx(ctx, c.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, unfollowSQL.Text, of, names, repositories); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, followSQL.Text, of, names)
		return err
	})
	if err != nil {
		return failed("follow branches", err)
	}
	return nil
}

// Take hands out up to limit branches of the given repositories that are due: nobody else gets them for
// the lease.
func (c *Calendar) Take(ctx context.Context, repositories []string, lease time.Duration, limit int) ([]Branch, error) {
	return c.branches(ctx, "take branches", takeBranchesSQL, repositories, lease.Seconds(), limit)
}

// Branches are the branches that are followed, of one repository or, with "", of all.
func (c *Calendar) Branches(ctx context.Context, repository string) ([]Branch, error) {
	list, err := c.branches(ctx, "branches", branchesSQL, repository)
	for i, b := range list {
		if b.Error == nil && b.Now.Sub(b.Due) > unread {
			list[i].Error = &Error{Code: "unread", Message: fmt.Sprintf(
				"No server has looked at it since %s. Either none runs, or none has the repository in its configuration any more.", when(b.Due))}
		}
	}
	return list, err
}

// unread is how long after its time a branch that nobody looked at is told of.
const unread = 2 * crontab.Quarter

func (c *Calendar) branches(ctx context.Context, what string, s pg.Statement, args ...any) ([]Branch, error) {
	rows, err := c.pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, failed(what, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Branch])
	if err != nil {
		return nil, failed(what, err)
	}
	return list, nil
}

// Clock is what time it is for the calendar.
func (c *Calendar) Clock(ctx context.Context) (now time.Time, err error) {
	if err := c.pool.QueryRow(ctx, clockSQL.Text).Scan(&now); err != nil {
		return now, failed("clock", err)
	}
	return now, nil
}

// Settled is what Settle found.
type Settled struct {
	Waiting int    // runs that are to be started
	Error   *Error // what is wrong with the file; nil when nothing is
}

// Settle records what the file at the head of a taken branch says, and settles the slots up to the one
// that b.Now is in: each job that was due since the last gets its runs. When another server settled the
// branch meanwhile, nothing changes. Without revision, wrong says why there is none.
func (c *Calendar) Settle(ctx context.Context, b Branch, revision, source string, wrong *Error) (settled Settled, err error) {
	file, ferr := crontab.Parse(crontab.Name, []byte(source))
	slot := crontab.Slot(b.Now)
	next := slot.Add(crontab.Quarter)
	var entries []entry
	if ferr != nil {
		wrong = FileError(ferr)
	} else if wrong == nil {
		var errs []error
		entries, errs = plan(file, b.Place(), b.DoneUntil, slot)
		wrong = FileError(errors.Join(errs...))
	}
	if ferr != nil || !dueAt(file, b.Place(), next) {
		next = next.Add(spread(b))
	}
	err = pg.Tx(ctx, c.pool, func(ctx context.Context, tx pgx.Tx) error {
		settled = Settled{Error: wrong}
		tag, err := tx.Exec(ctx, settleSQL.Text, b.Repository, b.Branch, b.DoneUntil, revision, source, wrong.clean(), slot, next)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		for _, e := range entries {
			state, why := Waiting, (*Error)(nil)
			if e.missed != "" {
				state, why = Missed, &Error{Code: "missed", Message: e.missed}
			} else {
				settled.Waiting++
			}
			_, err := tx.Exec(ctx, runSQL.Text, b.Repository, b.Branch, e.job.Name, e.slot.Format(time.RFC3339), e.slot, e.job.Type, revision, slug.Nice(), state, "", nil, why)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Settled{}, failed("settle "+b.Repository+" "+b.Branch, err)
	}
	return settled, nil
}

// Fail records that a taken branch could not be read; it comes again after a while that grows. Its slots
// stay unsettled.
func (c *Calendar) Fail(ctx context.Context, b Branch, why Error) error {
	_, err := c.pool.Exec(ctx, failBranchSQL.Text, b.Repository, b.Branch, b.DoneUntil, why.clean(), backoff(b.Failures).Seconds())
	if err != nil {
		return failed("fail "+b.Repository+" "+b.Branch, err)
	}
	return nil
}

// Poke has the branches of a repository looked at now, because one has moved.
func (c *Calendar) Poke(ctx context.Context, repository string) error {
	if _, err := c.pool.Exec(ctx, pokeSQL.Text, repository); err != nil {
		return failed("poke", err)
	}
	return nil
}

// spread is how long after a slot began a branch is looked at in which nothing is known to be due, so
// that not all forges are asked at once.
func spread(b Branch) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(b.Repository + "\x00" + b.Branch)) // a hash takes everything
	return time.Duration(h.Sum32()%uint32(spreadOver/time.Second)) * time.Second
}

const spreadOver = 4 * time.Minute

// clean returns the error with texts that PostgreSQL can hold: they quote what strangers wrote.
func (e *Error) clean() *Error {
	if e == nil {
		return nil
	}
	fine := func(s string) string {
		return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	}
	return &Error{Code: fine(e.Code), Message: fine(e.Message), File: fine(e.File), Line: e.Line, Detail: fine(e.Detail)}
}

const branchColumns = `repository, branch, revision, source, error, done_until, due, checked, failures, retry_after, cron_clock() AS now`

var (
	clockSQL = pg.Statement{Name: "cron.clock", Text: `SELECT cron_clock()`}

	// What is followed begins with the next slot: the present one has begun before.
	followSQL = pg.Statement{Name: "cron.follow", Text: `
		INSERT INTO cron_branches (repository, branch, done_until, due)
		SELECT r, b, date_bin('15 minutes', cron_clock(), 'epoch'), cron_clock() FROM unnest($1::text[], $2::text[]) AS new (r, b)
		ON CONFLICT DO NOTHING`}

	unfollowSQL = pg.Statement{Name: "cron.unfollow", Text: `
		DELETE FROM cron_branches WHERE repository = ANY ($3::text[])
			AND (repository, branch) NOT IN (SELECT r, b FROM unnest($1::text[], $2::text[]) AS wanted (r, b))`}

	takeBranchesSQL = pg.Statement{Name: "cron.take-branches", Text: `
		UPDATE cron_branches SET retry_after = clock_timestamp() + make_interval(secs => $2)
		WHERE (repository, branch) IN (
			SELECT repository, branch FROM cron_branches
			WHERE due <= cron_clock() AND retry_after <= clock_timestamp() AND repository = ANY ($1)
			ORDER BY due, repository, branch LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING ` + branchColumns}

	// The mark moves only from where the caller saw it, so a slot is settled once.
	settleSQL = pg.Statement{Name: "cron.settle", Text: `
		UPDATE cron_branches SET revision = $4, source = $5, error = $6, done_until = greatest(done_until, $7), due = $8,
			checked = cron_clock(), failures = 0, retry_after = 'epoch'
		WHERE repository = $1 AND branch = $2 AND done_until = $3`}

	failBranchSQL = pg.Statement{Name: "cron.fail-branch", Text: `
		UPDATE cron_branches SET error = $4, failures = failures + 1, retry_after = clock_timestamp() + make_interval(secs => $5)
		WHERE repository = $1 AND branch = $2 AND done_until = $3`}

	pokeSQL = pg.Statement{Name: "cron.poke", Text: `
		UPDATE cron_branches SET due = cron_clock() WHERE repository = $1 AND due > cron_clock()`}

	branchesSQL = pg.Statement{Name: "cron.branches", Text: `
		SELECT ` + branchColumns + ` FROM cron_branches WHERE $1 = '' OR repository = $1 ORDER BY repository, branch`}
)
