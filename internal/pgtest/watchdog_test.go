package pgtest

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/internal/pg"
)

func TestWatchdogStopsTheIdleServer(t *testing.T) {
	// Not t.TempDir: the server's user may enter this one, so its socket lies within.
	root, err := os.MkdirTemp("", "watchdog") //nolint:usetesting // the watchdog removes it itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) }) // what is left is under the temporary directory
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	user, err := lock(filepath.Join(root, "users"), syscall.LOCK_SH)
	if err != nil {
		t.Fatal(err)
	}
	c, err := pg.StartCluster(t.Context(), filepath.Join(root, "cluster"), slog.New(slog.DiscardHandler), pg.Setting("fsync", "off"))
	if err != nil {
		t.Fatal(err)
	}
	pid := c.PID()
	c.Release()
	for range 2 { // the second finds the first watching
		if err := watchdog(root, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	alive := func() bool { return syscall.Kill(pid, 0) == nil }
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for used := time.After(2500 * time.Millisecond); used != nil; {
		select {
		case <-tick.C:
			if !alive() {
				t.Fatal("the server was stopped while somebody used it")
			}
		case <-used:
			used = nil
		}
	}
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(30 * time.Second); ; {
		_, err := os.Stat(filepath.Join(root, "cluster"))
		if !alive() && errors.Is(err, fs.ErrNotExist) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("alive: %v, files: %v", alive(), err)
		}
	}
}
