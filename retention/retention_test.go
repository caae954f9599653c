package retention_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/retention"
)

func TestStatements(t *testing.T) { pgtest.PrepareAll(t, pgtest.DB(t), retention.Statements...) }

func room(pool *pgxpool.Pool, jobs ...retention.Job) *retention.Retention {
	log := slog.New(slog.DiscardHandler)
	return retention.New(pool, log, jobs, retention.Looking(time.Millisecond, 5*time.Millisecond))
}

func runs(t *testing.T, r *retention.Retention) map[string]retention.Run {
	t.Helper()
	list, err := r.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]retention.Run{}
	for _, run := range list {
		out[run.Job] = run
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestJobs(t *testing.T) {
	var calls atomic.Int64
	trouble := errors.New("no room on the disk")
	fails := true
	pool := pgtest.DB(t)
	r := room(pool,
		retention.Job{Name: "events", Tables: []string{"events"}, Every: time.Hour, Remove: func(context.Context) (int64, error) { calls.Add(1); return 7, nil }},
		retention.Job{Name: "audit", Every: time.Hour, Remove: func(context.Context) (int64, error) {
			if fails {
				return 2, trouble
			}
			return 3, nil
		}})
	other := room(pool, r.Jobs()...)

	t.Run("are due at once, and have no last run", func(t *testing.T) {
		got := runs(t, r)["events"]
		want := retention.Run{Job: "events", Tables: []string{"events"}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(retention.Run{}, "Next")); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("are done once by all servers together, and what came of it is known to all", func(t *testing.T) {
		must(t, r.Due(t.Context()))
		must(t, other.Due(t.Context()))
		if n := calls.Load(); n != 1 {
			t.Errorf("done %d times", n)
		}
		got := runs(t, other)["events"]
		if got.Removed != 7 || got.Total != 7 || got.Error != "" || got.Finished.Before(got.Started) || got.Next.Before(got.Started.Add(time.Hour)) {
			t.Errorf("%+v", got)
		}
	})
	t.Run("that fail say why, and how often", func(t *testing.T) {
		if got := runs(t, r)["audit"]; got.Error != trouble.Error() || got.Failures != 1 || got.Removed != 2 {
			t.Errorf("%+v", got)
		}
		pass(t, pool, "audit")
		must(t, other.Due(t.Context()))
		if got := runs(t, r)["audit"]; got.Failures != 2 || got.Total != 4 {
			t.Errorf("%+v", got)
		}
		fails = false
		pass(t, pool, "audit")
		must(t, r.Due(t.Context()))
		if got := runs(t, r)["audit"]; got.Failures != 0 || got.Error != "" || got.Removed != 3 || got.Total != 7 {
			t.Errorf("%+v", got)
		}
	})
}

// pass makes a job due.
func pass(t *testing.T, pool *pgxpool.Pool, job string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), "UPDATE retention_jobs SET next_run = now() WHERE job = $1", job); err != nil {
		t.Fatal(err)
	}
}

func TestAServerThatStopsLeavesItsJobToTheOthers(t *testing.T) {
	pool := pgtest.DB(t)
	began, went := make(chan struct{}), make(chan struct{})
	one := room(pool, retention.Job{Name: "events", Every: time.Hour, Remove: func(ctx context.Context) (int64, error) {
		close(began)
		<-ctx.Done()
		return 5, ctx.Err()
	}})
	var once sync.Once
	two := room(pool, retention.Job{Name: "events", Every: time.Hour, Remove: func(context.Context) (int64, error) { once.Do(func() { close(went) }); return 1, nil }})
	one.Start(t.Context())
	<-began
	two.Start(t.Context())
	one.Stop()
	select {
	case <-went:
	case <-time.After(time.Minute):
		t.Fatal("nobody went on")
	}
	two.Stop()
	if got := runs(t, two)["events"]; got.Total != 6 || got.Failures != 0 {
		t.Errorf("%+v", got)
	}
}
