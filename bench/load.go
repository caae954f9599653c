package bench

import (
	"context"
	"errors"
	"sync"
	"time"
)

// load is one thing done again and again.
type load struct {
	name        string
	connections int
	things      int // how many are done by one call; 0 means 1
	// do makes call number n of a connection. errDone ends the load.
	do func(ctx context.Context, connection, n int) error
	// timed, in place of do, says itself how long the part of it took that is measured.
	timed func(ctx context.Context, connection, n int) (time.Duration, error)
}

// once does it a single time.
func (l load) once(ctx context.Context, connection, n int) (time.Duration, error) {
	if l.timed != nil {
		return l.timed(ctx, connection, n)
	}
	began := time.Now()
	err := l.do(ctx, connection, n)
	return time.Since(began), err
}

// errDone says that there is nothing left to do.
var errDone = errors.New("nothing left to do")

// outcome is what a load found.
type outcome struct {
	took   Sample
	lasted time.Duration
	errors int
	first  error // the first of them
}

// run does the load on all its connections at once for about the time given: calls that have begun
// are waited for.
func (l load) run(ctx context.Context, d time.Duration) outcome {
	var (
		wg  sync.WaitGroup
		mu  sync.Mutex
		all outcome
	)
	began := time.Now()
	for connection := range l.connections {
		wg.Go(func() {
			var mine outcome
			for n := 0; time.Since(began) < d && ctx.Err() == nil; n++ {
				took, err := l.once(ctx, connection, n)
				if errors.Is(err, errDone) {
					break
				}
				if err != nil {
					mine.errors++
					if mine.first == nil {
						mine.first = err
					}
					continue
				}
				mine.took = append(mine.took, took)
			}
			mu.Lock()
			defer mu.Unlock()
			all.took = append(all.took, mine.took...)
			all.errors += mine.errors
			if all.first == nil {
				all.first = mine.first
			}
		})
	}
	wg.Wait()
	all.lasted = time.Since(began)
	return all
}

// line is the outcome as a row of the report.
func (l load) line(o outcome) Line {
	row := Line{Name: l.name, Connections: l.connections, Count: len(o.took) * max(l.things, 1), Errors: o.errors}.timed(o.took)
	if o.lasted > 0 {
		row.PerSecond = float64(row.Count) / o.lasted.Seconds()
	}
	return row
}
