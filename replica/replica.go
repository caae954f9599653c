// Package replica knows the servers that share the database: each writes down now and then that it runs, and which
// program it is. So everybody sees when a rolling upgrade is over (docs/operations/upgrade.md).
package replica

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	// Every is how often a server says that it runs.
	Every = 10 * time.Second
	// Quiet is for how long a server may say nothing before it counts as gone.
	Quiet = 45 * time.Second

	farewell = 2 * time.Second // that a server that stops gives the database to forget it
)

// Replica is a server.
type Replica struct {
	Host    string    `json:"host"` // its machine, as that calls itself
	Version string    `json:"version"`
	Commit  string    `json:"commit"`
	Schema  int       `json:"schema"` // the newest version of the schema that its program knows
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
}

// Program is what a server is, for those who compare.
func (r Replica) Program() string {
	return strings.TrimSpace(r.Version + " " + r.Commit[:min(len(r.Commit), 12)])
}

// Here makes the entry of this process; schema is the newest version that its program knows.
func Here(version, commit string, schema int) Replica {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return Replica{Host: host, Version: version, Commit: commit, Schema: schema}
}

// Book is where a server enters itself. It is safe for concurrent use.
type Book struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	me     Replica
	id     string
	every  time.Duration
	cancel context.CancelFunc
	loop   sync.WaitGroup
}

// New makes the book of the server that me describes.
func New(pool *pgxpool.Pool, log *slog.Logger, me Replica) *Book {
	return &Book{pool: pool, log: log, me: me, id: rand.Text(), every: Every}
}

// Start enters the server, and has it say that it runs until Stop.
func (b *Book) Start(ctx context.Context) {
	ctx, b.cancel = context.WithCancel(ctx)
	b.try(ctx)
	b.loop.Go(func() {
		ticker := time.NewTicker(b.every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				b.try(ctx)
			}
		}
	})
}

func (b *Book) try(ctx context.Context) {
	if err := b.Beat(ctx); err != nil && ctx.Err() == nil {
		b.log.WarnContext(ctx, "that this server runs cannot be written down; tried again soon", "err", err)
	}
}

// Beat writes down that the server runs.
func (b *Book) Beat(ctx context.Context) error {
	_, err := b.pool.Exec(ctx, beatSQL.Text, b.id, b.me.Host, b.me.Version, b.me.Commit, b.me.Schema)
	return failed(beatSQL, err)
}

// Stop takes the server out of the book.
func (b *Book) Stop(ctx context.Context) {
	if b.cancel != nil {
		b.cancel()
	}
	b.loop.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if _, err := b.pool.Exec(ctx, leaveSQL.Text, b.id); err != nil {
		b.log.InfoContext(ctx, "this server counts as running for a while still", "err", failed(leaveSQL, err))
	}
}

// List returns the servers that run, the oldest first. On a schema from before there is nothing of them.
func List(ctx context.Context, pool *pgxpool.Pool) ([]Replica, error) {
	var there bool
	if err := pool.QueryRow(ctx, thereSQL.Text).Scan(&there); err != nil || !there {
		return nil, failed(thereSQL, err)
	}
	rows, err := pool.Query(ctx, listSQL.Text, Quiet.Seconds())
	if err != nil {
		return nil, failed(listSQL, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Replica])
	return list, failed(listSQL, err)
}

// Mixed says how many servers run of which program, if they are not all the same; "" if they are.
func Mixed(list []Replica) string {
	count := map[string]int{}
	var order []string
	for _, r := range list {
		what := fmt.Sprintf("%s (schema %d)", r.Program(), r.Schema)
		if count[what]++; count[what] == 1 {
			order = append(order, what)
		}
	}
	if len(order) < 2 {
		return ""
	}
	slices.Sort(order)
	for i, what := range order {
		order[i] = fmt.Sprintf("%d of %s", count[what], what)
	}
	return strings.Join(order, ", ")
}

func failed(s pg.Statement, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", s.Name, pg.Classify(err))
}

// Statements lists the SQL of the package, for the test that prepares each.
var Statements = []pg.Statement{beatSQL, leaveSQL, listSQL, thereSQL}

var (
	beatSQL = pg.Statement{Name: "replica.beat", Text: `
WITH gone AS (DELETE FROM replicas WHERE seen < now() - interval '1 day' AND id <> $1)
INSERT INTO replicas (id, host, version, commit, schema) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET seen = now()`}

	leaveSQL = pg.Statement{Name: "replica.leave", Text: `DELETE FROM replicas WHERE id = $1`}

	thereSQL = pg.Statement{Name: "replica.there", Text: `SELECT to_regclass('replicas') IS NOT NULL`}

	listSQL = pg.Statement{Name: "replica.list", Text: `
SELECT host, version, commit, schema, started, seen FROM replicas WHERE seen > now() - make_interval(secs => $1) ORDER BY started, id`}
)
