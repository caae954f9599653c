// Package pgtest gives each test a PostgreSQL database of its own in about 40 milliseconds.
//
// All test processes of a user share one private server under the system's temporary directory. A
// database with the whole schema is made once per state of the schema and copied for each test.
// The server is left running for the next test run; a watchdog stops it, and removes its files,
// after ten minutes in which no test process used it.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// DB returns a pool on a new database with the newest schema; both go away with the test. It fails
// the test when PostgreSQL is not installed.
func DB(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, URL(t))
}

// URL is like DB for code that connects by itself. Connections left open are cut at the end.
func URL(t testing.TB) string {
	t.Helper()
	s := server(t)
	return clone(t, s, s.template)
}

// Empty returns a pool on a new database without any schema.
func Empty(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return open(t, clone(t, server(t), "template0"))
}

// PrepareAll has PostgreSQL parse each statement against the pool's schema, and fails the test for
// those that do not fit it, and for names that are missing or double.
func PrepareAll(t testing.TB, pool *pgxpool.Pool, statements ...pg.Statement) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	defer conn.Release()
	seen := map[string]bool{}
	for _, s := range statements {
		if s.Name == "" || seen[s.Name] {
			t.Errorf("the statement name %q is missing or double", s.Name)
		}
		seen[s.Name] = true
		if _, err := conn.Conn().Prepare(ctx, "pgtest", s.Text); err != nil {
			t.Errorf("statement %s: %v", s.Name, err)
			continue
		}
		if err := conn.Conn().Deallocate(ctx, "pgtest"); err != nil {
			t.Fatalf("pgtest: %v", err)
		}
	}
}

func server(t testing.TB) *shared {
	t.Helper()
	s, err := theServer()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return s
}

// counter makes database names unique within the process.
var counter atomic.Int64

// clone copies a template database and returns the URL of the copy.
func clone(t testing.TB, s *shared, template string) string {
	t.Helper()
	name := fmt.Sprintf("t_%d_%d_%d", time.Now().Unix(), os.Getpid(), counter.Add(1))
	quoted := pgx.Identifier{name}.Sanitize()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Copying files takes two thirds of the time of logging pages, for the server does not flush.
	create := "CREATE DATABASE " + quoted + " TEMPLATE " + pgx.Identifier{template}.Sanitize() + " STRATEGY file_copy"
	if _, err := s.admin.Exec(ctx, create); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if _, err := s.admin.Exec(ctx, "DROP DATABASE "+quoted+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return s.url(name)
}

func open(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), url, pg.MaxConns(10))
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() {
			pool.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(20 * time.Second):
			t.Errorf("pgtest: the test did not give back %d connections (rows not closed, a transaction left open?)",
				pool.Stat().AcquiredConns())
		}
	})
	return pool
}
