package intake

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/index"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
)

// counter counts the statements that a pool sends.
type counter struct{ n atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// counted is a pool on the same database, and its counter.
func counted(t *testing.T, pool *pgxpool.Pool) (*pgxpool.Pool, *counter) {
	t.Helper()
	c := &counter{}
	config := pool.Config()
	config.ConnConfig.Tracer = c
	p, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, c
}

func TestAThousandPathsAreOneQueryOfTheIndexAndOneOfTheQueue(t *testing.T) {
	var queries, statuses *counter
	e := queuetest.New(t, func(d *queue.Deps) { d.Pool, statuses = counted(t, d.Pool) })
	pool, queries := counted(t, e.Pool)
	ix := index.New(pool)
	id := e.Task(t, task.Completed)
	var paths []string
	for i := range 1000 {
		path := fmt.Sprintf("demo.v2.level-3.toolchains.t%03d", i)
		paths = append(paths, path)
		if i%2 == 0 {
			if _, err := ix.Insert(t.Context(), index.Entry{Namespace: path, TaskID: id, Rank: 1, Data: json.RawMessage(`{}`), Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := New(Deps{Queue: e.Queue, Log: slog.New(slog.DiscardHandler), Index: func(ctx context.Context, paths []string) (map[string]string, error) {
		entries, err := ix.FindMany(ctx, paths)
		ids := map[string]string{}
		for path, entry := range entries {
			ids[path] = entry.TaskID
		}
		return ids, err
	}})
	queries.n.Store(0)
	statuses.n.Store(0)
	found, err := (&nativeDecision{Intake: in}).find(t.Context(), paths)
	if err != nil || len(found) != 500 || found[paths[0]].State != "completed" {
		t.Fatalf("%d found, %v", len(found), err)
	}
	if queries.n.Load() != 1 || statuses.n.Load() != 1 {
		t.Errorf("%d queries of the index and %d of the queue", queries.n.Load(), statuses.n.Load())
	}
}
