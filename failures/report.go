package failures

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// maxReports is how many lines of a run may be reported.
const maxReports = 20

// Reported is a line of a log that somebody says to tell of a run's failure.
type Reported struct {
	TaskID  string
	Run     int
	Log     string // name of the artifact
	Line    int    // from 1
	Message string // of the line, as people see it
	Excerpt string // the lines around it, or those that were marked
}

// Report is such a line with who said so.
type Report struct {
	ID        int64
	Signature string
	Log       string
	Line      int
	Message   string
	By        string
	Time      time.Time
	UndoneBy  *string
	Undone    *time.Time
}

// Report makes a line one that tells of a run's failure: it stands first among the others then, on all pages, and is known
// by its signature. The run must have failed on a push that this room remembers: else it is a fault.Conflict, as is a line
// that is known already. The caller has checked that by may (triage:classify:<repository>).
func (f *Failures) Report(ctx context.Context, by string, r Reported) (Report, error) {
	line := newLine("", r.Message, r.Line, r.Excerpt)
	if line.Message == "" || r.Line < 1 {
		return Report{}, fault.New(fault.Invalid, "An empty line tells of no failure.")
	}
	out := Report{Signature: line.Signature, Log: short(r.Log), Line: r.Line, Message: line.Message, By: by}
	err := pg.Tx(ctx, f.Pool, func(ctx context.Context, tx pgx.Tx) error {
		run, err := f.lockRun(ctx, tx, r.TaskID, r.Run)
		if err != nil {
			return err
		}
		var known bool
		var place, reports int
		if err := tx.QueryRow(ctx, beforeReportSQL.Text, r.TaskID, r.Run, line.Signature).Scan(&known, &place, &reports); err != nil {
			return err
		}
		if known {
			return fault.New(fault.Conflict, "This line, or one like it, is known to tell of this failure already.")
		}
		if reports >= maxReports {
			return fault.New(fault.Conflict, "%d lines of this run are reported already: take one back.", maxReports)
		}
		// That nothing was found is not true any more.
		if _, err := tx.Exec(ctx, dropLineSQL.Text, r.TaskID, r.Run, f.nothing(run).Signature); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, linesSQL.Text, r.TaskID, r.Run, line.Signature, run.Push, run.Label, place-1, line.Test, line.Message, line.Number, line.Excerpt); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, reportSQL.Text, r.TaskID, r.Run, line.Signature, run.Push, out.Log, out.Line, out.Message, by).Scan(&out.ID, &out.Time); err != nil {
			return err
		}
		return tellOf(ctx, tx, run.Push, r.TaskID)
	})
	if err != nil {
		return Report{}, reportFailed("report a line", err)
	}
	f.Wake()
	return out, nil
}

// TakeBack undoes a report. A run without any other line is read again. What is taken back already is a fault.Conflict.
func (f *Failures) TakeBack(ctx context.Context, by, taskID string, id int64) error {
	err := pg.Tx(ctx, f.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var run int
		var signature string
		var push int64
		err := tx.QueryRow(ctx, takeBackSQL.Text, id, taskID, by).Scan(&run, &signature, &push)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.Conflict, "This line is not reported any more.")
		}
		if err != nil {
			return err
		}
		if _, err := f.lockRun(ctx, tx, taskID, run); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, dropLineSQL.Text, taskID, run, signature); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, rereadSQL.Text, taskID, run); err != nil {
			return err
		}
		return tellOf(ctx, tx, push, taskID)
	})
	if err != nil {
		return reportFailed("take a report back", err)
	}
	f.Wake()
	f.sign()
	return nil
}

// Reports lists what was ever reported of a run, the newest first, with what was taken back.
func (f *Failures) Reports(ctx context.Context, taskID string, run int) ([]Report, error) {
	rows, err := f.Pool.Query(ctx, reportsSQL.Text, taskID, run)
	if err != nil {
		return nil, failed("read reports", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Report])
	return list, failed("read reports", err)
}

// lockRun reads a run that failed, and has others who report lines of it wait.
func (f *Failures) lockRun(ctx context.Context, tx pgx.Tx, taskID string, run int) (unread, error) {
	r := unread{TaskID: taskID, Run: run}
	var lost bool
	err := tx.QueryRow(ctx, lockRunSQL.Text, taskID, run).Scan(&r.Push, &r.Label, &r.Name, &r.Reason, &lost)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return r, fault.New(fault.Conflict, "Only of a run that failed on a push of the last weeks can a line be reported.")
	case lost:
		return r, fault.New(fault.Conflict, "This run says nothing about the push: it ended as %s.", r.Reason)
	}
	return r, err
}

// tellOf writes the event that the failures of a push have changed, by one of its tasks.
func tellOf(ctx context.Context, tx pgx.Tx, push int64, taskID string) error {
	e := event.Event{Kind: Changed, TaskID: taskID, Payload: json.RawMessage(`{}`)}
	if err := tx.QueryRow(ctx, groupOfSQL.Text, push).Scan(&e.TaskGroupID, &e.Topic); err != nil {
		return err
	}
	return event.Append(ctx, tx, e)
}

// reportFailed leaves faults for people as they are.
func reportFailed(what string, err error) error {
	if fault.KindOf(err) != fault.Internal {
		return fmt.Errorf("failures: %s: %w", what, err)
	}
	return failed(what, err)
}

var (
	lockRunSQL = pg.Statement{Name: "failures.lock-run", Text: `
		SELECT r.push, r.label, l.label, r.reason, r.lost FROM failure_runs r JOIN failure_labels l ON l.id = r.label
		WHERE r.task_id = $1 AND r.run_id = $2 FOR UPDATE OF r`}

	beforeReportSQL = pg.Statement{Name: "failures.before-report", Text: `
		SELECT coalesce(bool_or(signature = $3), false), least(coalesce(min(place), 0), 0),
			(SELECT count(*) FROM failure_reports WHERE task_id = $1 AND run_id = $2 AND undone IS NULL)
		FROM failure_lines WHERE task_id = $1 AND run_id = $2`}

	dropLineSQL = pg.Statement{Name: "failures.drop-line", Text: `DELETE FROM failure_lines WHERE task_id = $1 AND run_id = $2 AND signature = $3`}

	reportSQL = pg.Statement{Name: "failures.report", Text: `
		INSERT INTO failure_reports (task_id, run_id, signature, push, log, line, message, said_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		RETURNING id, said`}

	takeBackSQL = pg.Statement{Name: "failures.take-back", Text: `
		UPDATE failure_reports SET undone = now(), undone_by = $3 WHERE id = $1 AND task_id = $2 AND undone IS NULL
		RETURNING run_id, signature, push`}

	rereadSQL = pg.Statement{Name: "failures.reread", Text: `
		UPDATE failure_runs SET unread = now(), tries = 0 WHERE task_id = $1 AND run_id = $2
			AND NOT EXISTS (SELECT FROM failure_lines l WHERE l.task_id = $1 AND l.run_id = $2)`}

	reportsSQL = pg.Statement{Name: "failures.reports", Text: `
		SELECT id, signature, log, line, message, said_by, said, undone_by, undone FROM failure_reports
		WHERE task_id = $1 AND run_id = $2 ORDER BY id DESC LIMIT 200`}

	groupOfSQL = pg.Statement{Name: "failures.group-of", Text: `SELECT task_group_id, repository FROM failure_pushes WHERE id = $1`}
)
