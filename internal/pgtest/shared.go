package pgtest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// shared is this process's hold on the server that all test processes share.
type shared struct {
	url      func(dbname string) string
	admin    *pgxpool.Pool
	template string   // name of the database with the newest schema
	users    *os.File // locked as long as the process lives: somebody uses the server
}

// theServer starts or joins the server once per process.
var theServer = sync.OnceValues(start)

// start joins the shared server, starting it when nobody has yet. Setting up is done by one process
// at a time.
func start() (*shared, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // the process's own, not one test's
	defer cancel()
	root := home()
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	s := &shared{}
	var err error
	if s.users, err = lock(filepath.Join(root, "users"), syscall.LOCK_SH); err != nil {
		return nil, err
	}
	setup, err := lock(filepath.Join(root, "setup"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer func() { _ = setup.Close() }() // gives the lock back

	// Nothing here has to survive a power cut, and flushing would cost more than most tests.
	c, err := pg.StartCluster(ctx, filepath.Join(root, "cluster"), slog.New(slog.DiscardHandler),
		pg.Setting("fsync", "off"), pg.Setting("full_page_writes", "off"), pg.Setting("autovacuum_naptime", "10s"),
		pg.Setting("max_wal_size", "1GB"))
	if err != nil {
		return nil, err
	}
	s.url = c.URL
	c.Release()
	if err := watchdog(root, 15, 40); err != nil {
		return nil, err
	}
	if s.admin, err = pg.Open(ctx, c.URL("postgres"), pg.MaxConns(4)); err != nil {
		return nil, err
	}
	if err := s.sweep(ctx); err != nil {
		return nil, err
	}
	return s, s.makeTemplate(ctx)
}

func lock(name string, how int) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if err != syscall.EINTR {
			_ = f.Close() // the lock's error says more
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
	}
}

// makeTemplate makes the database with the newest schema unless it is there. It gets its name only
// when it is whole, so a killed process leaves nothing that could be taken for it.
func (s *shared) makeTemplate(ctx context.Context) error {
	sum, err := pg.Checksum()
	if err != nil {
		return err
	}
	s.template = "template_" + sum
	var exists bool
	if err := s.admin.QueryRow(ctx, existsSQL, s.template).Scan(&exists); err != nil || exists {
		return err
	}
	for _, sql := range []string{"DROP DATABASE IF EXISTS building WITH (FORCE)", "CREATE DATABASE building"} {
		if _, err := s.admin.Exec(ctx, sql); err != nil {
			return err
		}
	}
	pool, err := pg.Open(ctx, s.url("building"), pg.MaxConns(2))
	if err != nil {
		return err
	}
	err = pg.Upgrade(ctx, pool, 0)
	pool.Close()
	if err != nil {
		return err
	}
	_, err = s.admin.Exec(ctx, "ALTER DATABASE building RENAME TO "+pgx.Identifier{s.template}.Sanitize())
	return err
}

// sweep drops databases of test processes that were killed more than an hour ago.
func (s *shared) sweep(ctx context.Context) error {
	rows, err := s.admin.Query(ctx, leftSQL)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := s.admin.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// watchdog starts the process that stops the server of root when nobody used it for so many rounds of
// so many seconds; it does nothing when one watches already. It is a shell script because it has to
// outlive this process.
func watchdog(root string, seconds, rounds int) error {
	for _, program := range []string{"sh", "flock"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w; on Debian or Ubuntu: apt-get install util-linux", err)
		}
	}
	cmd := exec.Command("sh", "-c", watchdogScript, "treeline-pgtest-watchdog", root, strconv.Itoa(seconds), strconv.Itoa(rounds))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // ends at once when another watches
	return nil
}

// The lock on users is held, shared, by each test process; getting it exclusively means that there
// is none, and that none can come before the server is gone.
const watchdogScript = `
root=$1; pidfile=$root/cluster/data/postmaster.pid
exec 8>"$root/watchdog" 9>"$root/users"
flock -n 8 || exit 0
idle=0
while sleep "$2"; do
	[ -e "$root/users" ] || exit 0
	if ! flock -n 9; then idle=0; continue; fi
	idle=$((idle + 1))
	if [ "$idle" -ge "$3" ]; then
		[ -e "$pidfile" ] && kill -INT "$(head -n 1 "$pidfile")"
		for i in $(seq 100); do [ -e "$pidfile" ] || break; sleep 0.1; done
		[ -e "$pidfile" ] || rm -rf "$root/cluster"
		exit 0
	fi
	flock -u 9
done
`

const (
	existsSQL = `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`
	leftSQL   = `
SELECT datname FROM pg_database d
WHERE datname ~ '^t_[0-9]+_' AND to_timestamp(split_part(datname, '_', 2)::bigint) < now() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)`
)
