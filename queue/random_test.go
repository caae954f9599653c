package queue_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

var (
	seedFlag       = flag.Uint64("seed", 0, "seed of the random operations; 0 draws one")
	operationsFlag = flag.Int("operations", 600, "number of random operations")
)

// history is what the clients of a random test were told.
type history struct {
	mu        sync.Mutex
	created   []string                   // acknowledged, so never to be lost
	accepted  map[string][]string        // by task/run: the outcomes that were accepted
	claimed   map[string]map[string]bool // by task/run: the workers that held it
	unknown   int                        // operations whose caller saw an error that says nothing about the outcome
	operation map[string]int
}

func (h *history) any(r *rand.Rand) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.created) == 0 {
		return slug.New()
	}
	// Mostly the latest ones, which are still in motion.
	if n := len(h.created); r.IntN(4) > 0 && n > 10 {
		return h.created[n-1-r.IntN(10)]
	}
	return h.created[r.IntN(len(h.created))]
}

func (h *history) ok(what string, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operation[what]++
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fault.Conflict), errors.Is(err, fault.NotFound), errors.Is(err, fault.Invalid):
		return nil // refused: allowed in any state
	case errors.Is(err, context.Canceled):
		return nil
	case broken(err):
		h.unknown++
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// broken reports an error of the way to the database, after which the outcome is unknown. What the
// database has against a statement is none: it would be a defect.
func broken(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "40")
	}
	return errors.Is(err, fault.Unavailable) || fault.KindOf(err) == fault.Internal
}

// client does random operations on one replica.
type client struct {
	*history
	q    *queue.Queue
	r    *rand.Rand
	name string
	mine []queue.Claim
}

func (c *client) step(ctx context.Context) error {
	switch n := c.r.IntN(100); {
	case n < 22:
		return c.create(ctx)
	case n < 50:
		return c.claim(ctx)
	case n < 78:
		return c.report(ctx)
	case n < 82:
		_, err := c.q.Cancel(ctx, c.any(c.r))
		return c.ok("cancel", err)
	case n < 88:
		_, err := c.q.Rerun(ctx, c.any(c.r))
		return c.ok("rerun", err)
	case n < 90:
		_, err := c.q.Schedule(ctx, c.any(c.r))
		return c.ok("schedule", err)
	case n < 93:
		return c.ok("expire claims", c.q.ExpireClaims(ctx))
	case n < 95:
		return c.ok("enforce deadlines", c.q.EnforceDeadlines(ctx))
	case n < 97 && len(c.mine) > 0:
		k := c.mine[c.r.IntN(len(c.mine))]
		_, err := c.q.Reclaim(ctx, k.Status.TaskID, k.RunID)
		return c.ok("reclaim", err)
	default:
		_, err := c.q.ListGroup(ctx, c.any(c.r), 10, "")
		return c.ok("list", err)
	}
}

// create creates a small graph, as one batch or task by task, and repeats itself until it is told
// the outcome.
func (c *client) create(ctx context.Context) error {
	batch := make([]queue.NewTask, 1+c.r.IntN(5))
	group := slug.New()
	if c.r.IntN(3) == 0 {
		group = c.any(c.r)
	}
	for i := range batch {
		d := queuetest.Define(queuetest.In(group), func(d *task.Definition) { d.Retries = c.r.IntN(3) })
		if c.r.IntN(2) == 0 {
			d.Requires = task.AllResolved
		}
		deps := map[string]bool{}
		for range c.r.IntN(3) {
			if i > 0 && c.r.IntN(2) == 0 {
				deps[batch[c.r.IntN(i)].ID] = true
			} else {
				deps[c.any(c.r)] = true
			}
		}
		for id := range deps {
			d.Dependencies = append(d.Dependencies, id)
		}
		slices.Sort(d.Dependencies)
		batch[i] = queue.NewTask{ID: slug.New(), Definition: d}
	}
	for {
		_, err := c.q.CreateBatch(ctx, batch)
		if err == nil {
			c.mu.Lock()
			for _, t := range batch {
				c.created = append(c.created, t.ID)
			}
			c.mu.Unlock()
		}
		if failed := c.ok("create", err); failed != nil || err == nil || !broken(err) {
			return failed
		}
	}
}

func (c *client) claim(ctx context.Context) error {
	claims, err := c.q.Claim(ctx, ask(c.name, 1+c.r.IntN(3), time.Duration(c.r.IntN(3))*time.Millisecond))
	c.mu.Lock()
	for _, k := range claims {
		key := fmt.Sprintf("%s/%d", k.Status.TaskID, k.RunID)
		if c.claimed[key] == nil {
			c.claimed[key] = map[string]bool{}
		}
		c.claimed[key][c.name] = true
	}
	c.mu.Unlock()
	c.mine = append(c.mine, claims...)
	return c.ok("claim", err)
}

// report reports on one of its claims, late ones too, and sometimes twice.
func (c *client) report(ctx context.Context) error {
	if len(c.mine) == 0 {
		return nil
	}
	i := c.r.IntN(len(c.mine))
	k := c.mine[i]
	if c.r.IntN(8) > 0 {
		c.mine = slices.Delete(c.mine, i, i+1)
	}
	id, reason := k.Status.TaskID, task.ReasonCompleted
	var err error
	switch c.r.IntN(6) {
	default:
		_, err = c.q.ReportCompleted(ctx, id, k.RunID)
	case 0:
		reason = task.ReasonFailed
		_, err = c.q.ReportFailed(ctx, id, k.RunID)
	case 1:
		reason = []task.ReasonResolved{task.ReasonWorkerShutdown, task.ReasonIntermittentTask, task.ReasonInternalError}[c.r.IntN(3)]
		_, err = c.q.ReportException(ctx, id, k.RunID, reason)
	}
	if err == nil {
		key := fmt.Sprintf("%s/%d", id, k.RunID)
		c.mu.Lock()
		if !slices.Contains(c.accepted[key], string(reason)) {
			c.accepted[key] = append(c.accepted[key], string(reason))
		}
		c.mu.Unlock()
	}
	return c.ok("report", err)
}

// TestRandomOperations lets clients of two replicas do as they like, while claims end, deadlines
// pass and connections are cut, and then holds what they were told, and the events, against the
// database. Replay a failure with -seed.
func TestRandomOperations(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d, %d operations", seed, *operationsFlag)
	const clients = 6
	url := pgtest.URL(t)
	pool := open(t, url, "checker")
	h := &history{accepted: map[string][]string{}, claimed: map[string]map[string]bool{}, operation: map[string]int{}}
	replicas := []*queuetest.Env{queuetest.On(t, open(t, url, "replica")), queuetest.On(t, open(t, url, "replica"))}
	checker := queuetest.On(t, pool)

	ctx, done := context.WithCancel(t.Context())
	var chaos sync.WaitGroup
	chaos.Go(func() { disturb(ctx, t, pool, rand.New(rand.NewPCG(seed, 99))) })
	chaos.Go(func() {
		for ctx.Err() == nil {
			checker.Check(t) // every committed snapshot must be sound
			wait(ctx, 50*time.Millisecond)
		}
	})
	var group errgroup.Group
	for i := range clients {
		c := &client{history: h, q: replicas[i%2].Queue, r: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Sprint("w", i)}
		group.Go(func() error {
			for range *operationsFlag / clients {
				if err := c.step(t.Context()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	done()
	chaos.Wait()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v; %d with unknown outcome", h.operation, h.unknown)
	checker.Check(t)
	h.check(t, checker)
	finish(t, checker, h)
}

func open(t *testing.T, url, name string) *pgxpool.Pool {
	t.Helper()
	named := func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name }
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(8), named)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// disturb ends claims, passes deadlines and cuts connections, at random.
func disturb(ctx context.Context, t *testing.T, pool *pgxpool.Pool, r *rand.Rand) {
	for ctx.Err() == nil {
		var sql string
		switch r.IntN(4) {
		case 0:
			// Tasks first, in the queue's own order of locks.
			sql = `WITH t AS (SELECT task_id FROM tasks WHERE task_id IN (SELECT task_id FROM claims ORDER BY random() LIMIT 2) ORDER BY task_id FOR NO KEY UPDATE),
				r AS (UPDATE runs r SET taken_until = now() - interval '1 second' FROM t WHERE r.task_id = t.task_id AND r.state = 'running' RETURNING r.task_id, r.taken_until)
				UPDATE claims c SET taken_until = r.taken_until FROM r WHERE c.task_id = r.task_id`
		case 1:
			sql = `WITH t AS (UPDATE tasks SET deadline = now() - interval '1 second' WHERE task_id = (SELECT task_id FROM deadlines ORDER BY random() LIMIT 1) RETURNING task_id, deadline)
				UPDATE deadlines d SET deadline = t.deadline FROM t WHERE d.task_id = t.task_id`
		default:
			sql = `SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity
				WHERE datname = current_database() AND application_name = 'replica' ORDER BY random() LIMIT 1) AS one`
		}
		if _, err := pool.Exec(ctx, sql); err != nil && ctx.Err() == nil {
			t.Errorf("disturbing: %v", err)
		}
		wait(ctx, time.Duration(5+r.IntN(20))*time.Millisecond)
	}
}

// check holds what the clients were told against the database.
func (h *history) check(t *testing.T, e *queuetest.Env) {
	t.Helper()
	statuses, err := e.Queue.Statuses(t.Context(), h.created)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]task.Status{}
	for _, s := range statuses {
		by[s.TaskID] = s
	}
	for _, id := range h.created {
		if _, ok := by[id]; !ok {
			t.Errorf("task %s was acknowledged and is lost", id)
		}
	}
	for key, outcomes := range h.accepted {
		id, n := split(t, key)
		if len(outcomes) != 1 {
			t.Errorf("run %s was resolved as %v", key, outcomes)
		} else if s := by[id]; n >= len(s.Runs) || string(s.Runs[n].ReasonResolved) != outcomes[0] {
			t.Errorf("run %s was accepted as %s; now: %s", key, outcomes[0], shape(s))
		}
	}
	for key, workers := range h.claimed {
		if len(workers) != 1 {
			t.Errorf("run %s was given to %d workers", key, len(workers))
		}
	}
	h.checkEvents(t, e)
}

func split(t *testing.T, key string) (id string, run int) {
	t.Helper()
	if _, err := fmt.Sscanf(key[23:], "%d", &run); err != nil {
		t.Fatal(err)
	}
	return key[:22], run
}

// checkEvents wants exactly one event for each change of each run, and none for what did not happen.
func (h *history) checkEvents(t *testing.T, e *queuetest.Env) {
	t.Helper()
	rows, err := e.Pool.Query(t.Context(), `
		WITH told AS (SELECT task_id, run_id, kind, count(*) AS n FROM events WHERE task_id IS NOT NULL GROUP BY 1, 2, 3),
		happened AS (
			SELECT task_id, NULL::int AS run_id, 'task-defined' AS kind FROM tasks
			UNION ALL SELECT task_id, run_id, 'task-pending' FROM runs WHERE reason_created <> 'exception'
			UNION ALL SELECT task_id, run_id, 'task-running' FROM runs WHERE started IS NOT NULL
			UNION ALL SELECT task_id, run_id, 'task-' || state FROM runs WHERE resolved IS NOT NULL)
		SELECT coalesce(t.task_id, h.task_id) || ' ' || coalesce(t.kind, h.kind) || ' told ' || coalesce(t.n, 0) || ' times'
		FROM told t FULL JOIN happened h ON t.task_id = h.task_id AND t.kind = h.kind AND t.run_id IS NOT DISTINCT FROM h.run_id
		WHERE t.n IS DISTINCT FROM 1 OR h.task_id IS NULL`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var wrong string
		if err := rows.Scan(&wrong); err != nil {
			t.Fatal(err)
		}
		t.Errorf("events: %s", wrong)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// finish works off all that is pending, lets all claims and then all deadlines pass: after that every
// task must be resolved.
func finish(t *testing.T, e *queuetest.Env, h *history) {
	t.Helper()
	for {
		claims := claim(t, e.Queue, ask("last", 32, 0))
		if len(claims) == 0 {
			break
		}
		for _, k := range claims {
			must(t)(e.Queue.ReportCompleted(t.Context(), k.Status.TaskID, k.RunID))
		}
	}
	e.PassDeadlines(t, h.created...)
	if err := e.Queue.EnforceDeadlines(t.Context()); err != nil {
		t.Fatal(err)
	}
	statuses, err := e.Queue.Statuses(t.Context(), h.created)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statuses {
		if !s.State.Resolved() {
			t.Errorf("at the end, task %s is %s", s.TaskID, shape(s))
		}
	}
	var silent int
	err = e.Pool.QueryRow(t.Context(), `SELECT count(*) FROM task_groups g WHERE NOT EXISTS (
		SELECT FROM events x WHERE x.task_group_id = g.task_group_id AND x.kind = 'task-group-resolved')`).Scan(&silent)
	if err != nil || silent > 0 {
		t.Errorf("%d groups were resolved without an event: %v", silent, err)
	}
	e.Check(t)
}
