package pgtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pooler runs a PgBouncer that gives each transaction another of so many sessions, until the test ends, and returns the
// URL of the database behind it.
func Pooler(t testing.TB, database string, sessions int) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		if program = "/usr/sbin/pgbouncer"; exec.Command(program, "--version").Run() != nil {
			t.Fatal("there is no pgbouncer: run tools/need pgbouncer")
		}
	}
	behind, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends at once
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	config := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 300
`, behind.Host, behind.Port, behind.User, port, sessions)
	file := filepath.Join(openDir(t), "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil { //nolint:gosec // PgBouncer is another user
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(program, file)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Credential: ownerOf(t, behind.Host)}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("pgbouncer:\n%s", &out)
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second) //nolint:noctx // bounded
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", behind.User, address, behind.Database)
}

// openDir is a directory that another user may read.
func openDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // see above
			t.Fatal(err)
		}
	}
	return dir
}

// ownerOf is who PostgreSQL runs as, to whom its socket is open and whom PgBouncer, which refuses to
// be root, runs as too; nil when that is who we are.
func ownerOf(t testing.TB, socket string) *syscall.Credential {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(socket, ".s.PGSQL.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no socket in %s: %v", socket, err)
	}
	info, err := os.Lstat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return credential(info)
}

func credential(info fs.FileInfo) *syscall.Credential {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
}
