package graphdiff

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"time"
)

// ErrBeyond is in the chain of the cause of a context that a limit ended.
var ErrBeyond = errors.New("the graph is too large to be compared in the server")

const lookEvery = 50 * time.Millisecond

// Bound gives a context that ends after a time, or when the process has grown by so many bytes meanwhile. What the
// rest of the server does counts too: better no comparison than no server.
func Bound(ctx context.Context, limit time.Duration, memory uint64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	began, tick := heap(), time.NewTicker(lookEvery)
	end := time.NewTimer(limit)
	go func() {
		defer tick.Stop()
		defer end.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-end.C:
				cancel(fmt.Errorf("%w: it took more than %v", ErrBeyond, limit))
			case <-tick.C:
				if now := heap(); now > began+memory {
					cancel(fmt.Errorf("%w: it took more than %d MB", ErrBeyond, memory>>20))
				}
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// heap is how many bytes objects take, dead ones that were not swept yet among them.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
