// Package retention removes what is old. Each table that grows has a job: a function that removes what is
// due in small transactions, and says how many rows that were. The room knows when which job is due, has
// one server at a time do it, however many there are, and keeps what came of it: when it ran last, how long
// that took, how many rows went, and why it failed, if it did. docs/reference/tables.md says which job looks
// after which table.
package retention

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Job removes the old rows of some tables.
type Job struct {
	Name   string
	Tables []string      // of which it removes rows
	Every  time.Duration // from one run's end to the next run
	// Remove removes all that is due, in transactions that are short, and returns how many rows that were,
	// also when it could not go on. Two may run at the same time, for a server can die or be slow.
	Remove func(ctx context.Context) (int64, error)
}

// Run is what is known of a job's last run.
type Run struct {
	Job      string
	Tables   []string
	Started  time.Time     // zero: it never ran
	Finished time.Time     // zero: it never ended; before Started: it is running, or its server died
	Took     time.Duration // of the last run that ended
	Removed  int64         // rows of the last run that ended
	Total    int64         // rows since ever
	Error    string        // why the last run did not end well; empty: it did
	Failures int           // runs in a row that did not
	Next     time.Time     // when it is due
}

// Retention does the jobs. It is safe for concurrent use, by any number of servers.
type Retention struct {
	pool  *pgxpool.Pool
	log   *slog.Logger
	jobs  []Job
	first time.Duration
	look  time.Duration

	cancel context.CancelFunc
	loops  sync.WaitGroup
}

// Option changes how New's result works.
type Option func(*Retention)

// Looking says how long after Start the first look for jobs that are due comes, and how long after that the
// next ones: a minute and 15 seconds, when not given. The first one is late so that consumers of a server
// that was down for long read what is old before it goes.
func Looking(first, every time.Duration) Option {
	return func(r *Retention) { r.first, r.look = first, every }
}

// New makes the room. The names of jobs must differ.
func New(pool *pgxpool.Pool, log *slog.Logger, jobs []Job, options ...Option) *Retention {
	r := &Retention{pool: pool, log: log, jobs: jobs, first: time.Minute, look: 15 * time.Second}
	for _, o := range options {
		o(r)
	}
	return r
}

// Jobs are all that there are.
func (r *Retention) Jobs() []Job { return r.jobs }

// Start does jobs as they become due, until Stop or the end of ctx.
func (r *Retention) Start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.loops.Go(func() {
		wait := time.NewTimer(r.first)
		defer wait.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
			}
			if err := r.Due(ctx); err != nil && ctx.Err() == nil {
				r.log.ErrorContext(ctx, "which old rows are to be removed cannot be found out; tried again soon", "err", err)
			}
			wait.Reset(r.look)
		}
	})
}

// Stop ends what Start began and waits for it. A job that runs is interrupted between two statements.
func (r *Retention) Stop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.loops.Wait()
}

// Due does the jobs that are due and that no other server does, one after the other. A job that fails is
// logged, noted, and due again after its usual time.
func (r *Retention) Due(ctx context.Context) error {
	names := make([]string, len(r.jobs))
	for i, j := range r.jobs {
		names[i] = j.Name
	}
	rows, err := r.pool.Query(ctx, dueSQL.Text, names)
	if err != nil {
		return failed(dueSQL, err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return failed(dueSQL, err)
	}
	for _, i := range due {
		if err := r.run(ctx, r.jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

// run does a job if nobody else has begun it.
func (r *Retention) run(ctx context.Context, j Job) error {
	var started time.Time
	err := r.pool.QueryRow(ctx, claimSQL.Text, j.Name, j.Every.Seconds()).Scan(&started)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return failed(claimSQL, err)
	}
	began := time.Now()
	removed, trouble := j.Remove(ctx)
	took, text := time.Since(began), ""
	if trouble != nil {
		text = trouble.Error()
	}
	interrupted := ctx.Err() != nil
	switch {
	case trouble != nil && !interrupted:
		r.log.ErrorContext(ctx, "old rows could not be removed", "job", j.Name, "removed", removed, "again in", j.Every, "err", trouble)
	case removed > 0:
		r.log.InfoContext(ctx, "removed old rows", "job", j.Name, "rows", removed, "took", took.Round(time.Millisecond))
	}
	if interrupted {
		text = "the server was stopped meanwhile"
	}
	// Also of a server that stops: what went is told, and another one goes on at once.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := r.pool.Exec(ctx, noteSQL.Text, j.Name, took, removed, text, interrupted, j.Every.Seconds(), started); err != nil {
		return failed(noteSQL, err)
	}
	return nil
}

// Runs says what came of each job, in the order of New.
func (r *Retention) Runs(ctx context.Context) ([]Run, error) {
	names := make([]string, len(r.jobs))
	for i, j := range r.jobs {
		names[i] = j.Name
	}
	rows, err := r.pool.Query(ctx, runsSQL.Text, names)
	if err != nil {
		return nil, failed(runsSQL, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Run, error) {
		var run Run
		var started, finished *time.Time
		err := row.Scan(&run.Job, &started, &finished, &run.Took, &run.Removed, &run.Total, &run.Error, &run.Failures, &run.Next)
		if started != nil {
			run.Started = started.UTC()
		}
		if finished != nil {
			run.Finished = finished.UTC()
		}
		run.Next = run.Next.UTC()
		return run, err
	})
	if err != nil {
		return nil, failed(runsSQL, err)
	}
	for i := range list {
		list[i].Tables = r.jobs[i].Tables
	}
	return list, nil
}

func failed(s pg.Statement, err error) error { return fmt.Errorf("%s: %w", s.Name, pg.Classify(err)) }

// Statements lists the SQL of the package, for the test that prepares each.
var Statements = []pg.Statement{dueSQL, claimSQL, noteSQL, runsSQL}

var (
	dueSQL = pg.Statement{Name: "retention.due", Text: `
SELECT n::int - 1 FROM unnest($1::text[]) WITH ORDINALITY AS u (job, n) LEFT JOIN retention_jobs j USING (job)
WHERE j.next_run IS NULL OR j.next_run <= now() ORDER BY j.next_run NULLS FIRST, n`}

	// Whoever dies meanwhile leaves it to the others after the job's usual time.
	claimSQL = pg.Statement{Name: "retention.claim", Text: `
INSERT INTO retention_jobs AS j (job, started, next_run) VALUES ($1, clock_timestamp(), clock_timestamp() + make_interval(secs => $2))
ON CONFLICT (job) DO UPDATE SET started = excluded.started, next_run = excluded.next_run WHERE j.next_run <= now()
RETURNING started`}

	noteSQL = pg.Statement{Name: "retention.note", Text: `
UPDATE retention_jobs SET finished = clock_timestamp(), took = $2::interval, removed = $3, total = total + $3, error = $4,
	failures = CASE WHEN $4 = '' THEN 0 WHEN $5 THEN failures ELSE failures + 1 END,
	next_run = CASE WHEN started <> $7 THEN next_run WHEN $5 THEN clock_timestamp() ELSE clock_timestamp() + make_interval(secs => $6) END
WHERE job = $1`}

	runsSQL = pg.Statement{Name: "retention.runs", Text: `
SELECT u.job, started, finished, coalesce(took, interval '0'), coalesce(removed, 0), coalesce(total, 0), coalesce(error, ''), coalesce(failures, 0),
	coalesce(next_run, now())
FROM unnest($1::text[]) WITH ORDINALITY AS u (job, n) LEFT JOIN retention_jobs j ON j.job = u.job ORDER BY n`}
)
