// Package gauge tells how task queues stand and how they went: what waits and runs, how long runs waited, what their
// workers did lately and at which price. It only reads the queue's tables; of its own it keeps a sample of each queue a
// minute, for what cannot be told later.
//
// All times are the database's. Figures of the same moment agree with the rows of that moment: nothing is counted twice in
// two ways.
package gauge

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Standing is what workers a task queue has, as whoever makes them knows.
type Standing struct {
	Capacity int      // tasks that those which run can do at once
	Hourly   *float64 // what all of them cost an hour; nil: no price is set
}

// Gauge reads. It is safe for concurrent use, and any number may work on one database.
type Gauge struct {
	Pool *pgxpool.Pool
	Log  *slog.Logger
	// Standings tells what workers the pools have; nil: there are no pools.
	Standings func(context.Context) (map[string]Standing, error)
	// Age is how old what Lines answers may be; a second when zero. When negative, nothing is kept.
	Age time.Duration

	mu      sync.Mutex
	lines   []Line
	looked  time.Time
	waited  waited
	records map[string]kept
	reads   singleflight.Group

	cancel context.CancelFunc
	loop   sync.WaitGroup
}

// rows reads what a statement yields.
func rows[T any](ctx context.Context, g *Gauge, s pg.Statement, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	found, err := g.Pool.Query(ctx, s.Text, args...)
	if err != nil {
		return nil, failed(s, err)
	}
	list, err := pgx.CollectRows(found, scan)
	if err != nil {
		return nil, failed(s, err)
	}
	return list, nil
}

func failed(s pg.Statement, err error) error {
	return fmt.Errorf("queue: %s: %w", s.Name, pg.Classify(err))
}

// Statements lists every statement of the package, for tests that have PostgreSQL parse them.
var Statements = []pg.Statement{
	linesSQL, waitsSQL, roundSQL, samplesSQL, thinSQL, historySQL, workersSQL, latestSQL, outcomesSQL, stripSQL, pendingSQL, busySQL, figuresSQL, unscheduledSQL,
}

// seconds is a duration of so many.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
