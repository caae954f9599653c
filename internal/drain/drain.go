// Package drain tells requests that wait for something that the server is about to stop. What works goes on
// and is finished; what only waits for news, a long poll or a stream, ends, and its client comes back to
// another server.
package drain

import (
	"context"
	"math/rand/v2"
	"time"
)

type key struct{}

// With returns a context whose requests learn by begun, once it is closed, that they should not wait any more.
func With(ctx context.Context, begun <-chan struct{}) context.Context {
	return context.WithValue(ctx, key{}, begun)
}

// Begun is closed when who waits should wait no more; it is nil, and never ready, without a server around.
func Begun(ctx context.Context) <-chan struct{} {
	begun, _ := ctx.Value(key{}).(<-chan struct{})
	return begun
}

// Longest is how long a stream lasts. What its reader may see is judged when it begins: who lost a right, or whose
// credentials ended, shall not read on for as long as the connection holds.
const Longest = 5 * time.Minute

// Context returns a context that ends with ctx, when Begun is closed, and after Longest or up to a fifth sooner, so that
// streams that began together do not come back together: for streams, which are cut anywhere. The caller must call cancel.
func Context(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	begun := Begun(ctx)
	ctx, cancel = context.WithTimeout(ctx, Longest-rand.N(Longest/5))
	if begun == nil {
		return ctx, cancel
	}
	go func() {
		select {
		case <-begun:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
