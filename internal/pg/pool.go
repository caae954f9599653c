package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Statement is a named piece of SQL; the name shows in errors, metrics and tests. It stands at the
// foot of its verb's file and is never changed.
type Statement struct {
	Name string // room.verb or room.verb-what
	Text string
}

// Option changes the pool's configuration in Open.
type Option func(*pgxpool.Config)

// MaxConns limits the pool's connections; the default is 16, or what the URL's pool_max_conns says.
func MaxConns(n int32) Option {
	return func(c *pgxpool.Config) { c.MaxConns = n }
}

// Open connects to the database of a URL (postgres://…) and makes sure that it answers. The pool
// reconnects by itself when PostgreSQL was away. Errors never hold the URL's password.
func Open(ctx context.Context, url string, opts ...Option) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the database URL cannot be read; it looks like postgres://user:password@host:5432/name")
	}
	if !strings.Contains(url, "default_query_exec_mode") {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = 16
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "treeline"
	}
	for _, opt := range opts {
		opt(config)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("pg: open: %w", Classify(err))
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("pg: open: %w", Classify(err))
	}
	return pool, nil
}
