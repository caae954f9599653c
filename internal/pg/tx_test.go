package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/pgtest"
)

func TestTx(t *testing.T) {
	pool := pgtest.Empty(t)
	execSQL(t, pool, "CREATE TABLE things (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)")
	execSQL(t, pool, "INSERT INTO things VALUES (1), (2)")
	count := func() string { return queryRows(t, pool, "SELECT count(*)::text FROM things")[0] }

	t.Run("an error rolls back", func(t *testing.T) {
		err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO things VALUES (3)"); err != nil {
				return err
			}
			return io.EOF
		})
		if !errors.Is(err, io.EOF) || count() != "2" {
			t.Error(err, count())
		}
	})
	t.Run("a panic rolls back and goes on", func(t *testing.T) {
		defer func() {
			if p := recover(); p != "out" || count() != "2" {
				t.Error(p, count())
			}
		}()
		err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO things VALUES (3)"); err != nil {
				return err
			}
			panic("out")
		})
		t.Error("came back", err)
	})
	t.Run("the end of the context rolls back", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := pg.Tx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO things VALUES (3)"); err != nil {
				return err
			}
			cancel()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || count() != "2" {
			t.Error(err, count())
		}
	})
	t.Run("a transaction inside one is a savepoint", func(t *testing.T) {
		err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
			err := pg.Tx(ctx, tx, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "INSERT INTO things VALUES (1)")
				return err
			})
			if !errors.Is(err, fault.Conflict) {
				t.Errorf("got %v, want fault.Conflict", err)
			}
			_, err = tx.Exec(ctx, "UPDATE things SET n = 0")
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("the victim of a deadlock is tried again", func(t *testing.T) {
		var both sync.WaitGroup
		both.Add(2)
		var done sync.WaitGroup
		for _, order := range [][2]int{{1, 2}, {2, 1}} {
			done.Go(func() {
				first := true
				err := pg.Tx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
					for i, id := range order {
						if _, err := tx.Exec(ctx, "UPDATE things SET n = n + 1 WHERE id = $1", id); err != nil {
							return err
						}
						if i == 0 && first {
							first = false
							both.Done()
							both.Wait()
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		if got := queryRows(t, pool, "SELECT n::text FROM things ORDER BY id"); got[0] != "2" || got[1] != "2" {
			t.Error(got)
		}
	})
	t.Run("it gives up after five", func(t *testing.T) {
		n := 0
		err := pg.Tx(t.Context(), pool, func(context.Context, pgx.Tx) error {
			n++
			return &pgconn.PgError{Code: "40001"}
		})
		if n != 5 || !errors.Is(err, fault.Unavailable) {
			t.Error(n, err)
		}
	})
}

func TestClassify(t *testing.T) {
	plain := &pgconn.PgError{Code: "42P01"}
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"nothing", nil, nil},
		{"no rows", pgx.ErrNoRows, fault.NotFound},
		{"a double key", &pgconn.PgError{Code: "23505"}, fault.Conflict},
		{"too deep", &pgconn.PgError{Code: "54001"}, fault.Invalid},
		{"a zero byte", &pgconn.PgError{Code: "22021"}, fault.Invalid},
		{"a shutdown", &pgconn.PgError{Code: "57P01"}, fault.Unavailable},
		{"too many connections", &pgconn.PgError{Code: "53300"}, fault.Unavailable},
		{"a full disk", &pgconn.PgError{Code: "53100"}, fault.Unavailable},
		{"a standby", &pgconn.PgError{Code: "25006"}, fault.Unavailable},
		{"a connection that broke", fmt.Errorf("commit: %w", io.ErrUnexpectedEOF), fault.Unavailable},
		{"one that was reset", &net.OpError{Op: "read", Err: syscall.ECONNRESET}, fault.Unavailable},
		{"a defect", plain, plain},
		{"a meaning", fault.New(fault.Gone, "x"), fault.Gone},
		{"a cancelled context", context.Canceled, context.Canceled},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := pg.Classify(tt.err); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	for name, url := range map[string]string{
		"a URL that is none": "postgres://me:hunter2@[::1:x/y",
		"nobody there":       "postgres://me:hunter2@127.0.0.1:1/y?connect_timeout=1",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pg.Open(t.Context(), url)
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v", err)
			}
		})
	}
}
