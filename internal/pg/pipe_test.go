package pg_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestTxPipe(t *testing.T) {
	pool := pgtest.Empty(t)
	execSQL(t, pool, "CREATE TABLE things (id int PRIMARY KEY)")
	inside := func() string {
		return queryRows(t, pool, "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM things")[0]
	}
	insert := func(ids ...int) *pgx.Batch {
		b := &pgx.Batch{}
		for _, id := range ids {
			b.Queue("INSERT INTO things VALUES ($1)", id).Exec(func(pgconn.CommandTag) error { return nil })
		}
		return b
	}
	for _, tt := range []struct {
		name   string
		do     func(ctx context.Context, tx *pg.Pipe) error
		fails  error
		leaves string
	}{
		{"nothing", func(context.Context, *pg.Pipe) error { return nil }, nil, ""},
		{"one batch is all", func(ctx context.Context, tx *pg.Pipe) error { return tx.SendLast(ctx, insert(1, 2)) }, nil, "1 2"},
		{"two batches", func(ctx context.Context, tx *pg.Pipe) error {
			if err := tx.SendBatch(ctx, insert(3)).Close(); err != nil {
				return err
			}
			return tx.SendLast(ctx, insert(4))
		}, nil, "1 2 3 4"},
		{"results read one by one", func(ctx context.Context, tx *pg.Pipe) error {
			b := &pgx.Batch{}
			b.Queue("INSERT INTO things VALUES (5)")
			b.Queue("SELECT count(*) FROM things")
			r := tx.SendBatch(ctx, b)
			if _, err := r.Exec(); err != nil {
				return err
			}
			var n int
			if err := r.QueryRow().Scan(&n); err != nil || n != 5 {
				t.Errorf("counted %d: %v", n, err)
			}
			return r.Close()
		}, nil, "1 2 3 4 5"},
		{"single statements", func(ctx context.Context, tx *pg.Pipe) error {
			if _, err := tx.Exec(ctx, "DELETE FROM things"); err != nil {
				return err
			}
			var n int
			return tx.QueryRow(ctx, "SELECT count(*) FROM things").Scan(&n)
		}, nil, ""},
		{"an error of the caller", func(ctx context.Context, tx *pg.Pipe) error {
			return errors.Join(tx.SendBatch(ctx, insert(6)).Close(), io.EOF)
		}, io.EOF, ""},
		{"an error in the first batch", func(ctx context.Context, tx *pg.Pipe) error {
			return tx.SendBatch(ctx, insert(7, 7)).Close()
		}, fault.Conflict, ""},
		{"an error in the last batch", func(ctx context.Context, tx *pg.Pipe) error {
			if err := tx.SendBatch(ctx, insert(8)).Close(); err != nil {
				return err
			}
			return tx.SendLast(ctx, insert(9, 8, 10))
		}, fault.Conflict, ""},
		{"an error that was not heeded", func(ctx context.Context, tx *pg.Pipe) error {
			if tx.SendBatch(ctx, insert(11, 11)).Close() == nil {
				t.Error("a double key was taken")
			}
			return nil
		}, pgx.ErrTxCommitRollback, ""},
		{"savepoints are not offered", func(ctx context.Context, tx *pg.Pipe) error {
			_, err := tx.Begin(ctx)
			return err
		}, fault.Internal, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := pg.TxPipe(t.Context(), pool, tt.do); !errors.Is(err, tt.fails) {
				t.Errorf("got %v, want %v", err, tt.fails)
			}
			if got := inside(); got != tt.leaves {
				t.Errorf("it left %q, want %q", got, tt.leaves)
			}
			if n := pool.Stat().AcquiredConns(); n != 0 {
				t.Errorf("%d connections were not given back", n)
			}
		})
	}
}
