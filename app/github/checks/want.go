package checks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Want says what a check is to show. Saying the same again does nothing. A completed check that is to be on again, or
// one with a higher attempt than before, becomes a new check run of the same name; what its former attempts lack is
// still told, but none is made any more. The error is fault.Invalid for what GitHub would never take.
func (c *Checks) Want(ctx context.Context, check Check, s State) error {
	err := pg.Tx(ctx, c.Pool, func(ctx context.Context, tx pgx.Tx) error {
		return c.want(ctx, tx, check, s)
	})
	if err != nil {
		return fmt.Errorf("checks: %s of %s at %s: %w", check.Name, check.Repository, check.SHA, err)
	}
	wake(c.fresh)
	return nil
}

// attempt is what of a row decides what a new state does to it.
type attempt struct {
	ID      int64  `db:"id"`
	Attempt int    `db:"attempt"`
	Open    bool   `db:"open"`
	Name    string `db:"name"`
	Group   string `db:"task_group_id"`
	State   []byte `db:"state"`
}

// want is Want within a transaction. The caller wakes the writer when it is committed.
func (c *Checks) want(ctx context.Context, tx pgx.Tx, check Check, s State) error {
	if err := s.check(check); err != nil {
		return err
	}
	text, err := json.Marshal(s.fit())
	if err != nil {
		return err
	}
	text = clean(text)
	at := []any{check.Repository, check.SHA, check.Kind, check.subject()}
	if _, err := tx.Exec(ctx, lockSubjectSQL.Text, at...); err != nil {
		return err
	}
	last, err := one(ctx, tx, latestSQL, at...)
	if errors.Is(err, pgx.ErrNoRows) {
		last, err = attempt{}, nil
	}
	if err != nil {
		return err
	}
	open, number := s.Status != Completed, check.Attempt
	if number == 0 {
		number = max(1, last.Attempt)
		if last.Attempt > 0 && !last.Open && open {
			number++
		}
	}
	if number > last.Attempt {
		if _, err := tx.Exec(ctx, supersedeSQL.Text, append(at, number)...); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertSQL.Text, append(at, number, check.Installation, check.Name, check.TaskGroupID, check.TaskID, text, open, urgency(check, s))...)
		return err
	}
	if number < last.Attempt {
		if last, err = one(ctx, tx, attemptSQL, append(at, number)...); errors.Is(err, pgx.ErrNoRows) {
			return nil // it was never told of, and is over
		} else if err != nil {
			return err
		}
	}
	if !last.Open && open && check.Kind != status { // a commit status may change for ever
		return fault.New(fault.Conflict, "attempt %d is completed and cannot be %s", number, s.Status)
	}
	_, err = tx.Exec(ctx, changeSQL.Text, last.ID, text, open, urgency(check, s), check.Name, check.TaskGroupID, c.Times.Progress.Seconds(), check.Installation)
	return err
}

func one(ctx context.Context, tx pgx.Tx, s pg.Statement, args ...any) (attempt, error) {
	rows, err := tx.Query(ctx, s.Text, args...)
	if err != nil {
		return attempt{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[attempt])
}

// urgency orders what GitHub is told: the aggregate first, since people wait for it to merge, then what failed.
func urgency(check Check, s State) int {
	switch {
	case check.Kind == Aggregate, check.Kind == status:
		return 0
	case s.Status != Completed:
		return 3
	case s.Conclusion == Success, s.Conclusion == Neutral, s.Conclusion == Skipped, s.Conclusion == Cancelled:
		return 2
	}
	return 1
}

// clean leaves out what jsonb cannot hold.
func clean(text []byte) []byte {
	if !strings.Contains(string(text), `\u0000`) {
		return text
	}
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if strings.HasPrefix(string(text[i:min(len(text), i+6)]), `\u0000`) {
				out = append(out, `\ufffd`...)
				i += 5
				continue
			}
			out = append(out, text[i])
			i++
		}
		out = append(out, text[i])
	}
	return out
}

// check refuses what can never be shown.
func (s State) check(c Check) error {
	switch {
	case c.Name == "" || c.SHA == "" || strings.Count(c.Repository, "/") != 1 || c.Installation == 0:
		return fault.New(fault.Invalid, "a check needs a name, a revision, a repository and an installation")
	case s.Status != Queued && s.Status != InProgress && s.Status != Completed:
		return fault.New(fault.Invalid, "a check cannot be %q", s.Status)
	case (s.Status == Completed) != (s.Conclusion != ""):
		return fault.New(fault.Invalid, "a check has a conclusion if and only if it is completed")
	case len(s.Actions) > MaxActions:
		return fault.New(fault.Invalid, "a check has %d buttons at most", MaxActions)
	}
	for _, a := range s.Actions {
		if n := len([]rune(a.Identifier)); n == 0 || n > maxIdentifier {
			return fault.New(fault.Invalid, "the identifier of a button has 1 to %d characters", maxIdentifier)
		}
	}
	return nil
}

// fit brings texts within GitHub's limits, and times to what GitHub keeps of them.
func (s State) fit() State {
	s.Title, s.Summary, s.Text = firstLine(s.Title, maxTitle), cut(s.Summary, maxText), cut(s.Text, maxText)
	if s.Title == "" {
		s.Title = s.Status
	}
	if s.Summary == "" {
		s.Summary = s.Title
	}
	for i, a := range s.Actions {
		s.Actions[i] = Action{cutLine(a.Label, maxLabel), cutLine(a.Description, maxDescription), a.Identifier}
	}
	s.StartedAt, s.CompletedAt = s.StartedAt.UTC().Truncate(time.Second), s.CompletedAt.UTC().Truncate(time.Second)
	return s
}

var (
	lockSubjectSQL = pg.Statement{Name: "checks.lock-subject", Text: `
		SELECT pg_advisory_xact_lock(hashtextextended('github check ' || lower($1::text) || ' ' || $2::text || ' ' || $3::text || ' ' || $4::text, 0))`}

	latestSQL = pg.Statement{Name: "checks.latest", Text: `
		SELECT id, attempt, open, name, task_group_id, state FROM github_checks
		WHERE lower(repository) = lower($1) AND sha = $2 AND kind = $3 AND subject = $4 ORDER BY attempt DESC LIMIT 1`}

	attemptSQL = pg.Statement{Name: "checks.attempt", Text: `
		SELECT id, attempt, open, name, task_group_id, state FROM github_checks
		WHERE lower(repository) = lower($1) AND sha = $2 AND kind = $3 AND subject = $4 AND attempt = $5`}

	insertSQL = pg.Statement{Name: "checks.insert", Text: `
		WITH pace AS (INSERT INTO github_pace (installation_id) VALUES ($6) ON CONFLICT DO NOTHING)
		INSERT INTO github_checks (repository, sha, kind, subject, attempt, installation_id, name, task_group_id, task_id, state, open, urgency)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12)`}

	// What is still on is told now and then, whatever happens meanwhile; the longer it has been on, the less often. Its
	// end is told at once.
	changeSQL = pg.Statement{Name: "checks.change", Text: `
		WITH pace AS (INSERT INTO github_pace (installation_id) VALUES ($8) ON CONFLICT DO NOTHING)
		UPDATE github_checks SET state = $2::jsonb, open = $3, urgency = $4, name = $5, task_group_id = $6, installation_id = $8, wanted = wanted + 1, updated = clock_timestamp(), tries = 0,
			due = CASE WHEN tries > 0 THEN due WHEN $3 THEN greatest(due, sent_at + greatest(make_interval(secs => $7), (clock_timestamp() - created) / 20)) ELSE clock_timestamp() END
		WHERE id = $1 AND (state <> $2::jsonb OR name <> $5 OR task_group_id <> $6)`}

	// A former attempt that was not told to be completed never will be by its subject: it ends here. Where GitHub knows
	// nothing of it, nothing is told.
	supersedeSQL = pg.Statement{Name: "checks.supersede", Text: `
		UPDATE github_checks SET latest = false, open = false, updated = clock_timestamp(),
			wanted = wanted + CASE WHEN open THEN 1 ELSE 0 END, due = CASE WHEN open THEN clock_timestamp() ELSE due END,
			state = CASE WHEN open THEN state || jsonb_build_object('status', 'completed', 'conclusion', 'neutral', 'title', 'A newer attempt took its place') ELSE state END,
			ended = CASE WHEN github_id = 0 AND NOT perhaps AND ended = '' THEN 'never made' ELSE ended END
		WHERE lower(repository) = lower($1) AND sha = $2 AND kind = $3 AND subject = $4 AND attempt < $5 AND latest`}
)
