package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
)

// load creates small graphs of tasks and works on them, through servers that may come and go.
type load struct {
	mu       sync.Mutex
	servers  []*client.Client
	acked    []string
	accepted map[string]task.ReasonResolved // by task/run
	done     int
	repeated int             // calls that were answered "try again", or not at all
	wrong    map[string]bool // what no caller should see
}

func newLoad(servers ...*client.Client) *load {
	return &load{servers: servers, accepted: map[string]task.ReasonResolved{}, wrong: map[string]bool{}}
}

func (l *load) String() string {
	if l == nil {
		return "no load"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d tasks created, %d runs resolved, %d calls repeated", len(l.acked), l.done, l.repeated)
}

func (l *load) resolved() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.done
}

// through says which servers take the load from now on.
func (l *load) through(servers ...*client.Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers = servers
}

func (l *load) any() *client.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.servers[rand.IntN(len(l.servers))]
}

func (l *load) start(t *testing.T) (stop func()) { return l.run(t, 2, 4) }

func (l *load) workersOnly(t *testing.T) (stop func()) { return l.run(t, 0, 4) }

func (l *load) run(t *testing.T, creators, workers int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for range creators {
		working.Go(func() {
			for ctx.Err() == nil {
				l.create(ctx)
			}
		})
	}
	for i := range workers {
		working.Go(func() {
			for ctx.Err() == nil {
				l.work(ctx, fmt.Sprint("worker-", i))
			}
		})
	}
	return func() {
		cancel()
		working.Wait()
	}
}

// call does a call until it is answered, and returns its final refusal.
func (l *load) call(ctx context.Context, what string, do func(*client.Client) error) error {
	for {
		err := do(l.any())
		var refused *client.Error
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, fault.Unavailable):
		case errors.As(err, &refused) && refused.Status < 500:
			return err
		default:
			l.mu.Lock()
			l.wrong[fmt.Sprintf("%s: %v", what, err)] = true
			l.mu.Unlock()
		}
		l.mu.Lock()
		l.repeated++
		l.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// backlog is how many tasks may wait before the creators pause.
const backlog = 150

func (l *load) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked) - l.done
}

// create creates a root and four tasks that wait for it, when there is not too much to do already.
func (l *load) create(ctx context.Context) {
	if l.waiting() > backlog {
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
		return
	}
	group := slug.New()
	batch := []client.NewTask{newTask(group, "root", "true")}
	for range 4 {
		batch = append(batch, newTask(group, "leaf", "true", batch[0].TaskID))
	}
	for i := range batch {
		d := batch[i].Task.(task.Definition)
		d.TaskQueueID, d.ProvisionerID, d.WorkerType = "load/test", "load", "test"
		batch[i].Task = d
	}
	err := l.call(ctx, "create", func(c *client.Client) error {
		_, err := c.CreateTasks(ctx, batch)
		return err
	})
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.wrong["create: "+err.Error()] = true
		return
	}
	for _, one := range batch {
		l.acked = append(l.acked, one.TaskID)
	}
}

func (l *load) work(ctx context.Context, worker string) {
	var claims []client.Claim
	err := l.call(ctx, "claim", func(c *client.Client) (err error) {
		claims, err = c.ClaimWork(ctx, "load/test", client.ClaimRequest{WorkerGroup: "load", WorkerID: worker, Tasks: 4})
		return err
	})
	if err != nil && ctx.Err() == nil {
		l.mu.Lock()
		l.wrong["claim: "+err.Error()] = true
		l.mu.Unlock()
	}
	for _, k := range claims {
		l.report(ctx, k.Status.TaskID, k.RunID)
	}
}

func (l *load) report(ctx context.Context, id string, run int) {
	reason := task.ReasonCompleted
	switch rand.IntN(10) {
	case 0:
		reason = task.ReasonFailed
	case 1:
		reason = task.ReasonWorkerShutdown
	}
	err := l.call(ctx, "report", func(c *client.Client) (err error) {
		switch reason {
		case task.ReasonCompleted:
			_, err = c.ReportCompleted(ctx, id, run)
		case task.ReasonFailed:
			_, err = c.ReportFailed(ctx, id, run)
		default:
			_, err = c.ReportException(ctx, id, run, reason)
		}
		return err
	})
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprintf("%s/%d", id, run)
	if err != nil {
		l.wrong["report: "+err.Error()] = true
		return
	}
	if before, ok := l.accepted[key]; ok {
		l.wrong[fmt.Sprintf("run %s was given out twice, and accepted as %s and %s", key, before, reason)] = true
	}
	l.accepted[key] = reason
	l.done++
}

// check holds what the callers were told against the database, and the feed against what happened.
func (l *load) check(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for text := range l.wrong {
		t.Errorf("a caller was told: %s", text)
	}
	there := map[string]bool{}
	for _, id := range texts(t, pool, `SELECT task_id FROM tasks`) {
		there[id] = true
	}
	for _, id := range l.acked {
		if !there[id] {
			t.Errorf("task %s was acknowledged and is lost", id)
		}
	}
	outcomes := texts(t, pool, `SELECT task_id || '/' || run_id || ' ' || coalesce(reason_resolved, 'nothing') FROM runs ORDER BY 1`)
	for key, reason := range l.accepted {
		if _, ok := slices.BinarySearch(outcomes, key+" "+string(reason)); !ok {
			t.Errorf("run %s was accepted as %s, and is not", key, reason)
		}
	}
	for _, text := range texts(t, pool, `
		WITH told AS (SELECT task_id, run_id, kind, count(*) AS n FROM events WHERE task_id IS NOT NULL GROUP BY 1, 2, 3),
		happened AS (
			SELECT task_id, NULL::int AS run_id, 'task-defined' AS kind FROM tasks
			UNION ALL SELECT task_id, run_id, 'task-pending' FROM runs WHERE reason_created <> 'exception'
			UNION ALL SELECT task_id, run_id, 'task-running' FROM runs WHERE started IS NOT NULL
			UNION ALL SELECT task_id, run_id, 'task-' || state FROM runs WHERE resolved IS NOT NULL)
		SELECT coalesce(t.task_id, h.task_id) || ' ' || coalesce(t.kind, h.kind) || ' told ' || coalesce(t.n, 0) || ' times'
		FROM told t FULL JOIN happened h ON t.task_id = h.task_id AND t.kind = h.kind AND t.run_id IS NOT DISTINCT FROM h.run_id
		WHERE t.n IS DISTINCT FROM 1 OR h.task_id IS NULL`) {
		t.Errorf("the feed: %s", text)
	}
	for _, text := range texts(t, pool, `
		SELECT 'event ' || seq || ' has no position' FROM events WHERE seq NOT IN (SELECT seq FROM event_order)
		UNION ALL SELECT 'the positions have a gap' FROM event_order HAVING max(position) <> count(*)`) {
		t.Errorf("the feed: %s", text)
	}
}

func texts(t *testing.T, pool *pgxpool.Pool, sql string) []string {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}
