package history

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	past "github.com/treeline-ci/treeline/taskgraph/history"
)

// For gives the table for the decision about a push: what is known of the pushes before it on its
// branch. The push gets its number, if it has none yet.
func (h *History) For(ctx context.Context, p Push) (*past.Table, error) {
	var t *past.Table
	err := pg.Tx(ctx, h.pool, func(ctx context.Context, tx pgx.Tx) error {
		at, err := enter(ctx, tx, p)
		if err != nil {
			return err
		}
		t, err = h.table(ctx, tx, at, &past.Table{Project: p.Project, Push: past.Push{Number: at.number, Revision: p.Revision, Time: p.Time.UTC()}})
		return err
	})
	if err != nil {
		return nil, failed("read", err)
	}
	return t, nil
}

// Next gives the table that a push to the branch would get now. With branch "" it is the branch of the
// latest push. A project without pushes is a fault.NotFound.
func (h *History) Next(ctx context.Context, project, branch string) (*past.Table, error) {
	var t *past.Table
	err := pg.Tx(ctx, h.pool, func(ctx context.Context, tx pgx.Tx) error {
		var at place
		if err := tx.QueryRow(ctx, lineOfSQL.Text, project, branch).Scan(&at.line); err != nil {
			return err
		}
		var now time.Time
		if err := tx.QueryRow(ctx, nextSQL.Text, at.line).Scan(&at.number, &now); err != nil {
			return err
		}
		var err error
		t, err = h.table(ctx, tx, at, &past.Table{Project: project, Push: past.Push{Number: at.number, Time: now.UTC().Truncate(time.Millisecond)}})
		return err
	})
	if fault.KindOf(pg.Classify(err)) == fault.NotFound {
		if branch != "" {
			return nil, fault.New(fault.NotFound, "No push to the branch %s of the project %s is remembered.", branch, project)
		}
		return nil, fault.New(fault.NotFound, "No push of the project %s is remembered.", project)
	}
	if err != nil {
		return nil, failed("read", err)
	}
	return t, nil
}

// table fills in what is known of the pushes before at. Its statements travel together.
func (h *History) table(ctx context.Context, tx pgx.Tx, at place, t *past.Table) (*past.Table, error) {
	t.Version, t.Pushes, t.Regressions, t.Labels = past.Version, []past.Push{}, []past.Regression{}, map[string]past.Label{}
	first := at.number - past.MaxPushes
	times := map[int64]time.Time{}
	moment := func(number *int64) *past.Moment {
		if number == nil {
			return nil
		}
		return &past.Moment{Number: *number, Time: times[*number]}
	}
	var b pgx.Batch
	b.Queue(pushesSQL.Text, at.line, first, at.number, h.keep.Seconds()).Query(func(rows pgx.Rows) error {
		var p past.Push
		_, err := pgx.ForEachRow(rows, []any{&p.Number, &p.Revision, &p.Time, &p.Undecided}, func() error {
			p.Time = p.Time.UTC()
			times[p.Number] = p.Time
			t.Pushes = append(t.Pushes, p)
			return nil
		})
		return err
	})
	b.Queue(labelsSQL.Text, at.line, first, at.number, h.keep.Seconds()).Query(func(rows pgx.Rows) error {
		var label string
		var l past.Label
		var run, passed *int64
		_, err := pgx.ForEachRow(rows, []any{&label, &l.Runs, &l.Failed, &l.Flaky, &run, &passed, &l.Median, &l.P90}, func() error {
			l.LastRun, l.LastPassed = moment(run), moment(passed)
			l.Median, l.P90 = millis(l.Median), millis(l.P90)
			t.Labels[label] = l
			return nil
		})
		return err
	})
	b.Queue(regressionsSQL.Text, at.line, first, at.number, h.keep.Seconds()).Query(func(rows pgx.Rows) error {
		var r past.Regression
		_, err := pgx.ForEachRow(rows, []any{&r.Push, &r.Labels}, func() error {
			t.Regressions = append(t.Regressions, past.Regression{Push: r.Push, Labels: append([]string(nil), r.Labels...)})
			return nil
		})
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, err
	}
	return t, t.Check()
}

// millis rounds seconds to whole milliseconds: more is not measured.
func millis(seconds float64) float64 { return math.Round(seconds*1000) / 1000 }

// shown is the pushes that a table shows: $1 the line, from $2 to before $3, not older than $4 seconds.
const shown = `WITH shown AS (
	SELECT p.number, p.revision, p.pushed, p.decided FROM history_pushes p
	WHERE p.line_id = $1 AND p.number >= $2 AND p.number < $3 AND p.pushed > now() - make_interval(secs => $4))`

var (
	lineOfSQL = pg.Statement{Name: "history.line-of", Text: `
		SELECT l.id FROM history_lines l WHERE l.project = $1 AND (l.branch = $2 OR $2 = '')
		ORDER BY (SELECT max(p.pushed) FROM history_pushes p WHERE p.line_id = l.id) DESC NULLS LAST, l.id LIMIT 1`}

	nextSQL = pg.Statement{Name: "history.next", Text: `
		SELECT last_number + 1, now() FROM history_lines WHERE id = $1`}

	pushesSQL = pg.Statement{Name: "history.pushes", Text: shown + `
		SELECT number, revision, pushed, NOT decided FROM shown ORDER BY number`}

	labelsSQL = pg.Statement{Name: "history.labels", Text: shown + `
		SELECT label, count(*), count(*) FILTER (WHERE passed = 0), count(*) FILTER (WHERE passed > 0 AND failed > 0),
			max(number), max(number) FILTER (WHERE passed > 0),
			coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY passed_seconds / nullif(passed, 0)),
				percentile_cont(0.5) WITHIN GROUP (ORDER BY failed_seconds / nullif(failed, 0))),
			coalesce(percentile_cont(0.9) WITHIN GROUP (ORDER BY passed_seconds / nullif(passed, 0)),
				percentile_cont(0.9) WITHIN GROUP (ORDER BY failed_seconds / nullif(failed, 0)))
		FROM history_outcomes JOIN shown USING (number) WHERE line_id = $1 GROUP BY label`}

	// A task that failed for good on a push, and that had passed on the last push before on which it ran.
	regressionsSQL = pg.Statement{Name: "history.regressions", Text: shown + `
		SELECT number, array_agg(label ORDER BY label COLLATE "C") FROM (
			SELECT number, label, passed, lag(passed) OVER (PARTITION BY label ORDER BY number) AS before
			FROM history_outcomes JOIN shown USING (number) WHERE line_id = $1) AS o
		WHERE passed = 0 AND before > 0 GROUP BY number ORDER BY number`}
)
