package bugs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Actions of deeds, for the audit log.
const (
	ActionFiled = "filed" // the tracker made it
	ActionFound = "found" // the tracker turned out to have it: it was asked before, and nobody heard the answer
)

// Deed is what is told of a bug that a person had the server file.
type Deed struct {
	Actor, Action string
	Tracker       string
	Bug           Bug
	For           Failure
}

// Failure is what a bug is of.
type Failure struct{ Repository, TaskID string }

// Filed is a bug that stands in the register.
type Filed struct {
	Bug
	Before bool   // it was there before
	By     string // the client that had it filed; "" when that is not known
}

const (
	fileFor  = 12 * time.Second       // a tracker may take to make a bug
	patience = 20 * time.Second       // after which an attempt without an end has none: its server has gone
	look     = 250 * time.Millisecond // between looks at the attempt of another server
	skew     = 5 * time.Minute        // that the tracker's clock may be behind

	stateFiled = "filed"
)

// Register files bugs, each summary once, whichever server is asked and however often, while the bug is open. It writes
// down that it asks before it asks; where nobody heard what came of that, because the tracker did not answer or the server
// ended, the tracker is looked through for the bug before it is asked again. What remains: a tracker that makes a bug only
// after it was looked through has it twice.
//
// It is safe for concurrent use, and any number may work on one database.
type Register struct {
	Pool    *pgxpool.Pool
	Tracker Tracker
	Log     *slog.Logger
	// Audit writes down what was done, in the transaction that says so.
	Audit func(context.Context, pgx.Tx, Deed) error
}

// filing is a row.
type filing struct {
	id                 int64
	state, attempt, by string
	asked              time.Time
	bug, url           string
	repeat             bool // the tracker was asked before
	fresh              bool // it was tried within a minute
}

// File has the tracker make a bug, for actor. What the tracker refuses is a fault.Conflict, and so is a bug that another
// server is about for longer than ctx lasts. Once the tracker is asked, it goes on when ctx ends.
func (r *Register) File(ctx context.Context, actor string, f Failure, n New) (Filed, error) {
	if err := n.Check(); err != nil {
		return Filed{}, err
	}
	mine, there, err := r.claim(ctx, actor, f, n.Summary)
	if err != nil || mine == nil {
		return there, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fileFor)
	defer cancel()
	bug, action, err := r.make(ctx, mine, n)
	if err != nil {
		return Filed{}, err
	}
	filed := Filed{Bug: bug, By: actor}
	if action == ActionFound {
		filed.Before, filed.By = true, ""
	}
	return filed, r.settle(ctx, mine, Deed{actor, action, r.Tracker.Name(), bug, f})
}

// claim takes a summary for an attempt of its own, or returns the bug that there is; it waits while another attempt is made.
func (r *Register) claim(ctx context.Context, actor string, f Failure, summary string) (mine *filing, there Filed, err error) {
	attempt, tracker := slug.New(), r.Tracker.Name()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		mine, err = r.one(ctx, claimSQL, tracker, summary, attempt, actor, f.Repository, f.TaskID, patience)
		if err != nil || mine != nil {
			return mine, there, err
		}
		other, err := r.one(ctx, readSQL, tracker, summary)
		if err != nil {
			return nil, there, err
		}
		if other != nil && other.state == stateFiled {
			if mine, err = r.again(ctx, other, attempt, actor, f); err != nil || mine != nil {
				return mine, there, err
			}
			return nil, Filed{Bug: Bug{ID: other.bug, URL: other.url, Summary: summary}, Before: true, By: other.by}, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, there, fault.Wrap(fault.Conflict, ctx.Err(), "It is being filed just now by another; look again in a moment.")
		}
	}
}

// again takes the summary of a bug that has been closed meanwhile; nil when it is open, or nobody can tell.
func (r *Register) again(ctx context.Context, old *filing, attempt, actor string, f Failure) (*filing, error) {
	if old.fresh {
		return nil, nil
	}
	asking, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	bug, err := r.Tracker.Get(asking, old.bug)
	if err != nil {
		r.Log.InfoContext(ctx, "whether a bug is still open is not known", "bug", old.url, "err", err)
		return nil, nil
	}
	if bug.Open {
		return nil, nil
	}
	return r.one(ctx, againSQL, old.id, old.attempt, attempt, actor, f.Repository, f.TaskID)
}

// make asks the tracker; before that whether it has the bug, where it may.
func (r *Register) make(ctx context.Context, mine *filing, n New) (bug Bug, action string, err error) {
	if mine.repeat {
		bug, err := r.Tracker.Recent(ctx, n.Summary, mine.asked.Add(-skew))
		switch {
		case err == nil:
			return bug, ActionFound, nil
		case !errors.Is(err, ErrNone):
			return bug, "", r.gaveUp(ctx, mine, unsureSQL, fmt.Errorf("look whether it is filed already: %w", err))
		}
	}
	bug, err = r.Tracker.File(ctx, n)
	switch {
	case errors.Is(err, ErrRefused):
		err = r.gaveUp(ctx, mine, refusedSQL, err)
	case err != nil:
		err = r.gaveUp(ctx, mine, unsureSQL, err)
	}
	return bug, ActionFiled, err
}

// gaveUp writes down what is known after an error, and returns that.
func (r *Register) gaveUp(ctx context.Context, mine *filing, s pg.Statement, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fileFor)
	defer cancel()
	_, err := r.Pool.Exec(ctx, s.Text, mine.id, mine.attempt)
	return errors.Join(cause, failed(s, err))
}

// settle writes down which bug it is.
func (r *Register) settle(ctx context.Context, mine *filing, d Deed) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fileFor)
	defer cancel()
	err := pg.Tx(ctx, r.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, filedSQL.Text, mine.id, mine.attempt, d.Bug.ID, d.Bug.URL)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			r.Log.WarnContext(ctx, "a bug was filed after others gave this attempt up: the tracker may have it twice", "bug", d.Bug.URL)
		}
		return r.Audit(ctx, tx, d)
	})
	return failed(filedSQL, err)
}

// one reads a row; nil for none.
func (r *Register) one(ctx context.Context, s pg.Statement, args ...any) (*filing, error) {
	var f filing
	err := r.Pool.QueryRow(ctx, s.Text, args...).Scan(&f.id, &f.state, &f.attempt, &f.asked, &f.by, &f.bug, &f.url, &f.repeat, &f.fresh)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return &f, failed(s, err)
}

// Prune forgets what was filed longer ago than keep, in small transactions, and returns how many that were.
func Prune(ctx context.Context, pool *pgxpool.Pool, keep time.Duration) (int64, error) {
	const batch = 1000
	n, err := pg.Prune(ctx, pool, pruneSQL, batch, keep.Seconds())
	return n, failed(pruneSQL, err)
}

func failed(s pg.Statement, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.Name, pg.Classify(err))
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement {
	return []pg.Statement{claimSQL, readSQL, againSQL, refusedSQL, unsureSQL, filedSQL, pruneSQL}
}

const (
	filingColumns = `id, state, attempt, asked, asked_by, bug, url, asked < tried, tried > now() - interval '1 minute'`
	myAttempt     = `id = $1 AND attempt = $2`
)

var (
	// A new summary is asked for the first time; one that nobody is about any more is tried again.
	claimSQL = pg.Statement{Name: "bugs.claim", Text: `
INSERT INTO bug_filings AS b (tracker, summary, attempt, asked_by, repository, task_id) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tracker, summary) DO UPDATE
SET state = 'asked', attempt = EXCLUDED.attempt, tried = now(), asked_by = EXCLUDED.asked_by, repository = EXCLUDED.repository, task_id = EXCLUDED.task_id
WHERE b.state = 'unsure' OR b.state = 'asked' AND b.tried < now() - $7::interval
RETURNING ` + filingColumns}

	readSQL = pg.Statement{Name: "bugs.read", Text: `SELECT ` + filingColumns + ` FROM bug_filings WHERE tracker = $1 AND summary = $2`}

	againSQL = pg.Statement{Name: "bugs.again", Text: `
UPDATE bug_filings SET state = 'asked', bug = '', url = '', attempt = $3, asked = now(), tried = now(), asked_by = $4, repository = $5, task_id = $6
WHERE ` + myAttempt + ` AND state = 'filed'
RETURNING ` + filingColumns}

	refusedSQL = pg.Statement{Name: "bugs.refused", Text: `DELETE FROM bug_filings WHERE ` + myAttempt + ` AND state = 'asked'`}

	unsureSQL = pg.Statement{Name: "bugs.unsure", Text: `UPDATE bug_filings SET state = 'unsure' WHERE ` + myAttempt + ` AND state = 'asked'`}

	filedSQL = pg.Statement{Name: "bugs.filed", Text: `UPDATE bug_filings SET state = 'filed', bug = $3, url = $4 WHERE ` + myAttempt}

	pruneSQL = pg.Statement{Name: "bugs.prune", Text: `
DELETE FROM bug_filings WHERE id IN (
	SELECT id FROM bug_filings WHERE tried < now() - make_interval(secs => $2) ORDER BY tried LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
