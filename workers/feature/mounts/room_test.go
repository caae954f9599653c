package mounts

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/workers/engine"
)

// filled takes a cache, fills it with so many kilobytes, and gives it back as used at that hour.
func filled(t *testing.T, c *Caches, name, scheduler string, kilobytes, hour int) string {
	t.Helper()
	h, _, err := c.acquire(name, scheduler, "d", wish{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.path, "data"), make([]byte, kilobytes<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	back(t, c, h, false)
	at := time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC)
	if err := os.Chtimes(h.path, at, at); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return h.path
}

func here(path string) bool { _, err := os.Stat(path); return err == nil }

func TestCachesHaveABudget(t *testing.T) {
	dir := t.TempDir()
	c, err := OpenCaches(dir, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	old := filled(t, c, "old", "s", 400, 1)
	newer := filled(t, c, "newer", "s", 400, 2)
	if !here(old) || !here(newer) {
		t.Fatal("what fits was dropped")
	}
	held, _, err := c.acquire("newer", "s", "d", wish{})
	if err != nil || held.path != newer {
		t.Fatal(held, err)
	}
	newest := filled(t, c, "newest", "s", 800, 3)
	if here(old) || !here(newer) || !here(newest) {
		t.Errorf("old %v, in use %v, newest %v: the one that was not used for longest goes", here(old), here(newer), here(newest))
	}
	back(t, c, held, false)
	if here(newest) || !here(newer) {
		t.Errorf("newest %v, used now %v", here(newest), here(newer))
	}
	t.Run("what is there already counts for a worker that begins", func(t *testing.T) {
		small, err := OpenCaches(dir, nil, 1<<10)
		if err != nil {
			t.Fatal(err)
		}
		if here(newer) {
			t.Error("it is still there")
		}
		if left, err := small.DropUnused(); err != nil || left != 0 {
			t.Errorf("%d %v", left, err)
		}
	})
}

func TestCachesAreDroppedForWantOfDisk(t *testing.T) {
	c := openCaches(t, t.TempDir())
	free := filled(t, c, "free", "s", 1, 1)
	held, _, err := c.acquire("used", "s", "d", wish{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := c.DropUnused(); n != 1 || err != nil || here(free) || !here(held.path) {
		t.Errorf("%d %v, free %v, used %v", n, err, here(free), here(held.path))
	}
}

func TestCachesOfSchedulersAreApart(t *testing.T) {
	c := openCaches(t, t.TempDir())
	one := filled(t, c, "checkouts", "mine-level-1", 1, 1)
	three, _, err := c.acquire("checkouts", "mine-level-3", "d", wish{})
	if err != nil || !three.fresh || three.path == one {
		t.Errorf("%+v %v: level 3 got what level 1 wrote", three, err)
	}
	again, _, err := c.acquire("checkouts", "mine-level-1", "d", wish{})
	if err != nil || again.fresh || again.path != one {
		t.Errorf("%+v %v", again, err)
	}
}

// Links in a cache are given away as links: what they lead to stays whose it is.
func TestCachesChangeHands(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("only root gives files away")
		return
	}
	dir := t.TempDir()
	target := filepath.Join(dir, "of-root")
	cache := filepath.Join(dir, "cache")
	if err := errors.Join(os.WriteFile(target, nil, 0o600), os.MkdirAll(filepath.Join(cache, "sub"), 0o755), os.Symlink(target, filepath.Join(cache, "sub", "link"))); err != nil {
		t.Fatal(err)
	}
	if err := own(cache, &engine.User{UID: 61_400, GID: 61_400}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{target: 0, cache: 61_400, filepath.Join(cache, "sub"): 61_400, filepath.Join(cache, "sub", "link"): 61_400} {
		if got := owner(t, name); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
}

func owner(t *testing.T, name string) uint32 {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("%T", info.Sys())
	}
	return s.Uid
}
