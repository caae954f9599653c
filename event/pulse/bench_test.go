package pulse_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/pulse"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/rabbittest"
)

// BenchmarkPublish measures a publisher that has 20,000 events to catch up on, until the broker has
// confirmed the last.
func BenchmarkPublish(b *testing.B) {
	const count = 20000
	node := rabbittest.Start(b)
	for b.Loop() {
		b.StopTimer()
		pool := pgtest.DB(b)
		log := slog.New(slog.DiscardHandler)
		feed := event.NewFeed(pool, log)
		feed.Start(b.Context())
		lag := func() int64 {
			list, err := feed.Consumers(b.Context())
			if err != nil || len(list) != 1 {
				b.Fatal(list, err)
			}
			return list[0].Lag
		}
		err := pg.Tx(b.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO event_consumers (name, position) VALUES ($1, 0)", pulse.Consumer); err != nil {
				return err
			}
			events := make([]event.Event, count)
			for i := range events {
				events[i] = numbered(i%20, i)
			}
			return event.Append(ctx, tx, events...)
		})
		if err != nil {
			b.Fatal(err)
		}
		tick := time.NewTicker(time.Millisecond)
		for lag() < count {
			<-tick.C
		}
		p, err := pulse.New(pulse.Config{URL: node.URL(), Namespace: "bench", Log: log})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error, 1)
		b.StartTimer()
		go func() { ended <- p.Run(ctx, feed) }()
		for lag() > 0 {
			<-tick.C
		}
		b.StopTimer()
		cancel()
		<-ended
		feed.Stop()
		b.StartTimer()
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}
