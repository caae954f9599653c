package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
)

// DatabaseName is the database that StartCluster makes for Treeline itself.
const DatabaseName = "treeline"

// Cluster is a private PostgreSQL server: reachable through a Unix socket in a private directory
// only, run as an unprivileged user when Treeline is root, and kept running by a supervisor until
// Stop. It outlives a killed Treeline; the next StartCluster of the same directory takes it over.
type Cluster struct {
	dir      string // holds data/, the lock and the server's log
	socket   string
	owner    *owner
	bin      binaries
	settings []string
	log      *slog.Logger
	lock     *os.File

	pid      atomic.Int64
	once     sync.Once
	stopping chan struct{}
	leave    atomic.Bool // stop supervising, let the server run on
	done     chan struct{}
}

// ClusterOption changes how StartCluster runs the server.
type ClusterOption func(*Cluster)

// Setting gives the server a setting, as in postgresql.conf. It has no effect on a server that is
// taken over.
func Setting(name, value string) ClusterOption {
	return func(c *Cluster) { c.settings = append(c.settings, "-c", name+"="+value) }
}

// StartCluster runs a PostgreSQL server whose files are in dir, making them when dir is empty, and
// returns when it answers. A server that still runs for dir (its Treeline was killed) is taken
// over; one that died is recovered. One process at a time may hold a cluster; a second gets
// fault.Unavailable after some seconds. ctx limits the start only.
func StartCluster(ctx context.Context, dir string, log *slog.Logger, opts ...ClusterOption) (*Cluster, error) {
	if runtime.GOOS == "windows" {
		return nil, fault.New(fault.Unavailable, "a private PostgreSQL cannot be run on Windows: run one yourself, and \"treeline serve\" with its DATABASE_URL")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("pg: cluster: %w", err)
	}
	c := &Cluster{dir: dir, log: log, stopping: make(chan struct{}), done: make(chan struct{})}
	for _, opt := range opts {
		opt(c)
	}
	if err := c.prepare(ctx); err != nil {
		c.unlock()
		return nil, fmt.Errorf("pg: cluster in %s: %w", dir, err)
	}
	m, err := c.run(ctx)
	if err != nil {
		c.unlock()
		return nil, fmt.Errorf("pg: cluster in %s: %w", dir, err)
	}
	go c.supervise(context.WithoutCancel(ctx), m)
	if err := c.CreateDatabase(ctx, DatabaseName); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// prepare makes sure of everything a server needs before it can run: the lock, its user, its
// binaries, its files and a socket directory.
func (c *Cluster) prepare(ctx context.Context) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.acquire(ctx); err != nil {
		return err
	}
	var err error
	if c.owner, err = findOwner(c.data()); err != nil {
		return err
	}
	want, err := dataVersion(c.data())
	if err != nil {
		return err
	}
	if c.bin, err = findBinaries(ctx, want); err != nil {
		return err
	}
	if c.socket, err = c.socketDir(); err != nil {
		return err
	}
	if want == 0 {
		return c.initialize(ctx)
	}
	return nil
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// URL returns the connection URL of a database of this cluster. It holds no secret: the private
// directory of the socket is the protection.
func (c *Cluster) URL(dbname string) string {
	// No pooler stands before a private cluster, so statements may stay prepared: that halves a call.
	q := url.Values{"host": {c.socket}, "user": {superuser}, "sslmode": {"disable"}, "default_query_exec_mode": {"cache_statement"}}
	// As libpq has it a plus is a plus; a space in the path of the socket is %20.
	return "postgres:///" + url.PathEscape(dbname) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// PID returns the process id of the server that runs now; it changes when the supervisor had to
// start it again.
func (c *Cluster) PID() int { return int(c.pid.Load()) }

// CreateDatabase makes a database unless it exists.
func (c *Cluster) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return fmt.Errorf("pg: create database %s: %w", name, Classify(err))
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is pending on it
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("pg: create database %s: %w", name, Classify(err))
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("pg: create database %s: %w", name, Classify(err))
	}
	return nil
}

// Stop ends the server: open transactions are rolled back, everything committed is on disk. When
// ctx ends first the server is told to quit at once, which the next start recovers from.
func (c *Cluster) Stop(ctx context.Context) error {
	c.once.Do(func() { close(c.stopping) })
	defer c.unlock()
	defer c.tidy()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
	}
	if pid := c.PID(); pid > 0 {
		_ = sys.Kill(pid, syscall.SIGQUIT) // it may be gone by now, which is what we want
	}
	select {
	case <-c.done:
		return nil
	case <-time.After(5 * time.Second):
		return fmt.Errorf("pg: cluster in %s did not stop: %w", c.dir, ctx.Err())
	}
}

// tidy removes the socket's directory where it is not among the cluster's own files.
func (c *Cluster) tidy() {
	if filepath.Dir(c.socket) != c.dir {
		_ = os.Remove(c.socket) // it stays when it is not empty: then something still uses it
	}
}

// Release gives up the cluster without stopping its server; the next StartCluster takes it over.
func (c *Cluster) Release() {
	c.leave.Store(true)
	c.once.Do(func() { close(c.stopping) })
	<-c.done
	c.unlock()
}

// acquire takes the directory's lock, which ends with this process however it ends.
func (c *Cluster) acquire(ctx context.Context) error {
	f, err := os.OpenFile(filepath.Join(c.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := sys.Lock(f, sys.Now)
		if err == nil {
			break
		}
		if !errors.Is(err, sys.ErrLocked) || time.Now().After(deadline) || ctx.Err() != nil {
			holder, _ := os.ReadFile(f.Name()) // only for the message
			_ = f.Close()
			return fault.Wrap(fault.Unavailable, err, "another Treeline (process %s) uses this data directory; stop it or choose another",
				strings.TrimSpace(string(holder)))
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.lock = f
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	return err
}

func (c *Cluster) unlock() {
	if c.lock != nil {
		_ = c.lock.Close() // closing releases the lock; a second close is harmless
	}
}
