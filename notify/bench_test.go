package notify_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/notify"
	"github.com/treeline-ci/treeline/task"
)

// benchmarkFollow measures what it costs to follow b.N ends of tasks that have a route.
func benchmarkFollow(b *testing.B, route string) {
	pool := pgtest.DB(b)
	feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
	feed.Start(context.WithoutCancel(b.Context()))
	defer feed.Stop()
	n := notify.New(notify.Deps{Pool: pool})
	// It enters the feed, and then waits until all is there.
	ctx, stop := context.WithCancel(b.Context())
	n.Start(ctx, feed)
	until(func() bool { return len(consumers(b, feed)) > 0 })
	stop()
	n.Stop()
	for left := b.N; left > 0; left -= 1000 {
		var events []event.Event
		for range min(left, 1000) {
			events = append(events, happened(slug.New(), "task-completed", task.Completed, "completed", route))
		}
		if err := pg.Tx(b.Context(), pool, func(ctx context.Context, tx pgx.Tx) error { return event.Append(ctx, tx, events...) }); err != nil {
			b.Fatal(err)
		}
	}
	until(func() bool {
		head, err := feed.Head(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return head >= int64(b.N)
	})
	b.ResetTimer()
	n = notify.New(notify.Deps{Pool: pool})
	n.Start(b.Context(), feed)
	until(func() bool { return consumers(b, feed)[0].Position >= int64(b.N) })
	b.StopTimer()
	n.Stop()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// until asks every millisecond.
func until(ok func() bool) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		<-tick.C
	}
}

func consumers(b *testing.B, feed *event.Feed) []event.Consumer {
	list, err := feed.Consumers(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return list
}

func BenchmarkFollowTasksWithoutNotifications(b *testing.B) { benchmarkFollow(b, "index.a.b.c") }

func BenchmarkFollowTasksWithNotifications(b *testing.B) {
	benchmarkFollow(b, "notify.pulse.bench.on-completed")
}
