package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

// holdOpen opens a transaction that keeps every row version it could see, until the test ends.
func holdOpen(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.ConnectConfig(ctx, pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) }) // which ends the transaction
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	// With a snapshot it holds row versions back, with an id of its own also the gaps of the ledger.
	if _, err := tx.Exec(ctx, "SELECT pg_current_xact_id(), count(*) FROM events"); err != nil {
		t.Fatal(err)
	}
}

// touched is how many pages a statement looks at.
func touched(t testing.TB, pool *pgxpool.Pool, s pg.Statement, args ...any) int {
	t.Helper()
	var text []byte
	do(t, pool, func(ctx context.Context, tx pgx.Tx) error {
		if s.Name == findSQL.Name || s.Name == deltaSQL.Name { // they come after it
			if _, err := tx.Exec(ctx, tryLockSQL.Text, int64(sequencerLock)); err != nil {
				return err
			}
		}
		return tx.QueryRow(ctx, "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+s.Text, args...).Scan(&text)
	})
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal(text, &plans); err != nil || len(plans) != 1 {
		t.Fatalf("%s: %s, %v", s.Name, text, err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}

func do(t testing.TB, pool *pgxpool.Pool, fn func(ctx context.Context, tx pgx.Tx) error) {
	t.Helper()
	if err := pg.Tx(t.Context(), pool, fn); err != nil {
		t.Fatal(err)
	}
}

// While an old transaction keeps all dead rows alive, the statements of the hot path look at as few
// pages as ever: none passes what was read, moved over or removed before.
func TestAnOldTransactionMakesNoStatementLookAtMore(t *testing.T) {
	pool := pgtest.DB(t)
	holdOpen(t, pool)
	const rounds, size, consumer = 200, 100, "test"
	var s sequencer
	do(t, pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, registerSQL.Text, consumer)
		return err
	})
	batch := make([]Event, size)
	for i := range batch {
		batch[i].Kind = "k"
	}
	for round := range rounds {
		do(t, pool, func(ctx context.Context, tx pgx.Tx) error { return Append(ctx, tx, batch...) })
		for more := true; more; {
			var err error
			if more, err = s.pass(t.Context(), pool); err != nil {
				t.Fatal(err)
			}
		}
		do(t, pool, func(ctx context.Context, tx pgx.Tx) error {
			if round%20 == 0 { // as after a second
				if _, err := tx.Exec(ctx, "UPDATE event_consumers SET moved = now() - interval '2 seconds'"); err != nil {
					return err
				}
			}
			for i := range int64(10) {
				if err := move(ctx, tx, consumer, int64(round*size)+10*(i+1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	do(t, pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE event_checkpoint SET position = $1, mark = $2", s.position, s.mark)
		return err
	})
	head := s.position
	if head != rounds*size {
		t.Fatalf("the head is %d", head)
	}
	// Nearly all of it is removed, and stays as dead rows.
	f := NewFeed(pool, slog.New(slog.DiscardHandler), Keep(0))
	do(t, pool, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE event_consumers SET position = $1, moved = now() + interval '1 minute'", head-5)
		return err
	})
	if n, err := f.Prune(t.Context()); err != nil || n != head-5 {
		t.Fatalf("removed %d, %v", n, err)
	}
	lo, hi := s.bounds()
	for _, tt := range []struct {
		s    pg.Statement
		args []any
	}{
		{headSQL, nil}, {deltaSQL, []any{head, deltaLimit}}, {findSQL, []any{s.mark, lo, hi, passLimit}},
		{readSQL, []any{head - 5, 100}}, {offsetSQL, []any{consumer}}, {nextSQL, []any{consumer, 100, nil, nil, 0, false}}, {passSQL, []any{consumer, 100, []string{"none"}, nil, 0, true}}, {tryOffsetSQL, []any{consumer}},
		{moveSQL, []any{consumer, head + 1}}, {consumersSQL, nil},
	} {
		const most = 60
		n := touched(t, pool, tt.s, tt.args...)
		t.Logf("%s: %d pages", tt.s.Name, n)
		if n > most {
			t.Errorf("%s looks at %d pages, more than %d", tt.s.Name, n, most)
		}
	}
}

// BenchmarkBesideAnOldTransaction measures the way from Append to two consumers, one in transactions
// and one that holds its name, by turns without and with a transaction that was opened before and stays
// open, and prints the medians and their ratio: 1 is no loss.
func BenchmarkBesideAnOldTransaction(b *testing.B) {
	var rates [2][]float64
	for b.Loop() {
		for old := range rates {
			rates[old] = append(rates[old], rate(b, old == 1))
		}
	}
	for old := range rates {
		slices.Sort(rates[old])
	}
	median := func(list []float64) float64 { return list[len(list)/2] }
	b.ReportMetric(median(rates[0]), "events/s")
	b.ReportMetric(median(rates[1]), "events/s-beside")
	b.ReportMetric(median(rates[1])/median(rates[0]), "ratio")
}

// rate returns events a second.
func rate(b *testing.B, old bool) float64 {
	b.Helper()
	const writers, transactions, size = 4, 500, 10
	pool := pgtest.DB(b)
	if old {
		holdOpen(b, pool)
	}
	f := NewFeed(pool, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	f.Start(ctx)
	var ended [2]chan struct{}
	var seen [2]atomic.Int64
	var started atomic.Bool
	ended[0], ended[1] = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended[0])
		_ = f.Consume(ctx, "in", Interest{}, func(_ context.Context, _ pgx.Tx, events []Event) error {
			seen[0].Add(int64(len(events)))
			return nil
		})
	}()
	go func() {
		defer close(ended[1])
		_ = f.Hold(ctx, "out", func(ctx context.Context, c *Cursor) error {
			started.Store(true)
			for {
				events, err := c.Next(ctx)
				if err != nil {
					return err
				}
				if err := c.Save(ctx, c.Position()); err != nil {
					return err
				}
				seen[1].Add(int64(len(events)))
			}
		})
	}()
	wait := func(so func() bool) {
		for tick := time.NewTicker(time.Millisecond); !so(); <-tick.C {
			if b.Context().Err() != nil {
				b.Fatal("it does not come to an end")
			}
		}
	}
	wait(started.Load)
	batch := make([]Event, size)
	for i := range batch {
		batch[i] = Event{Kind: "task-completed", TaskID: "VBHM4KiMQ2CKXcfyw6CCpA", Payload: json.RawMessage(`{"status": {"state": "completed"}}`)}
	}
	began := time.Now()
	for range writers {
		go func() {
			for range transactions {
				if err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error { return Append(ctx, tx, batch...) }); err != nil && ctx.Err() == nil {
					b.Error(err)
				}
				f.Wake()
			}
		}()
	}
	const total = writers * transactions * size
	wait(func() bool { return seen[0].Load() >= total && seen[1].Load() >= total })
	took := time.Since(began)
	cancel()
	<-ended[0]
	<-ended[1]
	f.Stop()
	return total / took.Seconds()
}
