// Package drain tells requests that wait for something that the server is about to stop. What works goes on
// and is finished; what only waits for news, a long poll or a stream, ends, and its client comes back to
// another server.
package drain

import "context"

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

// Context returns a context that ends with ctx, and when Begun is closed: for streams, which are cut anywhere.
// The caller must call cancel.
func Context(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	begun := Begun(ctx)
	ctx, cancel = context.WithCancel(ctx)
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
