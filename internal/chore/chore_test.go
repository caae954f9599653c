package chore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/treeline-ci/treeline/internal/chore"
)

func TestDo(t *testing.T) {
	var told []chore.Round
	ctx := chore.With(t.Context(), func(_ context.Context, r chore.Round) { told = append(told, r) })
	wrong := errors.New("no room")
	t.Run("a round is told of with its rows", func(t *testing.T) {
		told = nil
		if err := chore.Do(ctx, "a.b", func(context.Context) (int, error) { return 7, nil }); err != nil || len(told) != 1 || told[0].Rows != 7 || told[0].Name != "a.b" {
			t.Errorf("%v, told %v", err, told)
		}
	})
	t.Run("a failure is told of and returned", func(t *testing.T) {
		told = nil
		err := chore.Do(ctx, "a.b", chore.Plain(func(context.Context) error { return wrong }))
		if !errors.Is(err, wrong) || len(told) != 1 || !errors.Is(told[0].Err, wrong) {
			t.Errorf("%v, told %v", err, told)
		}
	})
	t.Run("a round under which the server stopped is no failure", func(t *testing.T) {
		told = nil
		ctx, cancel := context.WithCancel(ctx)
		err := chore.Do(ctx, "a.b", func(ctx context.Context) (int, error) { cancel(); return 0, ctx.Err() })
		if !errors.Is(err, context.Canceled) || len(told) != 0 {
			t.Errorf("%v, told %v", err, told)
		}
	})
	t.Run("nobody need be told", func(t *testing.T) {
		if err := chore.Do(t.Context(), "a.b", func(context.Context) (int, error) { return 1, nil }); err != nil {
			t.Error(err)
		}
	})
}
