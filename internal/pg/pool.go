package pg

import (
	"context"
	"fmt"
	"maps"
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

// usual is how many connections a pool opens at most when nobody says otherwise.
const usual = 16

// Connections returns how many connections a pool on the URL opens at most: its pool_max_conns, or 16. A URL that cannot
// be read has 16; Open says what is wrong with it.
func Connections(url string) int {
	c, err := pgxpool.ParseConfig(url)
	if err != nil || !strings.Contains(url, "pool_max_conns") {
		return usual
	}
	return int(c.MaxConns)
}

// MaxConns limits the pool's connections; the default is Connections of the URL.
func MaxConns(n int32) Option {
	return func(c *pgxpool.Config) { c.MaxConns = n }
}

// Application names the pool's connections in the database's list of them; the default is treeline, a server's.
func Application(name string) Option {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = name }
}

// KeepPlans has each connection prepare and plan a statement once, and run the kept plan from then
// on: for pools whose statements all find their rows by keys. Planning is otherwise most of the
// work of a short statement. The plans do not depend on arguments or on the sizes of tables: they
// follow the indexes, so that a plan made while a table was empty is still right when it is full.
//
// Kept statements are state of a session, which a pooler that gives each transaction another
// session cannot keep. So Open looks whether it talks to PostgreSQL itself; with a pooler between
// them, or with a URL that asks for another default_query_exec_mode, statements are planned anew each time.
func KeepPlans() Option {
	return func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams[keepPlans] = "" }
}

// keepPlans marks a configuration that Open has to work on; it is never sent.
const keepPlans = "treeline.keep_plans"

// byKeys has the settings of connections that keep plans. Plans for any arguments, with indexes, in
// nested loops: what finds a handful of rows by their keys, and 10,000 as well. Just-in-time
// compilation costs more than it could bring.
var byKeys = map[string]string{
	"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off",
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
	config.MaxConns = int32(Connections(url))
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "treeline"
	}
	for _, opt := range opts {
		opt(config)
	}
	if _, ok := config.ConnConfig.RuntimeParams[keepPlans]; ok {
		delete(config.ConnConfig.RuntimeParams, keepPlans)
		if err := toKeepPlans(ctx, url, config); err != nil {
			return nil, fmt.Errorf("pg: open: %w", Classify(err))
		}
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

// toKeepPlans configures the pool to keep plans, when nothing stands between it and PostgreSQL.
func toKeepPlans(ctx context.Context, url string, config *pgxpool.Config) error {
	if strings.Contains(url, "default_query_exec_mode") && config.ConnConfig.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	direct, err := direct(ctx, conn)
	if err != nil || !direct {
		return err
	}
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	maps.Copy(config.ConnConfig.RuntimeParams, byKeys)
	return nil
}

// direct reports whether the connection ends at the PostgreSQL process itself: a pooler greets with a
// process id of its own making.
func direct(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid)
	return pid == conn.PgConn().PID(), err
}
