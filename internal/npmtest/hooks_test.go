package npmtest_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/hooksapi"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

// hookService joins hooks to the queue, as package app does.
func hookService(ctx context.Context, t *testing.T, pool *pgxpool.Pool, who *auth.Auth, tasks *queue.Queue, log *slog.Logger) web.Service {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	h := hooks.New(hooks.Deps{
		Pool: pool, Ring: ring, Log: log,
		Create: func(ctx context.Context, c hooks.Creation) error {
			n := queue.NewTask{ID: c.TaskID}
			if err := json.Unmarshal(c.Definition, &n.Definition); err != nil {
				return fault.New(fault.BadInput, "no task: %v", err)
			}
			if err := n.Prepare(); err != nil {
				return err
			}
			held, err := who.Expand(ctx, c.Scopes)
			if err != nil {
				return err
			}
			if err := scope.Check(c.Role, false, held, scopes.Create(n.Definition)); err != nil {
				return err
			}
			_, err = tasks.Create(ctx, n.ID, n.Definition)
			return err
		},
		States: func(ctx context.Context, ids []string) (map[string]task.State, error) {
			states := map[string]task.State{}
			list, err := tasks.Statuses(ctx, ids)
			for _, s := range list {
				states[s.TaskID] = s.State
			}
			return states, err
		},
	})
	h.Start(ctx, nil)
	t.Cleanup(h.Stop)
	return hooksapi.Service(h)
}
