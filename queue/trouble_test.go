package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// TestADatabaseThatTakesNoWritesForAWhile is what a queue sees whose connections lead to a standby: everything can be read,
// every change is refused as something to be tried again, and nothing of it was done.
func TestADatabaseThatTakesNoWritesForAWhile(t *testing.T) {
	e := queuetest.New(t)
	ctx, running, id, d := t.Context(), e.Task(t, task.Running), slug.New(), queuetest.Define()
	name := pgx.Identifier{e.Pool.Config().ConnConfig.Database}.Sanitize()
	writes := func(sql string) {
		t.Helper()
		if _, err := e.Pool.Exec(ctx, "BEGIN READ WRITE; ALTER DATABASE "+name+" "+sql+"; COMMIT"); err != nil {
			t.Fatal(err)
		}
		e.Pool.Reset() // sessions from before have the setting of before
	}
	writes("SET default_transaction_read_only = on")
	for verb, call := range map[string]func() error{
		"create":   func() error { _, err := e.Queue.Create(ctx, id, d); return err },
		"reclaim":  func() error { _, err := e.Queue.Reclaim(ctx, running, 0); return err },
		"complete": func() error { _, err := e.Queue.ReportCompleted(ctx, running, 0); return err },
		"cancel":   func() error { _, err := e.Queue.Cancel(ctx, running); return err },
	} {
		if err := call(); !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if got := e.Status(t, running).State; got != task.Running {
		t.Errorf("the task is %s", got)
	}
	if _, err := e.Queue.Status(ctx, id); !errors.Is(err, fault.NotFound) {
		t.Errorf("the task that was refused: %v", err)
	}
	writes("RESET default_transaction_read_only")
	if _, err := e.Queue.Create(ctx, id, d); err != nil {
		t.Error(err)
	}
	if _, err := e.Queue.ReportCompleted(ctx, running, 0); err != nil {
		t.Error(err)
	}
	e.Check(t)
}

// TestWorkersThatWaitDoNotAskTheDatabase: what the database is asked while nothing happens does not grow with those who wait.
func TestWorkersThatWaitDoNotAskTheDatabase(t *testing.T) {
	const waiters, window = 200, 2 * time.Second
	e := queuetest.New(t)
	e.Start(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	claimed := make(chan string, waiters)
	for i := range waiters {
		all.Go(func() {
			for ctx.Err() == nil {
				claims, err := e.Queue.Claim(ctx, queue.ClaimRequest{TaskQueueID: fmt.Sprintf("test/line-%d", i%20), WorkerGroup: "g", WorkerID: fmt.Sprint("w", i), Tasks: 1, Wait: queue.MaxWait})
				if err == nil && len(claims) == 1 {
					claimed <- claims[0].Status.TaskID
				}
			}
		})
	}
	// When each has looked once, less than one question of each four is seen in two seconds.
	for deadline := time.Now().Add(time.Minute); ; {
		before := e.Pool.Stat().AcquireCount()
		<-time.After(window) // it is what is measured
		asked := e.Pool.Stat().AcquireCount() - before
		if before > waiters && asked < waiters/4 {
			t.Logf("with %d that wait, the database is asked %d times in %v", waiters, asked, window)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with %d that wait, the database is asked %d times in %v", waiters, asked, window)
		}
	}
	id := slug.New()
	e.Create(t, id, queuetest.Define(queuetest.OnQueue("test/line-7")))
	select {
	case got := <-claimed:
		if got != id {
			t.Errorf("claimed %s, not %s", got, id)
		}
	case <-time.After(time.Minute):
		t.Error("nobody claims a task that came while all waited")
	}
}
