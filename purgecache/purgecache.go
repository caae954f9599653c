// Package purgecache keeps wishes that caches on workers be dropped (taskcluster-map 10). A wish names a
// worker pool, a cache, and a moment: caches made before it are not to be used again. Of each cache the
// latest wish counts; it is kept for a day. Workers ask for the wishes of their pool before a task uses
// caches.
//
// What workers ask is answered from memory for up to ten seconds, so a wish may be seen that much later
// through another server than the one that took it. All methods are safe for concurrent use.
package purgecache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	// Trust is how long an answer is given again without asking the database.
	Trust = 10 * time.Second
	// MaxName is the most bytes that the name of a cache may have.
	MaxName = 1024
	// maxPools bounds how many pools' wishes are remembered; beyond, all are forgotten.
	maxPools = 10_000

	pruneEvery = time.Hour
	pruneBatch = 1000
)

// Request is a wish.
type Request struct {
	WorkerPoolID string
	CacheName    string
	Before       time.Time // by the database's clock
}

// PurgeCache is the room.
type PurgeCache struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	now  func() time.Time

	mu    sync.Mutex
	pools map[string]*wishes
}

// wishes are a pool's, as of a moment. The lock is held while they are read, so that a server asks for
// each pool but once.
type wishes struct {
	mu   sync.Mutex
	read time.Time // zero: they must be read
	list []Request
}

// Option is a setting of New.
type Option func(*PurgeCache)

// WithLog sets where the background work reports its failures.
func WithLog(log *slog.Logger) Option { return func(p *PurgeCache) { p.log = log } }

// WithClock sets the clock that says how old an answer is.
func WithClock(now func() time.Time) Option { return func(p *PurgeCache) { p.now = now } }

// New makes the room.
func New(pool *pgxpool.Pool, options ...Option) *PurgeCache {
	p := &PurgeCache{pool: pool, log: slog.New(slog.DiscardHandler), now: time.Now, pools: map[string]*wishes{}}
	for _, option := range options {
		option(p)
	}
	return p
}

// Purge wishes that the caches of a name on a pool's workers, as they are now, be dropped.
func (p *PurgeCache) Purge(ctx context.Context, workerPoolID, cacheName string) error {
	if cacheName == "" || len(cacheName) > MaxName {
		return fault.New(fault.Invalid, "the name of a cache must have 1 to %d characters, not %d", MaxName, len(cacheName))
	}
	if strings.ContainsRune(cacheName, 0) || !utf8.ValidString(cacheName) {
		return fault.New(fault.Invalid, "the name of the cache has characters that no name has")
	}
	_, err := p.pool.Exec(ctx, purgeSQL.Text, workerPoolID, cacheName)
	if err != nil {
		return failed("purge", err)
	}
	w := p.of(workerPoolID)
	w.mu.Lock() // after whoever reads now, perhaps without this wish
	defer w.mu.Unlock()
	w.read = time.Time{}
	return nil
}

// Requests returns the wishes of a pool that are not older than since, by the name of the cache; all for
// the zero time.
func (p *PurgeCache) Requests(ctx context.Context, workerPoolID string, since time.Time) ([]Request, error) {
	list, err := p.wishesOf(ctx, workerPoolID)
	if err != nil {
		return nil, failed("requests of "+workerPoolID, err)
	}
	out := []Request{}
	for _, r := range list {
		if !r.Before.Before(since) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (p *PurgeCache) wishesOf(ctx context.Context, workerPoolID string) ([]Request, error) {
	w := p.of(workerPoolID)
	w.mu.Lock()
	defer w.mu.Unlock()
	if age := p.now().Sub(w.read); !w.read.IsZero() && age >= 0 && age < Trust {
		return w.list, nil
	}
	asked := p.now()
	list, err := collect(p.pool.Query(ctx, requestsSQL.Text, workerPoolID))
	if err != nil {
		return nil, err
	}
	w.list, w.read = list, asked
	return list, nil
}

func (p *PurgeCache) of(workerPoolID string) *wishes {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.pools[workerPoolID]
	if w == nil {
		if len(p.pools) >= maxPools {
			clear(p.pools)
		}
		w = &wishes{}
		p.pools[workerPoolID] = w
	}
	return w
}

// All returns up to limit wishes of all pools after the given one, by pool and cache.
func (p *PurgeCache) All(ctx context.Context, after Request, limit int) ([]Request, error) {
	list, err := collect(p.pool.Query(ctx, allSQL.Text, after.WorkerPoolID, after.CacheName, limit))
	if err != nil {
		return nil, failed("list", err)
	}
	return list, nil
}

func collect(rows pgx.Rows, err error) ([]Request, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Request, error) {
		var r Request
		err := row.Scan(&r.WorkerPoolID, &r.CacheName, &r.Before)
		r.Before = r.Before.UTC()
		return r, err
	})
}

// Prune removes wishes that have expired, in small steps, and returns how many they were.
func (p *PurgeCache) Prune(ctx context.Context) (int64, error) {
	n, err := pg.Prune(ctx, p.pool, pruneSQL, pruneBatch)
	if err != nil {
		return n, failed("prune", err)
	}
	return n, nil
}

func failed(what string, err error) error {
	return fmt.Errorf("purgecache: %s: %w", what, pg.Classify(err))
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{forgetSQL, purgeSQL, requestsSQL, allSQL, pruneSQL}
}

var (
	// The moment is rounded up to what the API can say: a cache made in the same millisecond is dropped.
	purgeSQL = pg.Statement{Name: "purgecache.purge", Text: `
		INSERT INTO cache_purges AS p (worker_pool_id, cache_name, before, expires)
		VALUES ($1, $2, date_trunc('milliseconds', clock_timestamp()) + interval '1 millisecond', clock_timestamp() + interval '1 day')
		ON CONFLICT (worker_pool_id, cache_name) DO UPDATE
		SET before = greatest(p.before, excluded.before), expires = greatest(p.expires, excluded.expires)`}

	requestsSQL = pg.Statement{Name: "purgecache.requests", Text: `
		SELECT worker_pool_id, cache_name, before FROM cache_purges
		WHERE worker_pool_id = $1 AND expires > now() ORDER BY cache_name`}

	allSQL = pg.Statement{Name: "purgecache.all", Text: `
		SELECT worker_pool_id, cache_name, before FROM cache_purges
		WHERE (worker_pool_id, cache_name) > ($1, $2) AND expires > now() ORDER BY worker_pool_id, cache_name LIMIT $3`}

	pruneSQL = pg.Statement{Name: "purgecache.prune", Text: `
		DELETE FROM cache_purges WHERE (worker_pool_id, cache_name) IN (
			SELECT worker_pool_id, cache_name FROM cache_purges WHERE expires <= now()
			ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
