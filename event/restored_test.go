package event_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestTheFeedOfADatabaseThatWasPutBack(t *testing.T) {
	pool := pgtest.DB(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tell := func(kinds ...string) {
		t.Helper()
		if err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			for _, k := range kinds {
				if err := event.Append(ctx, tx, event.Event{Kind: k}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	server := func(until int64) *event.Feed {
		t.Helper()
		f := event.NewFeed(pool, slog.New(slog.DiscardHandler))
		f.Start(ctx)
		for {
			head, err := f.Head(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if head >= until {
				return f
			}
			select {
			case <-ctx.Done():
				t.Fatalf("the feed stands at %d", head)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	tell("a", "b")
	server(2).Stop()
	tell("c") // no server gave it a position yet
	if err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error { return event.Restored(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
	tell("d")
	f := server(1_000_005)
	defer f.Stop()
	events, err := f.Read(ctx, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		position int64
		kind     string
	}{{1, "a"}, {2, "b"}, {3, "c"}, {1_000_004, event.KindRestored}, {1_000_005, "d"}}
	if len(events) != len(want) {
		t.Fatalf("%+v", events)
	}
	for i, w := range want {
		if events[i].Position != w.position || events[i].Kind != w.kind {
			t.Errorf("event %d is %d %s, want %+v", i, events[i].Position, events[i].Kind, w)
		}
	}
	t.Run("who was ahead of the point reads the state anew", func(t *testing.T) {
		for _, after := range []int64{2, 500, 900_000} {
			for _, err := range f.Subscribe(ctx, event.Filter{After: &after}) {
				if !errors.Is(err, event.ErrTooFarBehind) {
					t.Errorf("after %d: %v", after, err)
				}
				break
			}
		}
	})
	t.Run("a consumer misses nothing and sees nothing twice", func(t *testing.T) {
		var kinds []string
		done, stop := context.WithCancel(ctx)
		err := f.Consume(done, "reader", event.Interest{}, func(_ context.Context, _ pgx.Tx, events []event.Event) error {
			for _, e := range events {
				kinds = append(kinds, e.Kind)
			}
			if len(kinds) >= len(want) {
				stop()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || len(kinds) != len(want) {
			t.Errorf("%v %v", kinds, err)
		}
	})
}
