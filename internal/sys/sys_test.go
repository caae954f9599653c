package sys_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/treeline-ci/treeline/internal/sys"
)

func open(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() }) // the test may have closed it
	return f
}

func TestALockEndsWithItsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, second := open(t, name), open(t, name)
	if err := sys.Lock(first, sys.Now); err != nil {
		t.Fatal(err)
	}
	if err := sys.Lock(second, sys.Now); !errors.Is(err, sys.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := sys.Lock(second, sys.Now); err != nil {
		t.Errorf("after the first was closed: %v", err)
	}
}

func TestSharedLocksAreHeldTogether(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	first, second, third := open(t, name), open(t, name), open(t, name)
	if err := errors.Join(sys.Lock(first, sys.Shared), sys.Lock(second, sys.Shared)); err != nil {
		t.Fatal(err)
	}
	if err := sys.Lock(third, sys.Now); !errors.Is(err, sys.ErrLocked) {
		t.Errorf("alone beside two that share: %v", err)
	}
}

func TestWhatIsKnownOfTheMachine(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	if err := os.WriteFile(name, make([]byte, 10_000), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, name)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := sys.SyncData(f); err != nil {
		t.Error(err)
	}
	if uid, _, ok := sys.Owner(info); ok && int(uid) != os.Geteuid() {
		t.Errorf("owner %d", uid)
	}
	if n := sys.Taken(info); n < 0 {
		t.Errorf("%d bytes taken", n)
	}
	if free, err := sys.Free(dir); err != nil || free <= 0 {
		t.Errorf("free: %d, %v", free, err)
	}
	if _, err := sys.Free(filepath.Join(dir, "none")); err == nil {
		t.Error("free room of a directory that is not there")
	}
	if err := sys.Kill(os.Getpid(), syscall.Signal(0)); err != nil {
		t.Errorf("this process is not there: %v", err)
	}
}
