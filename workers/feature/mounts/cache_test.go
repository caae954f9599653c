package mounts

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/workers/payload"
	"github.com/treeline-ci/treeline/workers/scratch"
)

func openCaches(t *testing.T, dir string) *Caches {
	t.Helper()
	c, err := OpenCaches(dir, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// take acquires a cache, and says whether it is new and how many were dropped.
func take(t *testing.T, c *Caches, name string, w wish) (h *held, fresh bool, dropped int) {
	t.Helper()
	h, dropped, err := c.acquire(name, "s", "d", w)
	if err != nil {
		t.Fatal(err)
	}
	return h, h.fresh, dropped
}

func back(t *testing.T, c *Caches, h *held, purge bool) {
	t.Helper()
	if err := c.giveBack(h, purge); err != nil {
		t.Fatal(err)
	}
}

func TestAWishDropsWhatWasMadeBeforeIt(t *testing.T) {
	dir := t.TempDir()
	c := openCaches(t, dir)
	// The moments are the server's; that they are far from this machine's clock must not matter.
	wished := func(minute int) wish { return wish{before: time.Date(2001, 1, 1, 0, minute, 0, 0, time.UTC)} }
	a, _, _ := take(t, c, "n", wish{})
	b, _, _ := take(t, c, "n", wish{})
	back(t, c, a, false)
	if h, fresh, dropped := take(t, c, "n", wished(1)); !fresh || dropped != 1 {
		t.Errorf("new %v, %d dropped: the free one goes, the one in use stays", fresh, dropped)
	} else {
		back(t, c, h, false)
	}
	back(t, c, b, false)
	h, fresh, dropped := take(t, c, "n", wished(1))
	if fresh || dropped != 1 {
		t.Errorf("new %v, %d dropped: the one that was in use goes now, the one made under the wish is used", fresh, dropped)
	}
	back(t, c, h, false)
	c = openCaches(t, dir) // the worker begins anew
	h, fresh, _ = take(t, c, "n", wished(1))
	if fresh {
		t.Error("dropped twice for one wish")
	}
	if err := os.WriteFile(filepath.Join(h.path, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	back(t, c, h, false)
	if _, fresh, dropped = take(t, c, "n", wished(2)); !fresh || dropped != 1 {
		t.Errorf("new %v, %d dropped for a later wish", fresh, dropped)
	}
	if _, fresh, _ := take(t, c, "other", wish{}); !fresh {
		t.Error("another name")
	}
}

func TestWhereTheWishesAreNotKnownNothingOldIsUsedNorLost(t *testing.T) {
	c := openCaches(t, t.TempDir())
	h, _, _ := take(t, c, "n", wish{})
	back(t, c, h, false)
	other, fresh, dropped := take(t, c, "n", wish{unknown: true})
	if !fresh || dropped != 0 || other.path == h.path {
		t.Errorf("new %v, %d dropped", fresh, dropped)
	}
	if again, fresh, _ := take(t, c, "n", wish{}); fresh || again.path != h.path {
		t.Error("the old one is lost")
	}
}

func TestHalfACacheIsNeverUsed(t *testing.T) {
	dir := t.TempDir()
	c := openCaches(t, dir)
	h, _, _ := take(t, c, "n", wish{})
	// As a worker that was killed while it dropped the cache leaves it.
	if err := os.Rename(h.path, h.path+goneSuffix); err != nil {
		t.Fatal(err)
	}
	c = openCaches(t, dir)
	if left, err := filepath.Glob(filepath.Join(dir, "*", "*"+goneSuffix)); err != nil || len(left) > 0 {
		t.Errorf("%v remains, %v", left, err)
	}
	h, fresh, _ := take(t, c, "n", wish{})
	if !fresh {
		t.Error("not new")
	}
	back(t, c, h, true)
	for _, path := range []string{h.path, h.path + madeSuffix, h.path + goneSuffix} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s remains of a purged cache", filepath.Base(path))
		}
	}
	// One of an earlier program has no note: any wish drops it.
	h, _, _ = take(t, c, "n", wish{})
	if err := os.Remove(h.path + madeSuffix); err != nil {
		t.Fatal(err)
	}
	back(t, c, h, false)
	if _, fresh, dropped := take(t, c, "n", wish{before: time.Unix(1, 0)}); !fresh || dropped != 1 {
		t.Errorf("new %v, %d dropped", fresh, dropped)
	}
}

// While a run uses a cache it lies in the run's directory, which the next worker wipes: what a worker that
// was killed had in use is gone with it.
func TestWhatAKilledWorkerHadInUseIsNotUsedAgain(t *testing.T) {
	dir, runs := t.TempDir(), t.TempDir()
	c := openCaches(t, filepath.Join(dir, "caches"))
	run, err := scratch.Make(runs, "run", nil)
	if err != nil {
		t.Fatal(err)
	}
	env := Env{Dir: run, Say: t.Logf, Task: task.Definition{Scopes: []string{cacheScope + "n"}}}
	if _, err := c.Mount(t.Context(), env, []payload.Mount{{CacheName: "n", Directory: "d"}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run.Work(), "d", "half"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c = openCaches(t, filepath.Join(dir, "caches")) // the worker begins anew
	if err := scratch.Wipe(filepath.Join(runs, "run")); err != nil {
		t.Fatal(err)
	}
	h, fresh, _ := take(t, c, "n", wish{})
	if left, err := os.ReadDir(h.path); !fresh || err != nil || len(left) > 0 {
		t.Errorf("new %v, %v in it, %v", fresh, left, err)
	}
}
