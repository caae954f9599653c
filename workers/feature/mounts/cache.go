package mounts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/workers/engine/process"
)

// Caches keeps directories between the runs of one worker. A cache is used by one run at a time;
// runs that want the same one together get copies of their own, which all are kept. Tasks of different schedulers
// have different caches, whatever their names: a scheduler's id, which takes a scope to use, says how far its tasks
// are trusted. The layout is <dir>/<hash of name and scheduler>/<number>, with <number>.made beside it: the latest wish to drop caches of
// that name that was known when this one was made.
type Caches struct {
	dir    string
	user   *process.User
	budget int64

	mu    sync.Mutex
	used  map[string]bool  // paths in use
	sizes map[string]int64 // of those that are not, as far as they were asked for
}

// held is a cache that a run has.
type held struct {
	name, path string
	directory  string // where it is mounted, relative to the run's directory
	fresh      bool
	bound      bool // it stays in its place, where the sandbox sees it
	unfilled   bool // it is to begin with content that is not there, or not whole
	since      time.Time
}

func (h *held) age() string {
	if h.fresh {
		return "new"
	}
	return "last used " + h.since.UTC().Format(time.RFC3339)
}

// goneSuffix marks what is being removed. It is renamed first, so that half a cache is never used.
const (
	goneSuffix = ".gone"
	madeSuffix = ".made"
)

var number = regexp.MustCompile(`^[0-9]+$`)

// OpenCaches keeps caches below dir, which must be on the file system of the runs' directories.
// New ones belong to user, nil for the worker's own. What an earlier worker did not get to remove
// is removed. What is kept takes at most budget bytes, 0 for any number.
func OpenCaches(dir string, user *process.User, budget int64) (*Caches, error) {
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o700)); err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	gone, err := filepath.Glob(filepath.Join(dir, "*", "*"+goneSuffix))
	for _, path := range gone {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	c := &Caches{dir: dir, user: user, budget: budget, used: map[string]bool{}, sizes: map[string]int64{}}
	if err := c.trim(); err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	return c, nil
}

// acquire takes the cache that was used last and is free, or makes a new one. Free ones made before
// the wish are dropped; those in use are when they are asked for next. Where the wishes are not known,
// none is taken that was there.
func (c *Caches) acquire(name, scheduler, directory string, w wish) (h *held, dropped int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256([]byte(name + "\x00" + scheduler))
	shelf := filepath.Join(c.dir, hex.EncodeToString(sum[:12]))
	if err := os.MkdirAll(shelf, 0o711); err != nil {
		return nil, 0, err
	}
	entries, err := os.ReadDir(shelf)
	if err != nil {
		return nil, 0, err
	}
	best := &held{name: name, directory: directory}
	taken := map[string]bool{}
	for _, e := range entries {
		path := filepath.Join(shelf, e.Name())
		if !number.MatchString(e.Name()) {
			continue
		}
		taken[e.Name()] = true
		if c.used[path] || w.unknown {
			continue
		}
		if w.before.After(madeUnder(path)) {
			if err := c.drop(path); err != nil {
				return nil, dropped, err
			}
			dropped++
			delete(taken, e.Name())
			continue
		}
		info, err := e.Info()
		if err == nil && (best.path == "" || info.ModTime().After(best.since)) {
			best.path, best.since = path, info.ModTime()
		}
	}
	if best.path == "" {
		best.fresh = true
		for n := 0; ; n++ {
			path := filepath.Join(shelf, strconv.Itoa(n))
			if !c.used[path] && !taken[strconv.Itoa(n)] {
				best.path = path
				break
			}
		}
		if err := c.make(best.path, w.before); err != nil {
			return nil, dropped, err
		}
	}
	c.used[best.path] = true
	return best, dropped, nil
}

// make makes a cache. The note beside it comes first: without its cache it means nothing.
func (c *Caches) make(path string, wish time.Time) error {
	if err := os.WriteFile(path+madeSuffix, []byte(wish.UTC().Format(time.RFC3339Nano)), 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil || c.user == nil {
		return err
	}
	return os.Lchown(path, int(c.user.UID), int(c.user.GID))
}

// madeUnder returns the wish that was known when a cache was made; the zero time, which is before
// every wish, where that was not written down.
func madeUnder(path string) time.Time {
	text, err := os.ReadFile(path + madeSuffix)
	if err != nil {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(text)))
	if err != nil {
		return time.Time{}
	}
	return at
}

// drop removes a cache that nobody uses.
func (c *Caches) drop(path string) error {
	delete(c.sizes, path)
	gone := path + goneSuffix
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(path, gone); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := os.Remove(path + madeSuffix)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(gone))
}

// giveBack frees a cache that stands at its path again, or is gone.
func (c *Caches) giveBack(h *held, purge bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, h.path)
	delete(c.sizes, h.path)
	if purge {
		return c.drop(h.path)
	}
	now := time.Now()
	if err := os.Chtimes(h.path, now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return c.trim()
}
