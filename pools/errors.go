package pools

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// Error is something that went wrong with a pool, as it is on the wire.
type Error struct {
	ErrorID        string          `json:"errorId"`
	WorkerPoolID   string          `json:"workerPoolId"`
	LaunchConfigID string          `json:"launchConfigId,omitempty"`
	Kind           string          `json:"kind"`
	Title          string          `json:"title"`
	Description    string          `json:"description"`
	Extra          json.RawMessage `json:"extra"` // an object
	Reported       task.Time       `json:"reported"`

	worker *Worker // which reported it
}

// The errors that pools themselves report.
const (
	creationError    = "creation-error"
	terminationError = "termination-error"
)

const (
	maxTitle       = 128
	maxDescription = 10240
	// mailEvery is how often an owner hears of errors of the same kind and title.
	mailEvery = time.Hour
)

// ReportWorkerError writes down what a worker has to complain about.
func (p *Pools) ReportWorkerError(ctx context.Context, k Key, e Error) (Error, error) {
	pool, err := p.Get(ctx, k.WorkerPoolID)
	if err != nil {
		return Error{}, err
	}
	w, err := p.Worker(ctx, k)
	if err != nil {
		return Error{}, err
	}
	var extra map[string]any
	if err := json.Unmarshal(e.Extra, &extra); err != nil || extra == nil {
		extra = map[string]any{}
	}
	extra["workerGroup"], extra["workerId"] = k.WorkerGroup, k.WorkerID
	if e.Extra, err = json.Marshal(extra); err != nil {
		return Error{}, err
	}
	e.LaunchConfigID, e.worker = w.LaunchConfigID, &w
	return p.report(ctx, pool, e)
}

// report writes an error down, tells listeners, and the owner, unless they were told of the like lately.
func (p *Pools) report(ctx context.Context, pool Pool, e Error) (Error, error) {
	e.ErrorID, e.WorkerPoolID = slug.Nice(), pool.ID
	e.Title, e.Description = short(e.Title, maxTitle), short(e.Description, maxDescription)
	if len(e.Extra) == 0 {
		e.Extra = json.RawMessage(`{}`)
	}
	mail := false
	err := pg.Tx(ctx, p.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, mailedErrorSQL.Text, pool.ID, e.Kind, e.Title, mailEvery).Scan(&mail); err != nil {
			return err
		}
		var config *string
		if e.LaunchConfigID != "" {
			config = &e.LaunchConfigID
		}
		if err := tx.QueryRow(ctx, insertErrorSQL.Text, e.ErrorID, e.WorkerPoolID, config, e.Kind, e.Title, e.Description, string(e.Extra)).Scan(&e.Reported.Time); err != nil {
			return err
		}
		e.Reported = task.At(e.Reported.Time)
		m := message{WorkerPoolID: pool.ID, ProviderID: pool.ProviderID, LaunchConfigID: e.LaunchConfigID, ErrorID: e.ErrorID, Kind: e.Kind, Title: e.Title}
		if e.worker != nil {
			m.WorkerGroup, m.WorkerID = e.worker.WorkerGroup, e.worker.WorkerID
		}
		return tell(ctx, tx, poolError, m)
	})
	if err != nil {
		return Error{}, failed("report an error of "+pool.ID, err)
	}
	p.wake()
	if mail && pool.EmailOnError && p.Failed != nil {
		p.Failed(ctx, pool, e)
	}
	return e, nil
}

// short cuts text to n characters.
func short(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i]
		}
	}
	return s
}

// ErrorFilter says which errors of a pool to list; what is "" does not matter.
type ErrorFilter struct {
	LaunchConfigID, ErrorID string
	Before                  time.Time // zero: from the newest
	BeforeID                string
}

// Errors lists a pool's errors, at most limit, the newest first.
func (p *Pools) Errors(ctx context.Context, poolID string, f ErrorFilter, limit int) ([]Error, error) {
	var before *time.Time
	if !f.Before.IsZero() {
		before = &f.Before
	}
	rows, err := p.Pool.Query(ctx, listErrorsSQL.Text, poolID, f.LaunchConfigID, f.ErrorID, before, f.BeforeID, limit)
	if err != nil {
		return nil, failed("list errors", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Error, err error) {
		var config *string
		err = row.Scan(&e.ErrorID, &e.WorkerPoolID, &config, &e.Kind, &e.Title, &e.Description, &e.Extra, &e.Reported.Time)
		if config != nil {
			e.LaunchConfigID = *config
		}
		return e, err
	})
	return list, failed("list errors", err)
}

// ErrorStats counts the errors that are remembered.
type ErrorStats struct {
	Total        int            `json:"total"`
	Daily        map[string]int `json:"daily"`  // of the last 7 days
	Hourly       map[string]int `json:"hourly"` // of the last 24 hours
	Title        map[string]int `json:"title"`
	Code         map[string]int `json:"code"` // extra.code, where errors have one
	LaunchConfig map[string]int `json:"launchConfig"`
	WorkerPool   map[string]int `json:"workerPool"`
}

// ErrorStats counts the errors of a pool, or with "" of all.
func (p *Pools) ErrorStats(ctx context.Context, poolID string) (ErrorStats, error) {
	s := ErrorStats{Title: map[string]int{}, Code: map[string]int{}, LaunchConfig: map[string]int{}, WorkerPool: map[string]int{}, Daily: map[string]int{}, Hourly: map[string]int{}}
	by := map[string]map[string]int{"title": s.Title, "code": s.Code, "config": s.LaunchConfig, "pool": s.WorkerPool, "day": s.Daily, "hour": s.Hourly}
	for _, statement := range []pg.Statement{errorCountsSQL, errorTimesSQL} {
		rows, err := p.Pool.Query(ctx, statement.Text, poolID)
		if err != nil {
			return s, failed("count errors", err)
		}
		var what, name string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&what, &name, &n}, func() error {
			by[what][name] = n
			return nil
		})
		if err != nil {
			return s, failed("count errors", err)
		}
	}
	for _, n := range s.WorkerPool {
		s.Total += n
	}
	return s, nil
}

var (
	// The row locked makes two errors at once one mail.
	mailedErrorSQL = pg.Statement{Name: "pools.mailed-error", Text: `
WITH pool AS (SELECT worker_pool_id FROM worker_pools WHERE worker_pool_id = $1 FOR NO KEY UPDATE)
SELECT NOT EXISTS (SELECT FROM worker_pool_errors e
    WHERE worker_pool_id = (SELECT worker_pool_id FROM pool) AND kind = $2 AND title = $3 AND reported > now() - $4::interval)`}

	insertErrorSQL = pg.Statement{Name: "pools.insert-error", Text: `
INSERT INTO worker_pool_errors (error_id, worker_pool_id, launch_config_id, kind, title, description, extra)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::json) RETURNING reported`}

	listErrorsSQL = pg.Statement{Name: "pools.errors", Text: `
SELECT error_id, worker_pool_id, launch_config_id, kind, title, description, extra, reported FROM worker_pool_errors
WHERE worker_pool_id = $1 AND ($2 = '' OR launch_config_id = $2) AND ($3 = '' OR error_id = $3)
  AND ($4::timestamptz IS NULL OR (reported, error_id) < ($4, $5))
ORDER BY reported DESC, error_id DESC LIMIT $6`}

	errorCountsSQL = pg.Statement{Name: "pools.error-counts", Text: `
SELECT what, name, count(*) FROM worker_pool_errors e,
    LATERAL (VALUES ('title', title), ('code', extra->>'code'), ('config', launch_config_id), ('pool', worker_pool_id)) v(what, name)
WHERE ($1 = '' OR worker_pool_id = $1) AND name IS NOT NULL
GROUP BY what, name`}

	errorTimesSQL = pg.Statement{Name: "pools.error-times", Text: `
SELECT what, to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), count(e.error_id)
FROM (SELECT 'hour' AS what, generate_series(date_trunc('hour', now(), 'UTC') - interval '23 hours', date_trunc('hour', now(), 'UTC'), interval '1 hour') AS t, interval '1 hour' AS long
    UNION ALL SELECT 'day', generate_series(date_trunc('day', now(), 'UTC') - interval '6 days', date_trunc('day', now(), 'UTC'), interval '1 day'), interval '1 day') s
LEFT JOIN worker_pool_errors e ON e.reported >= s.t AND e.reported < s.t + s.long AND ($1 = '' OR e.worker_pool_id = $1)
GROUP BY what, t`}

	expireErrorsSQL = pg.Statement{Name: "pools.expire-errors", Text: `
DELETE FROM worker_pool_errors WHERE error_id IN (
    SELECT error_id FROM worker_pool_errors WHERE reported < now() - make_interval(secs => $2) ORDER BY reported LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
