package pg_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

func startCluster(t *testing.T, dir string) *pg.Cluster {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	// What is tested here does not need the disk to be flushed; tests share it with others.
	c, err := pg.StartCluster(t.Context(), dir, log, pg.Setting("fsync", "off"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pg.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// eventually runs try until it succeeds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func TestCluster(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a directory with a long name, to need a socket elsewhere", strings.Repeat("x", 60))
	c := startCluster(t, dir)
	pool := openPool(t, c.URL(pg.DatabaseName))
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	count := func(p *pgxpool.Pool) (n int, err error) {
		return n, p.QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&n)
	}
	exec("CREATE TABLE kept (n int)")
	exec("INSERT INTO kept VALUES (1)")

	t.Run("it listens on no port", func(t *testing.T) {
		var addresses string
		if err := pool.QueryRow(t.Context(), "SHOW listen_addresses").Scan(&addresses); err != nil || addresses != "" {
			t.Errorf("listen_addresses = %q, %v", addresses, err)
		}
	})
	t.Run("a second holder is refused", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := pg.StartCluster(ctx, dir, slog.New(slog.DiscardHandler))
		if !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v, want fault.Unavailable", err)
		}
	})
	t.Run("it runs again after kill -9, and the pool reconnects", func(t *testing.T) {
		old := c.PID()
		// A busy backend does not notice the end of its postmaster and would block the next.
		go func() { _, _ = pool.Exec(t.Context(), "SELECT sum(1) FROM generate_series(1, 2000000000)") }()
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "count after kill -9", func() error {
			n, err := count(pool)
			if err == nil && n != 1 {
				t.Fatalf("%d rows, want 1", n)
			}
			if err == nil && c.PID() == old {
				return errors.New("still the old one")
			}
			return err
		})
	})
	t.Run("one that was left running is taken over", func(t *testing.T) {
		old := c.PID()
		c.Release()
		if err := syscall.Kill(old, 0); err != nil {
			t.Fatalf("Release ended the server: %v", err)
		}
		c = startCluster(t, dir)
		if c.PID() != old {
			t.Errorf("process %d, want the old one, %d", c.PID(), old)
		}
		if n, err := count(pool); n != 1 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "count after kill -9 of the one taken over", func() error {
			_, err := count(pool)
			return err
		})
	})
	t.Run("stop and start keep the data", func(t *testing.T) {
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		c = startCluster(t, dir)
		if n, err := count(openPool(t, c.URL(pg.DatabaseName))); n != 1 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// TestStaleLocks has another process of the same user carry the id that a killed
// server's locks name.
func TestStaleLocks(t *testing.T) {
	dir := t.TempDir()
	for _, above := range []string{dir, filepath.Dir(dir)} { // the server's user gets in, so that the socket stands there too
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	first := startCluster(t, dir)
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), "sleep", "600")
	other.Dir = "/"
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Wait() }) // it is killed when the test's context ends
	address, err := url.Parse(first.URL(pg.DatabaseName))
	if err != nil {
		t.Fatal(err)
	}
	socket := address.Query().Get("host")
	lock := fmt.Sprintf("%d\n%s\n1\n5432\n%s\n\n", other.Process.Pid, filepath.Join(dir, "data"), socket)
	for _, name := range []string{filepath.Join(dir, "data", "postmaster.pid"), filepath.Join(socket, ".s.PGSQL.5432.lock")} {
		if err := os.WriteFile(name, []byte(lock), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	openPool(t, startCluster(t, dir).URL(pg.DatabaseName))
}

func TestClusterRefusesForeignFiles(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "letters.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pg.StartCluster(t.Context(), dir, slog.New(slog.DiscardHandler))
	if !errors.Is(err, fault.Invalid) {
		t.Errorf("got %v, want fault.Invalid", err)
	}
}

func TestClusterSaysWhatToInstall(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := pg.StartCluster(t.Context(), dir, slog.New(slog.DiscardHandler))
	if !errors.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "apt-get install postgresql-999") {
		t.Errorf("got %v, want the package to install", err)
	}
}
