package hooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

const childEnv = "HOOKS_TEST_DATABASE"

// TestMain makes the test's own program a replica, to be killed, when a database stands in its environment.
func TestMain(m *testing.M) {
	if url := os.Getenv(childEnv); url != "" {
		if err := beReplica(context.Background(), url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func beReplica(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	ring, err := testRing()
	if err != nil {
		return err
	}
	h := hooks.New(hooks.Deps{Pool: pool, Ring: ring, Create: creating(pool)})
	h.Start(ctx, nil)
	select {} // until it is killed
}

func testRing() (*crypt.Ring, error) {
	return crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
}

// creating makes tasks as rows, as slowly as a queue that is busy; each once.
func creating(pool *pgxpool.Pool) func(context.Context, hooks.Creation) error {
	return func(ctx context.Context, c hooks.Creation) error {
		var d struct {
			Created time.Time
			Payload struct{ Name string }
		}
		if err := json.Unmarshal(c.Definition, &d); err != nil {
			return err
		}
		tag, err := pool.Exec(ctx, `INSERT INTO made (task_id, name, created) SELECT $1, $2, $3 FROM pg_sleep(0.01) ON CONFLICT (task_id) DO NOTHING`, c.TaskID, d.Payload.Name, d.Created)
		if err == nil && tag.RowsAffected() == 0 {
			err = fault.New(fault.Conflict, "there is a task %s", c.TaskID)
		}
		if err == nil {
			_, err = pool.Exec(ctx, `SELECT pg_sleep(0.01)`) // until the answer is there
		}
		return err
	}
}

func TestKilledReplicasLoseAndDoubleNothing(t *testing.T) {
	ctx := t.Context()
	url := pgtest.URL(t)
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if _, err := pool.Exec(ctx, `CREATE TABLE made (task_id text PRIMARY KEY, name text, created timestamptz)`); err != nil {
		t.Fatal(err)
	}
	ring, err := testRing()
	if err != nil {
		t.Fatal(err)
	}
	last := hooks.New(hooks.Deps{Pool: pool, Ring: ring, Create: creating(pool)})
	const count = 12
	for i := range count {
		name := fmt.Sprintf("h%02d", i)
		h := hook(name, func(h *hooks.Hook) {
			h.Schedule = []string{"* * * * * *"}
			h.Task = json.RawMessage(`{"payload": {"name": "` + name + `"}}`)
		})
		if _, err := last.Create(ctx, "ada", h); err != nil {
			t.Fatal(err)
		}
	}
	replica := func() *exec.Cmd {
		cmd := exec.CommandContext(ctx, os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+url)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	running := []*exec.Cmd{replica(), replica()}
	for range 14 {
		<-time.After(time.Duration(300+rand.IntN(700)) * time.Millisecond)
		i := rand.IntN(len(running))
		if err := running[i].Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = running[i].Wait() // it was killed
		// What it had claimed would be another's after two minutes.
		if _, err := pool.Exec(ctx, `UPDATE hook_definitions SET due = now() WHERE due > now() + interval '2 seconds'`); err != nil {
			t.Fatal(err)
		}
		running[i] = replica()
	}
	for _, cmd := range running {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if _, err := pool.Exec(ctx, `UPDATE hook_definitions SET due = now()`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := last.Round(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		checkDates(t, last, pool, fmt.Sprintf("h%02d", i))
	}
}

// checkDates holds a hook's fires against its schedule: each date from the first on has one task, or was
// left out and is counted.
func checkDates(t *testing.T, h *hooks.Hooks, pool *pgxpool.Pool, name string) {
	t.Helper()
	fires, err := h.LastFires(t.Context(), "project-a", name, hooks.Mark{}, 1000)
	if err != nil && !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	s, err := h.Status(t.Context(), "project-a", name)
	if err != nil {
		t.Fatal(err)
	}
	every, err := cron.Parse("* * * * * *")
	if err != nil {
		t.Fatal(err)
	}
	next := s.Next
	for _, f := range fires { // the newest first
		at := *f.Scheduled
		for range f.Missed + 1 {
			at = every.Next(at)
		}
		// The dates are counted when the fire begins, the next follows from then.
		if !at.Equal(next) || f.Error != "" {
			t.Errorf("%s: after the fire of %v, which left out %d, comes %v, not %v", name, f.Scheduled, f.Missed, next, at)
		}
		next = *f.Scheduled
	}
	var tasks, dates int
	if err := pool.QueryRow(t.Context(), `SELECT count(*), count(DISTINCT created) FROM made WHERE name = $1`, name).Scan(&tasks, &dates); err != nil {
		t.Fatal(err)
	}
	if tasks != len(fires) || dates != tasks || tasks < 3 {
		t.Errorf("%s: %d tasks of %d dates, %d fires", name, tasks, dates, len(fires))
	}
}
