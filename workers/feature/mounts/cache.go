package mounts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/workers/engine/process"
)

// Caches keeps directories between the runs of one worker. A cache is used by one run at a time;
// runs that want the same one together get copies of their own, which all are kept. The layout is
// <dir>/<hash of the name>/<number>.
type Caches struct {
	dir  string
	user *process.User

	mu   sync.Mutex
	used map[string]bool // paths in use
}

// held is a cache that a run has.
type held struct {
	name, path string
	directory  string // where it is mounted, relative to the run's directory
	fresh      bool
	since      time.Time
}

func (h *held) age() string {
	if h.fresh {
		return "new"
	}
	return "last used " + h.since.UTC().Format(time.RFC3339)
}

// OpenCaches keeps caches below dir, which must be on the file system of the runs' directories.
// New ones belong to user, nil for the worker's own.
func OpenCaches(dir string, user *process.User) (*Caches, error) {
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	return &Caches{dir: dir, user: user, used: map[string]bool{}}, nil
}

// acquire takes the cache that was used last and is free, or makes a new one.
func (c *Caches) acquire(name, directory string) (*held, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := sha256.Sum256([]byte(name))
	shelf := filepath.Join(c.dir, hex.EncodeToString(sum[:12]))
	if err := os.MkdirAll(shelf, 0o711); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(shelf)
	if err != nil {
		return nil, err
	}
	best := &held{name: name, directory: directory}
	var taken []string
	for _, e := range entries {
		taken = append(taken, e.Name())
		path := filepath.Join(shelf, e.Name())
		info, err := e.Info()
		if err == nil && !c.used[path] && (best.path == "" || info.ModTime().After(best.since)) {
			best.path, best.since = path, info.ModTime()
		}
	}
	if best.path == "" {
		best.fresh = true
		for n := 0; ; n++ {
			path := filepath.Join(shelf, strconv.Itoa(n))
			if !c.used[path] && !slices.Contains(taken, strconv.Itoa(n)) {
				best.path = path
				break
			}
		}
		if err := c.make(best.path); err != nil {
			return nil, err
		}
	}
	c.used[best.path] = true
	return best, nil
}

func (c *Caches) make(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil || c.user == nil {
		return err
	}
	return os.Lchown(path, int(c.user.UID), int(c.user.GID))
}

// giveBack frees a cache that stands at its path again, or is gone.
func (c *Caches) giveBack(h *held, purge bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.used, h.path)
	if purge {
		return os.RemoveAll(h.path)
	}
	now := time.Now()
	if err := os.Chtimes(h.path, now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
