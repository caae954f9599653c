package failures

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	readBatch    = 64 // runs
	readTogether = 8
	readFor      = 2 * time.Minute // after which another may read the same runs
	maxTries     = 5
)

// unread is a run whose artifacts are to be read.
type unread struct {
	TaskID string
	Run    int
	Push   int64
	Label  int64
	Name   string // of the label
	Reason string
	Tries  int
}

// ReadNext reads what some failed runs left, and returns how many runs there were.
func (f *Failures) ReadNext(ctx context.Context) (int, error) {
	rows, err := f.Pool.Query(ctx, takeSQL.Text, readBatch, readFor.Seconds())
	if err != nil {
		return 0, failed("take runs", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[unread])
	if err != nil || len(runs) == 0 {
		return 0, failed("take runs", err)
	}
	found := make([][]Line, len(runs))
	errs := make([]error, len(runs))
	var g errgroup.Group
	g.SetLimit(readTogether)
	for i, r := range runs {
		g.Go(func() error {
			found[i], errs[i] = f.read(ctx, r)
			return nil // one that cannot be read does not hold up the others
		})
	}
	_ = g.Wait()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return len(runs), f.keep(ctx, runs, found, errs)
}

// read finds out what a run says of its failure: by its tests, else by its log, else that it says nothing.
func (f *Failures) read(ctx context.Context, r unread) ([]Line, error) {
	lines, err := f.open(ctx, r, summaryName, ofSummary)
	if err != nil && !errors.Is(err, errNothing) {
		f.Log.DebugContext(ctx, "a summary of tests cannot be read", "task", r.TaskID, "run", r.Run, "err", err) // the log tells, too
	}
	for _, name := range logNames {
		if len(lines) > 0 {
			return lines, nil
		}
		if lines, err = f.open(ctx, r, name, ofLog); err != nil && !errors.Is(err, errNothing) && r.Tries < maxTries {
			return nil, err
		}
	}
	if len(lines) == 0 {
		lines = []Line{f.nothing(r)}
	}
	return lines, nil
}

// nothing is the line of a run that does not say what is wrong.
func (f *Failures) nothing(r unread) Line {
	if r.Reason != "failed" {
		return newLine(r.Name, "the run ended as "+r.Reason, 0, "")
	}
	return newLine(r.Name, "failed without an error in the log", 0, "")
}

func (f *Failures) open(ctx context.Context, r unread, name string, read func(io.Reader) ([]Line, error)) ([]Line, error) {
	content, err := f.Open(ctx, r.TaskID, r.Run, name)
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Gone {
		return nil, errNothing
	}
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return read(content)
}

// keep writes down what was found, and puts off what could not be read.
func (f *Failures) keep(ctx context.Context, runs []unread, found [][]Line, errs []error) error {
	err := pg.Tx(ctx, f.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var b pgx.Batch
		var pushes []int64
		for i, r := range runs {
			if errs[i] != nil {
				f.Log.WarnContext(ctx, "what a failed run left cannot be read; it is tried again", "task", r.TaskID, "run", r.Run, "err", errs[i])
				b.Queue(againSQL.Text, r.TaskID, r.Run, (10 * time.Second << r.Tries).Seconds())
				continue
			}
			for place, l := range found[i] {
				b.Queue(linesSQL.Text, r.TaskID, r.Run, l.Signature, r.Push, r.Label, place, l.Test, l.Message, l.Number, l.Excerpt)
			}
			b.Queue(doneSQL.Text, r.TaskID, r.Run)
			if !slices.Contains(pushes, r.Push) {
				pushes = append(pushes, r.Push)
			}
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, troubledSQL.Text, pushes)
		if err != nil {
			return err
		}
		events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (event.Event, error) {
			e := event.Event{Kind: Changed, Payload: json.RawMessage(`{}`)}
			return e, row.Scan(&e.TaskGroupID, &e.Topic)
		})
		if err != nil {
			return err
		}
		return event.Append(ctx, tx, events...)
	})
	if err != nil {
		return failed("keep what was read", err)
	}
	f.Wake()
	return nil
}

var (
	takeSQL = pg.Statement{Name: "failures.take", Text: `
		WITH due AS (
			SELECT task_id, run_id FROM failure_runs WHERE unread <= now() ORDER BY unread LIMIT $1 FOR UPDATE SKIP LOCKED)
		UPDATE failure_runs r SET unread = now() + make_interval(secs => $2)
		FROM due, failure_labels l WHERE r.task_id = due.task_id AND r.run_id = due.run_id AND l.id = r.label
		RETURNING r.task_id, r.run_id, r.push, r.label, l.label, r.reason, r.tries`}

	linesSQL = pg.Statement{Name: "failures.lines", Text: `
		INSERT INTO failure_lines (task_id, run_id, signature, push, label, place, test, message, line, excerpt)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE EXISTS (SELECT FROM failure_pushes WHERE id = $4) ON CONFLICT DO NOTHING`}

	doneSQL = pg.Statement{Name: "failures.done", Text: `UPDATE failure_runs SET unread = NULL WHERE task_id = $1 AND run_id = $2`}

	againSQL = pg.Statement{Name: "failures.again", Text: `
		UPDATE failure_runs SET tries = tries + 1, unread = now() + make_interval(secs => $3) WHERE task_id = $1 AND run_id = $2`}
)
