// Package chore is rounds of what is done now and then: removing what has expired, looking for what was missed. Who
// does one wraps it in Do; who wants to know how rounds went puts a Teller into the context of the loops.
package chore

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/stamp"
)

// Round is how a round went.
type Round struct {
	Name string // room.what, such as "index.prune": one of few
	Took time.Duration
	Rows int // what it removed or moved on
	Err  error
}

// Teller is told of rounds. It must return quickly, and is called by many goroutines.
type Teller func(ctx context.Context, r Round)

type key struct{}

// With returns a context whose rounds are told.
func With(ctx context.Context, t Teller) context.Context { return context.WithValue(ctx, key{}, t) }

// Do does a round and tells of it, unless the context ended under it. The error is that of the round; what it logs has the
// name of the round.
func Do(ctx context.Context, name string, round func(ctx context.Context) (rows int, err error)) error {
	began := time.Now()
	rows, err := round(stamp.With(ctx, stamp.Chore, name))
	if t, ok := ctx.Value(key{}).(Teller); ok && (err == nil || ctx.Err() == nil) {
		t(ctx, Round{Name: name, Took: time.Since(began), Rows: rows, Err: err})
	}
	return err
}

// Plain is a round that counts nothing.
func Plain(round func(ctx context.Context) error) func(ctx context.Context) (int, error) {
	return func(ctx context.Context) (int, error) { return 0, round(ctx) }
}
