// Package queuetest makes queues, and tasks in any state, for the tests of every room.
package queuetest

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// TaskQueueID is the task queue of tasks made here, unless changed.
const TaskQueueID = "test-provisioner/test-worker"

// The worker that claims what is made here.
const (
	WorkerGroup = "test-group"
	WorkerID    = "test-worker-1"
)

// Env is a queue on a database of its own.
type Env struct {
	Queue *queue.Queue
	Pool  *pgxpool.Pool
}

// Issuer returns the credentials that sign the claims' credentials of queues made here.
func Issuer() hawk.Credentials {
	return hawk.Credentials{ClientID: "static/taskcluster/queue", AccessToken: "queue-test-token-that-is-long-enough-000"}
}

// New returns a queue on a new database. Its loops do not run: call Start for them, or their rounds.
// Options change the dependencies before the queue is made.
func New(t testing.TB, options ...func(*queue.Deps)) *Env {
	t.Helper()
	return On(t, pool(t), options...)
}

// On is New on an existing database, such as for a second replica.
func On(t testing.TB, pool *pgxpool.Pool, options ...func(*queue.Deps)) *Env {
	t.Helper()
	deps := queue.Deps{Pool: pool, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Issuer: Issuer()}
	for _, o := range options {
		o(&deps)
	}
	return &Env{Queue: queue.New(deps), Pool: pool}
}

// Start runs the queue's loops until the test ends.
func (e *Env) Start(t testing.TB) {
	t.Helper()
	e.Queue.Start(t.Context())
	t.Cleanup(e.Queue.Stop)
}

// Define returns a valid definition, made complete for no id, with the given changes.
func Define(changes ...func(*task.Definition)) task.Definition {
	now := time.Now()
	d := task.Definition{
		TaskQueueID: TaskQueueID, SchedulerID: "-", ProjectID: "none", Requires: task.AllCompleted, Priority: task.Lowest, Retries: 5,
		Created: task.At(now), Deadline: task.At(now.Add(time.Hour)), Expires: task.At(now.Add(24 * time.Hour)),
		Dependencies: []string{}, Routes: []string{}, Scopes: []string{}, Tags: map[string]string{"kind": "test"},
		Payload: json.RawMessage(`{"command": ["true"]}`), Extra: json.RawMessage(`{}`),
		Metadata: task.Metadata{Name: "test", Description: "A task of a test.", Owner: "test@example.com", Source: "https://example.com/source"},
	}
	for _, change := range changes {
		change(&d)
	}
	return d
}

// In puts the task into a group.
func In(group string) func(*task.Definition) {
	return func(d *task.Definition) { d.TaskGroupID = group }
}

// After makes the task depend on others.
func After(ids ...string) func(*task.Definition) {
	return func(d *task.Definition) { d.Dependencies = ids }
}

// OnQueue names the task queue.
func OnQueue(id string) func(*task.Definition) {
	return func(d *task.Definition) { d.TaskQueueID = id }
}

// Task makes a task and brings it into the state; the id comes back. Pending tasks that are in the
// way on its task queue are not touched. An unscheduled task must be given a dependency that holds
// it, or gets one.
func (e *Env) Task(t testing.TB, state task.State, changes ...func(*task.Definition)) string {
	t.Helper()
	d, id := Define(changes...), slug.New()
	if state == task.Unscheduled && len(d.Dependencies) == 0 {
		d.Dependencies = []string{id} // a task that waits for itself waits for ever
	}
	e.Create(t, id, d)
	e.bring(t, id, state)
	return id
}

// Create creates a task that must be accepted.
func (e *Env) Create(t testing.TB, id string, d task.Definition) task.Status {
	t.Helper()
	s, err := e.Queue.Create(t.Context(), id, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *Env) bring(t testing.TB, id string, state task.State) {
	t.Helper()
	ctx := t.Context()
	var err error
	switch state {
	case task.Unscheduled, task.Pending:
	case task.Running:
		e.Run(t, id)
	case task.Completed:
		_, err = e.Queue.ReportCompleted(ctx, id, e.Run(t, id))
	case task.Failed:
		_, err = e.Queue.ReportFailed(ctx, id, e.Run(t, id))
	case task.Exception:
		_, err = e.Queue.Cancel(ctx, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := e.Status(t, id).State; got != state {
		t.Fatalf("the task is %s, want %s", got, state)
	}
}

// Run claims the pending run of this very task and returns its number. It hides the rest of the line
// from the claim.
func (e *Env) Run(t testing.TB, id string) int {
	t.Helper()
	ctx := t.Context()
	var line string
	aside := "test-provisioner/aside-" + slug.New() // nothing is remembered of this line
	if err := e.Pool.QueryRow(ctx, `SELECT task_queue_id FROM pending WHERE task_id = $1`, id).Scan(&line); err != nil {
		t.Fatalf("task %s is not pending: %v", id, err)
	}
	e.exec(t, `UPDATE pending SET task_queue_id = $2 WHERE task_id = $1`, id, aside)
	claims, err := e.Queue.Claim(ctx, queue.ClaimRequest{TaskQueueID: aside, WorkerGroup: WorkerGroup, WorkerID: WorkerID})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claimed %d tasks: %v", len(claims), err)
	}
	e.exec(t, `UPDATE claims SET task_queue_id = $2 WHERE task_id = $1`, id, line)
	return claims[0].RunID
}

// Status returns how a task stands.
func (e *Env) Status(t testing.TB, id string) task.Status {
	t.Helper()
	s, err := e.Queue.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// EndClaims makes the claims of the running tasks end now, by the database's clock, and lets the
// queue resolve them.
func (e *Env) EndClaims(t testing.TB, ids ...string) {
	t.Helper()
	e.exec(t, `UPDATE claims SET taken_until = now() - interval '1 second' WHERE task_id = ANY($1)`, ids)
	e.exec(t, `UPDATE runs SET taken_until = now() - interval '1 second' WHERE task_id = ANY($1) AND state = 'running'`, ids)
	if err := e.Queue.ExpireClaims(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// PassDeadlines makes the deadlines of the tasks pass now, by the database's clock; EnforceDeadlines
// is left to the caller.
func (e *Env) PassDeadlines(t testing.TB, ids ...string) {
	t.Helper()
	e.exec(t, `UPDATE tasks SET deadline = now() - interval '1 second' WHERE task_id = ANY($1)`, ids)
	e.exec(t, `UPDATE deadlines SET deadline = now() - interval '1 second' WHERE task_id = ANY($1)`, ids)
}

// Expire makes the tasks, their groups and their artifacts expire now; RemoveExpired is left to the
// caller.
func (e *Env) Expire(t testing.TB, ids ...string) {
	t.Helper()
	e.exec(t, `UPDATE artifacts SET expires = now() - interval '1 hour' WHERE task_id = ANY($1)`, ids)
	e.exec(t, `UPDATE task_groups SET expires = now() - interval '1 second' WHERE task_group_id IN (SELECT task_group_id FROM tasks WHERE task_id = ANY($1))`, ids)
	e.exec(t, `UPDATE tasks SET expires = now() - interval '1 second' WHERE task_id = ANY($1)`, ids)
}

func (e *Env) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := e.Pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// pool returns a pool on a new database, as the program gives the queue one.
func pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	p, err := pg.Open(t.Context(), pgtest.URL(t), pg.MaxConns(10), pg.KeepPlans())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}
