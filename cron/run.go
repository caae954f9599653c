package cron

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	crontab "github.com/treeline-ci/treeline/taskgraph/cron"
)

// State says what became of a run.
type State string

// The states of a run.
const (
	Waiting State = "waiting" // it will be started
	Started State = "started" // its task stands in the queue
	Failed  State = "failed"  // it cannot be started; Error says why
	Missed  State = "missed"  // its time passed while nothing could start it
)

// Run is a slot of a job, or a start by hand.
type Run struct {
	ID          int64           `db:"id"`
	Repository  string          `db:"repository"`
	Branch      string          `db:"branch"`
	Job         string          `db:"job"`
	Key         string          `db:"key"`
	Slot        time.Time       `db:"slot"` // of a start by hand, when it was asked for
	Type        string          `db:"type"`
	Revision    string          `db:"revision"`      // "" until the start by hand found the head
	PushID      int64           `db:"push_id"`       // of the revision; 0 when none is recorded
	TaskID      string          `db:"task_id"`       // of the task it makes, also before that is made
	TaskGroupID string          `db:"task_group_id"` // "" before it is made
	State       State           `db:"state"`
	AskedBy     string          `db:"asked_by"` // who started it by hand; "" for the clock
	Input       json.RawMessage `db:"input"`    // of a start by hand
	Error       *Error          `db:"error"`    // why it failed, was missed, waits, or what its decision found wrong
	Attempts    int             `db:"attempts"`
	RetryAfter  time.Time       `db:"retry_after"`
	Created     time.Time       `db:"created"` // when it was entered
	Started     *time.Time      `db:"started"`
}

// ByHand reports whether somebody asked for the run.
func (r Run) ByHand() bool { return strings.HasPrefix(r.Key, byHand) }

// byHand begins the keys of runs that somebody asked for; a time never does.
const byHand = "by hand "

// Request asks for a run now.
type Request struct {
	Repository, Branch, Job string

	// Key makes the request repeatable: of the same key, a job has one run. "" makes a new one.
	Key   string
	By    string          // who asks
	Input json.RawMessage // for a job with include-cron-input; nil without
}

// Trigger enters a run that starts at once, at the branch's head. The run of an earlier request with the
// same key is returned as it is. What is not there is a fault.NotFound, input for a job that takes none a
// fault.Invalid, and the same key with other input a fault.Conflict.
func (c *Calendar) Trigger(ctx context.Context, q Request) (Run, error) {
	job, err := c.job(ctx, q.Repository, q.Branch, q.Job)
	if err != nil {
		return Run{}, err
	}
	if len(q.Input) > 0 && !job.IncludeCronInput {
		return Run{}, fault.New(fault.Invalid, "The job %s takes no input: it lacks include-cron-input.", q.Job)
	}
	if q.Key == "" {
		q.Key = slug.New()
	}
	var run Run
	err = pg.Tx(ctx, c.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		run, err = oneOf(ctx, tx, "trigger", runSQL, q.Repository, q.Branch, q.Job, byHand+q.Key, nil, job.Type, "", slug.Nice(), Waiting, q.By, nullJSON(q.Input), nil)
		return err
	})
	if fault.KindOf(err) == fault.NotFound { // there is one
		run, err = c.one(ctx, "trigger", keyedSQL, q.Repository, q.Branch, q.Job, byHand+q.Key)
		if err == nil && !task.SameJSON(run.Input, q.Input) {
			err = fault.New(fault.Conflict, "Another run of %s was asked for with this key, with other input.", q.Job)
		}
	}
	if err == nil {
		c.wake()
	}
	return run, err
}

// job finds a job of a branch as its file was read last.
func (c *Calendar) job(ctx context.Context, repository, branch, name string) (*crontab.Job, error) {
	b, err := c.branch(ctx, repository, branch)
	if err != nil {
		return nil, err
	}
	file, err := b.File()
	if err != nil {
		return nil, fault.New(fault.Invalid, "%v", FileError(err))
	}
	job, err := file.Job(name)
	if err != nil {
		return nil, fault.New(fault.NotFound, "%v (branch %s of %s, at %.12s)", err, branch, repository, b.Revision)
	}
	return job, nil
}

func (c *Calendar) branch(ctx context.Context, repository, branch string) (Branch, error) {
	list, err := c.Branches(ctx, repository)
	if err != nil {
		return Branch{}, err
	}
	var names []string
	for _, b := range list {
		if b.Branch == branch {
			return b, nil
		}
		names = append(names, b.Branch)
	}
	if len(names) == 0 {
		return Branch{}, fault.New(fault.NotFound, "No branch of a repository %s is followed for .cron.yml.", repository)
	}
	return Branch{}, fault.New(fault.NotFound, "The branch %s of %s is not followed for .cron.yml; %s is.", branch, repository, strings.Join(names, ", "))
}

// Only is a branch that is followed: the one that is named, or, with "", the only one of the repository.
func (c *Calendar) Only(ctx context.Context, repository, branch string) (string, error) {
	if branch != "" {
		return branch, nil
	}
	list, err := c.Branches(ctx, repository)
	if err != nil {
		return "", err
	}
	switch len(list) {
	case 0:
		return "", fault.New(fault.NotFound, "No branch of a repository %s is followed for .cron.yml.", repository)
	case 1:
		return list[0].Branch, nil
	}
	var names []string
	for _, b := range list {
		names = append(names, b.Branch)
	}
	return "", fault.New(fault.Invalid, "Several branches of %s are followed: say which, %s.", repository, strings.Join(names, " or "))
}

func nullJSON(b json.RawMessage) any {
	if len(b) == 0 {
		return nil
	}
	return string(b)
}

// TakeRuns hands out up to limit waiting runs of the given repositories: nobody else gets them for the
// lease.
func (c *Calendar) TakeRuns(ctx context.Context, repositories []string, lease time.Duration, limit int) ([]Run, error) {
	return c.runs(ctx, "take runs", takeRunsSQL, repositories, lease.Seconds(), limit)
}

// AtHead gives a run that has no revision the head that it is to act for, once; the answer is the run as
// it stands then.
func (c *Calendar) AtHead(ctx context.Context, id int64, revision string) (Run, error) {
	return c.one(ctx, "head of a run", atHeadSQL, id, revision)
}

// SetGroup records the task that a waiting run is about to make, its group, and the push at its revision.
func (c *Calendar) SetGroup(ctx context.Context, id int64, taskID, group string, push int64) error {
	if _, err := c.pool.Exec(ctx, groupSQL.Text, id, taskID, group, push); err != nil {
		return failed("group of a run", err)
	}
	return nil
}

// Start records that a run's task is in the queue.
func (c *Calendar) Start(ctx context.Context, id int64) error { return c.end(ctx, id, Started, nil) }

// Refuse records why a run cannot be started, ever.
func (c *Calendar) Refuse(ctx context.Context, id int64, why Error) error {
	return c.end(ctx, id, Failed, &why)
}

func (c *Calendar) end(ctx context.Context, id int64, state State, why *Error) error {
	if _, err := c.pool.Exec(ctx, endSQL.Text, id, state, why.clean()); err != nil {
		return failed("end of a run", err)
	}
	return nil
}

// Retry has a run tried again after a while that grows. When it is too late for that, the run is missed.
func (c *Calendar) Retry(ctx context.Context, r Run, why Error) error {
	if _, err := c.pool.Exec(ctx, retrySQL.Text, r.ID, why.clean(), backoff(r.Attempts).Seconds(), Late.Seconds()); err != nil {
		return failed("retry of a run", err)
	}
	return nil
}

// ByTaskGroup returns the run whose decision makes a task group, or a fault.NotFound.
func (c *Calendar) ByTaskGroup(ctx context.Context, group string) (Run, error) {
	return c.one(ctx, "run of a group", byGroupSQL, group)
}

// DecisionRefused records what the decision of a run found wrong.
func (c *Calendar) DecisionRefused(ctx context.Context, group string, why Error) error {
	if _, err := c.pool.Exec(ctx, refusedSQL.Text, group, why.clean()); err != nil {
		return failed("refusal", err)
	}
	return nil
}

// Prune removes what is older than keep, in small steps, and gives up what has waited too long for a server
// that can read its repository; it returns how many runs it removed.
func (c *Calendar) Prune(ctx context.Context, keep time.Duration) (int64, error) {
	why := Error{Code: "missed", Message: "No server could read its repository in time."}
	if _, err := c.pool.Exec(ctx, lapseSQL.Text, 2*Late.Seconds(), why); err != nil {
		return 0, failed("give up", err)
	}
	n, err := pg.Prune(ctx, c.pool, forgetSQL, pruneBatch, keep.Seconds())
	if err != nil {
		return n, failed("forget", err)
	}
	return n, nil
}

const pruneBatch = 1000

func (c *Calendar) runs(ctx context.Context, what string, s pg.Statement, args ...any) ([]Run, error) {
	return runsOf(ctx, c.pool, what, s, args...)
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func runsOf(ctx context.Context, db querier, what string, s pg.Statement, args ...any) ([]Run, error) {
	rows, err := db.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, failed(what, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Run])
	if err != nil {
		return nil, failed(what, err)
	}
	return list, nil
}

func (c *Calendar) one(ctx context.Context, what string, s pg.Statement, args ...any) (Run, error) {
	return oneOf(ctx, c.pool, what, s, args...)
}

func oneOf(ctx context.Context, db querier, what string, s pg.Statement, args ...any) (Run, error) {
	list, err := runsOf(ctx, db, what, s, args...)
	if err != nil {
		return Run{}, err
	}
	if len(list) == 0 {
		return Run{}, failed(what, pgx.ErrNoRows)
	}
	return list[0], nil
}

const runColumns = `id, repository, branch, job, key, slot, type, revision, push_id, task_id, task_group_id, state, asked_by, input, error,
	attempts, retry_after, created, started`

var (
	runSQL = pg.Statement{Name: "cron.run", Text: `
		INSERT INTO cron_runs (repository, branch, job, key, slot, type, revision, task_id, state, asked_by, input, error)
		VALUES ($1, $2, $3, $4, coalesce($5::timestamptz, cron_clock()), $6, $7, $8, $9, $10, $11::text::jsonb, $12)
		ON CONFLICT (repository, branch, job, key) DO NOTHING RETURNING ` + runColumns}

	keyedSQL = pg.Statement{Name: "cron.keyed", Text: `
		SELECT ` + runColumns + ` FROM cron_runs WHERE repository = $1 AND branch = $2 AND job = $3 AND key = $4`}

	takeRunsSQL = pg.Statement{Name: "cron.take-runs", Text: `
		UPDATE cron_runs SET attempts = attempts + 1, retry_after = clock_timestamp() + make_interval(secs => $2)
		WHERE id IN (
			SELECT id FROM cron_runs WHERE state = 'waiting' AND retry_after <= clock_timestamp() AND repository = ANY ($1)
			ORDER BY retry_after, id LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING ` + runColumns}

	atHeadSQL = pg.Statement{Name: "cron.at-head", Text: `
		UPDATE cron_runs SET revision = CASE WHEN revision = '' THEN $2 ELSE revision END WHERE id = $1 RETURNING ` + runColumns}

	groupSQL = pg.Statement{Name: "cron.group", Text: `
		UPDATE cron_runs SET task_id = $2, task_group_id = $3, push_id = $4 WHERE id = $1 AND state = 'waiting'`}

	endSQL = pg.Statement{Name: "cron.end", Text: `
		UPDATE cron_runs SET state = $2, error = $3, started = CASE WHEN $2 = 'started' THEN clock_timestamp() END
		WHERE id = $1 AND state = 'waiting'`}

	retrySQL = pg.Statement{Name: "cron.retry", Text: `
		UPDATE cron_runs SET error = $2, retry_after = clock_timestamp() + make_interval(secs => $3),
			state = CASE WHEN cron_clock() > slot + make_interval(secs => $4) THEN 'missed' ELSE state END
		WHERE id = $1 AND state = 'waiting'`}

	byGroupSQL = pg.Statement{Name: "cron.by-group", Text: `
		SELECT ` + runColumns + ` FROM cron_runs WHERE task_group_id = $1 AND task_group_id <> '' LIMIT 1`}

	refusedSQL = pg.Statement{Name: "cron.refused", Text: `
		UPDATE cron_runs SET error = $2 WHERE task_group_id = $1 AND task_group_id <> ''`}

	lapseSQL = pg.Statement{Name: "cron.lapse", Text: `
		UPDATE cron_runs SET state = 'missed', error = coalesce(error, $2)
		WHERE state = 'waiting' AND slot < cron_clock() - make_interval(secs => $1) AND retry_after < clock_timestamp() - interval '1 hour'`}

	forgetSQL = pg.Statement{Name: "cron.forget", Text: `
		DELETE FROM cron_runs WHERE id IN (
			SELECT id FROM cron_runs WHERE slot < (SELECT cron_clock() - make_interval(secs => $2)) AND state <> 'waiting' ORDER BY slot, id LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
