package npmtest_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/pools"
	"github.com/treeline-ci/treeline/pools/estimate"
	"github.com/treeline-ci/treeline/pools/poolsapi"
	"github.com/treeline-ci/treeline/pools/provider"
	"github.com/treeline-ci/treeline/pools/provider/local"
	"github.com/treeline-ci/treeline/pools/provider/static"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/roster"
)

// poolService joins worker pools to the queue, as package app does. No pool is looked after: nothing is
// launched.
func poolService(t *testing.T, pool *pgxpool.Pool, tasks *queue.Queue, root string, issuer hawk.Credentials, log *slog.Logger) web.Service {
	t.Helper()
	here, err := local.New(local.Config{Dir: t.TempDir(), Program: "/bin/false", Secret: []byte("k")}, log)
	if err != nil {
		t.Fatal(err)
	}
	p, err := pools.New(pools.Deps{
		Pool: pool, Log: log, RootURL: root, Issuer: issuer,
		Providers: map[string]provider.Provider{"static": static.Provider{}, "local": here},
		Counts: func(ctx context.Context, id string) (estimate.Load, error) {
			c, err := tasks.PendingCounts(ctx, id)
			return estimate.Load{Pending: c.PendingTasks, Claimed: c.ClaimedTasks}, err
		},
		Seen: func(ctx context.Context, id string) ([]pools.Seen, error) {
			page, err := tasks.Roster().Workers(ctx, id, nil, 1000, "")
			list := make([]pools.Seen, len(page.Workers))
			for i, w := range page.Workers {
				list[i] = pools.Seen{WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID, Details: w}
			}
			return list, err
		},
		SeenOne: func(ctx context.Context, k pools.Key) (pools.Seen, bool, error) {
			w, err := tasks.Roster().Worker(ctx, roster.Key{TaskQueueID: k.WorkerPoolID, WorkerGroup: k.WorkerGroup, WorkerID: k.WorkerID})
			if errors.Is(err, fault.NotFound) {
				return pools.Seen{}, false, nil
			}
			return pools.Seen{WorkerGroup: w.WorkerGroup, WorkerID: w.WorkerID, Details: w}, true, err
		},
		WorkerGone: func(ctx context.Context, k pools.Key) error {
			_, err := tasks.WorkerGone(ctx, k.WorkerPoolID, k.WorkerGroup, k.WorkerID)
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return poolsapi.Service(p)
}
