package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// within receives from a channel, or fails the test.
func within[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

func TestHold(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool, event.HoldTime(time.Second))
	appendAll(t, pool, event.Event{Kind: "before"})
	take(t, f, event.Filter{}, 1)

	seen := make(chan event.Event, 100)
	fail := errors.New("on purpose")
	works := func(fails int) func(context.Context, *event.Cursor) error {
		return func(ctx context.Context, c *event.Cursor) error {
			for {
				events, err := c.Next(ctx)
				if err != nil {
					return err
				}
				for _, e := range events {
					seen <- e
					if fails > 0 && e.Kind == "second" {
						fails--
						return fail
					}
					if err := c.Save(ctx, e.Position); err != nil {
						return err
					}
				}
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- f.Hold(ctx, "out", works(2)) }()
	registered := func() []event.Consumer {
		list, err := f.Consumers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	eventually(t, "the consumer is held", func() bool { l := registered(); return len(l) == 1 && l[0].Holder != "" })

	t.Run("begins with now and goes on where it saved", func(t *testing.T) {
		appendAll(t, pool, event.Event{Kind: "first"}, event.Event{Kind: "second"}, event.Event{Kind: "third"})
		f.Wake()
		var got []string
		for range 5 {
			got = append(got, within(t, "an event", seen).Kind)
		}
		if want := []string{"first", "second", "second", "second", "third"}; !cmp.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
	})
	t.Run("another replica waits, and takes over at once when this one stops", func(t *testing.T) {
		g := startFeed(t, pool, event.HoldTime(time.Second))
		second := make(chan error, 1)
		other, stop := context.WithCancel(t.Context())
		began := make(chan struct{})
		go func() {
			second <- g.Hold(other, "out", func(ctx context.Context, c *event.Cursor) error {
				close(began)
				return works(0)(ctx, c)
			})
		}()
		appendAll(t, pool, event.Event{Kind: "fourth"})
		f.Wake()
		if e := within(t, "an event", seen); e.Kind != "fourth" {
			t.Error(e)
		}
		select {
		case <-began:
			t.Error("both hold the consumer")
		default:
		}
		eventually(t, "the fourth is done", func() bool { return registered()[0].Lag == 0 })
		cancel()
		if err := within(t, "the end", first); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		within(t, "the other", began)
		appendAll(t, pool, event.Event{Kind: "fifth"})
		g.Wake()
		if e := within(t, "an event", seen); e.Kind != "fifth" {
			t.Error(e)
		}
		stop()
		within(t, "the end", second)
	})
}

func TestALostHoldEndsTheWorkAndItsSavings(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool, event.HoldTime(time.Second))
	appendAll(t, pool, make6()...)
	take(t, f, event.Filter{}, 6)
	var once sync.Once
	lost := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.Hold(ctx, "out", func(ctx context.Context, c *event.Cursor) error {
			once.Do(func() {
				// As if this process had slept, and another had taken over meanwhile.
				exec(t, pool, "UPDATE event_consumers SET holder = 'somebody'")
				<-ctx.Done()
				lost <- errors.Join(context.Cause(ctx), c.Save(context.WithoutCancel(ctx), 3))
			})
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	err := within(t, "the loss", lost)
	if !errors.Is(err, event.ErrLost) {
		t.Error(err)
	}
	cancel()
	<-ended
	list, err := f.Consumers(t.Context())
	if err != nil || len(list) != 1 || list[0].Position != 6 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestConsumersShowTheirLag(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool)
	exec(t, pool, "INSERT INTO event_consumers (name, position) VALUES ('behind', 2), ('done', 6)")
	exec(t, pool, "INSERT INTO event_offsets VALUES ('behind', 1), ('behind', 4), ('done', 3)")
	appendAll(t, pool, make6()...)
	take(t, f, event.Filter{}, 6)
	list, err := f.Consumers(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	if list[0].Behind <= 0 || list[0].Behind > time.Minute {
		t.Errorf("behind by %v", list[0].Behind)
	}
	list[0].Behind = 0
	if diff := cmp.Diff([]event.Consumer{{Name: "behind", Position: 4, Lag: 2}, {Name: "done", Position: 6}}, list); diff != "" {
		t.Error(diff)
	}
}

// A place that was reached once is found however many were reached before, and what a downgrade needs
// is never more than a second old.
func TestOffsetsLeaveNothingBehind(t *testing.T) {
	pool := pgtest.DB(t)
	f := startFeed(t, pool, event.HoldTime(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = f.Hold(ctx, "out", func(ctx context.Context, c *event.Cursor) error {
			for i := range int64(300) {
				if i%100 == 0 {
					exec(t, pool, "UPDATE event_consumers SET moved = now() - interval '2 seconds'")
				}
				if err := c.Save(ctx, i+1); err != nil {
					return fmt.Errorf("save: %w", err)
				}
			}
			cancel()
			return nil
		})
	}()
	within(t, "the end", ended)
	var rows, lowest, highest, mirror int64
	err := pool.QueryRow(t.Context(), `SELECT count(*), min(position), max(position),
		(SELECT position FROM event_consumers) FROM event_offsets`).Scan(&rows, &lowest, &highest, &mirror)
	if err != nil || rows != 100 || lowest != 201 || highest != 300 || mirror != 201 {
		t.Errorf("%d rows from %d to %d, mirror %d, %v", rows, lowest, highest, mirror, err)
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		case <-tick.C:
		}
	}
}
