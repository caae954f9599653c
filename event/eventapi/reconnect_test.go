package eventapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/event/eventapi"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/webtest"
)

// replicas serves the stream by several feeds on one database, each connection by any of them, and cuts
// connections again and again until the test ends.
func replicas(t *testing.T, pool *pgxpool.Pool, n int) (url string) {
	t.Helper()
	handlers := make([]http.Handler, n)
	for i := range handlers {
		feed := event.NewFeed(pool, slog.New(slog.DiscardHandler))
		feed.Start(context.WithoutCancel(t.Context()))
		t.Cleanup(feed.Stop)
		h, err := web.Mount([]web.Service{eventapi.Service(feed)}, webtest.As("someone", "events:read"), web.Options{})
		if err != nil {
			t.Fatal(err)
		}
		handlers[i] = h
	}
	var turn atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers[turn.Add(1)%int64(n)].ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	var cutting sync.WaitGroup
	t.Cleanup(func() { cancel(); cutting.Wait() })
	cutting.Go(func() {
		for tick := time.NewTicker(60 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				server.CloseClientConnections()
			}
		}
	})
	return server.URL
}

var errInVain = errors.New("in vain")

// write is one transaction on some tasks: their rows are locked in order, each change has its number
// within the task, and the commit comes after a random while, or never.
func write(ctx context.Context, pool *pgxpool.Pool, random *rand.Rand) error {
	first, many := random.IntN(20), 1+random.IntN(3)
	pause, inVain := float64(random.IntN(30))/1000, random.IntN(10) == 0
	return pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		for id := first; id < min(first+many, 20); id++ {
			var n int
			if err := tx.QueryRow(ctx, "UPDATE test_tasks SET n = n + 1 WHERE id = $1 RETURNING n", id).Scan(&n); err != nil {
				return err
			}
			e := event.Event{Kind: "change", TaskID: fmt.Sprint("t", id), Payload: json.RawMessage(fmt.Sprint(n))}
			if err := event.Append(ctx, tx, e); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "SELECT pg_sleep($1)", pause); err != nil {
			return err
		}
		if inVain {
			return errInVain
		}
		return nil
	})
}

// I10: listeners that are cut off again and again, served by one replica now and another then, see
// each event once, in the order of the feed, a task's in the order of its changes, without a gap,
// whatever order the writers commit in.
func TestListenersThatReconnectSeeEverythingInOrder(t *testing.T) {
	url := pgtest.URL(t)
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(40))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	for _, sql := range []string{"CREATE TABLE test_tasks (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)", "INSERT INTO test_tasks SELECT generate_series(0, 19)"} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	server := replicas(t, pool, 2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	var listeners sync.WaitGroup
	for i := range 6 {
		c, err := client.New(client.Config{RootURL: server, Credentials: hawk.Credentials{ClientID: "someone", AccessToken: "secret"}, MaxDelay: 20 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		listeners.Go(func() {
			if err := listen(ctx, c); err != nil {
				t.Errorf("listener %d: %v", i, err)
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 16 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(11, uint64(w)))
			for range 40 {
				if err := write(ctx, pool, random); err != nil && !errors.Is(err, errInVain) {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	var total int64
	if err := pool.QueryRow(ctx, "SELECT sum(n) FROM test_tasks").Scan(&total); err != nil {
		t.Fatal(err)
	}
	// The last one says how many came before it.
	err = pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		return event.Append(ctx, tx, event.Event{Kind: "end", Payload: json.RawMessage(fmt.Sprint(total))})
	})
	if err != nil {
		t.Fatal(err)
	}
	listeners.Wait()
}

// listen checks what a listener sees until the end.
func listen(ctx context.Context, c *client.Client) error {
	last := map[string]int{}
	position := int64(0)
	for e, err := range c.Events(ctx, client.EventFilter{After: new(int64)}) {
		if err != nil {
			return fmt.Errorf("after %d: %w", position, err)
		}
		var body struct{ Payload int }
		if err := json.Unmarshal(e.Text, &body); err != nil {
			return err
		}
		switch {
		case e.Position != position+1:
			return fmt.Errorf("position %d after %d", e.Position, position)
		case e.Kind == "end" && int64(body.Payload) != position:
			return fmt.Errorf("%d events, want %d", position, body.Payload)
		case e.Kind == "end":
			return nil
		case body.Payload != last[e.TaskID]+1:
			return fmt.Errorf("position %d, %s: %d after %d", e.Position, e.TaskID, body.Payload, last[e.TaskID])
		}
		position, last[e.TaskID] = e.Position, body.Payload
	}
	return errors.New("the stream ended")
}
