package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
)

// attempts is how often Tx tries a transaction that PostgreSQL rolled back for a reason that
// passes: a serialization failure or a deadlock.
const attempts = 5

// Beginner is what Tx needs: a pool, a connection, or a transaction (then a savepoint is used).
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Tx runs fn in a READ COMMITTED transaction: committed when fn returns nil, rolled back otherwise
// and on panic. It runs fn again, at most five times in all, when PostgreSQL chose the transaction
// as the victim of a deadlock or could not serialize it; so fn must have no effects outside tx.
// The returned error went through Classify.
func Tx(ctx context.Context, db Beginner, fn func(ctx context.Context, tx pgx.Tx) error) error {
	return again(ctx, func() error {
		tx, err := db.Begin(ctx)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		return run(ctx, tx, func(ctx context.Context) error {
			if err := begun(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	})
}

// again runs a transaction until its outcome is not transient any more.
func again(ctx context.Context, once func() error) error {
	for attempt := 1; ; attempt++ {
		err := once()
		if err == nil || attempt == attempts || !transient(err) {
			return Classify(err)
		}
		wait := time.Duration(attempt) * time.Duration(2+rand.IntN(8)) * time.Millisecond
		select {
		case <-ctx.Done():
			return Classify(err)
		case <-time.After(wait):
		}
	}
}

// transient reports whether PostgreSQL asks for the transaction to be tried again. A kept plan whose
// tables were changed meanwhile is one of the reasons: the next try plans anew.
func transient(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01" || e.Code == "0A000" && e.Routine == "RevalidateCachedQuery")
}

// Classify gives a database error its meaning: no rows is fault.NotFound, a unique violation is
// fault.Conflict, text that PostgreSQL cannot keep is fault.Invalid, and a database that is away or
// full is fault.Unavailable. An error that has a meaning already, and nil, come back as they are.
func Classify(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.Wrap(fault.NotFound, err, "not found")
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return fault.Wrap(fault.Unavailable, err, "the database cannot be reached")
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch {
		case e.Code == "23505":
			return fault.Wrap(fault.Conflict, err, "it exists already, with other content")
		case e.Code == "22021" || e.Code == "22P05":
			return fault.Wrap(fault.Invalid, err, "a text has a character that cannot be kept, such as a zero byte")
		case e.Code == "54001":
			return fault.Wrap(fault.Invalid, err, "a value nests too deep to be kept")
		case e.Code == diskFull:
			return fault.Wrap(fault.Unavailable, err, "the disk of the database is full")
		case e.Code == readOnly:
			return fault.Wrap(fault.Unavailable, err, "the database takes no writes: it is read-only")
		case unavailable(e.Code):
			return fault.Wrap(fault.Unavailable, err, "the database is not available")
		}
		return err
	}
	if pgconn.SafeToRetry(err) || lost(err) {
		return fault.Wrap(fault.Unavailable, err, "the database is not available")
	}
	return err
}

// SQLSTATEs of a database that takes no writes.
const (
	diskFull = "53100"
	readOnly = "25006" // a standby, or set so
)

// Unwritable reports errors of a database that takes no writes: its disk is full, or it is read-only.
func Unwritable(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == diskFull || e.Code == readOnly)
}

// lost reports whether the connection broke under a statement, as it does when the server is killed.
// Whether a commit arrived is then unknown; verbs can be repeated, so trying again is the remedy.
func lost(err error) bool {
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// unavailable reports SQLSTATEs that say something about the server, not about the statement:
// connection exceptions, resources, shutdown and start-up, and conflicts that lasted through all attempts.
func unavailable(code string) bool {
	return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57P") ||
		code == "40001" || code == "40P01" || code == "55P03"
}

// notFoundIsFine drops the error of a query that found no row.
func notFoundIsFine(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// located adds the line of the SQL text that an error of PostgreSQL points at.
func located(err error, text string) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || e.Position <= 0 {
		return err
	}
	before := []rune(text)
	before = before[:min(int(e.Position)-1, len(before))]
	return fmt.Errorf("line %d: %w", 1+strings.Count(string(before), "\n"), err)
}
