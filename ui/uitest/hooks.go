package uitest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
)

// newHooks makes hooks whose tasks go into the site's queue, whatever their roles.
func newHooks(t testing.TB, s *Site) *hooks.Hooks {
	t.Helper()
	ring, err := crypt.NewRing(crypt.Key{Secret: make([]byte, crypt.KeySize)})
	if err != nil {
		t.Fatal(err)
	}
	own := pulse.NewMapping("")
	return hooks.New(hooks.Deps{
		Kinds: own.Kinds(), Own: own.Has,
		Messages: func(e *event.Event) (hooks.Message, bool, error) {
			m, ok, err := own.Of(e)
			return hooks.Message{Exchange: m.Exchange, Keys: m.Keys, Payload: m.Body}, ok, err
		},
		Audit: func(ctx context.Context, tx pgx.Tx, d hooks.Deed) error {
			r := auth.Record{EntityType: "hook", EntityID: d.Hook, ClientID: d.Actor, Action: d.Action, Own: d.Own}
			if d.Before != nil {
				r.Before = d.Before
			}
			if d.After != nil {
				r.After = d.After
			}
			return auth.Audit(ctx, tx, r)
		},
		Pool: s.Pool, Ring: ring, Log: s.log, Wake: s.Feed.Wake,
		Create: func(ctx context.Context, c hooks.Creation) error {
			n := queue.NewTask{ID: c.TaskID}
			if err := json.Unmarshal(c.Definition, &n.Definition); err != nil {
				return err
			}
			_, err := s.Queue.Create(ctx, n.ID, n.Definition)
			return err
		},
		States: func(ctx context.Context, ids []string) (map[string]task.State, error) {
			states := map[string]task.State{}
			list, err := s.Queue.Statuses(ctx, ids)
			for _, one := range list {
				states[one.TaskID] = one.State
			}
			return states, err
		},
	})
}
