package pg

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

type firstKey struct{}

// first is what the next transaction of a context does before anything else.
type first struct {
	do   func(ctx context.Context, tx pgx.Tx) error
	done atomic.Bool // a transaction with it was committed
}

// First returns a context whose next transaction of Tx or TxPipe does something before anything else: what is to
// happen with a deed of another room or not at all, such as its record. Its error ends the transaction. Once such a
// transaction is committed, those after it are without.
func First(ctx context.Context, do func(ctx context.Context, tx pgx.Tx) error) context.Context {
	return context.WithValue(ctx, firstKey{}, &first{do: do})
}

// Done reports whether what First was told was done and committed.
func Done(ctx context.Context) bool {
	f, ok := ctx.Value(firstKey{}).(*first)
	return ok && f.done.Load()
}

// begun does what First was told in a transaction; committed must be called when that is committed.
func begun(ctx context.Context, tx pgx.Tx) error {
	if f, ok := ctx.Value(firstKey{}).(*first); ok && !f.done.Load() {
		return f.do(ctx, tx)
	}
	return nil
}

func committed(ctx context.Context) {
	if f, ok := ctx.Value(firstKey{}).(*first); ok {
		f.done.Store(true)
	}
}
