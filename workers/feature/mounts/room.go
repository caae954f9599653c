package mounts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/workers/engine"
)

// shelved is a cache that nobody uses.
type shelved struct {
	path string
	used time.Time
	size int64
}

// free lists the caches that nobody uses, the longest unused first. c.mu is held.
func (c *Caches) free() ([]shelved, error) {
	paths, err := filepath.Glob(filepath.Join(c.dir, "*", "*"))
	if err != nil {
		return nil, err
	}
	var out []shelved
	for _, path := range paths {
		if !number.MatchString(filepath.Base(path)) || c.used[path] {
			continue
		}
		if info, err := os.Lstat(path); err == nil && info.IsDir() {
			out = append(out, shelved{path: path, used: info.ModTime()})
		}
	}
	slices.SortFunc(out, func(a, b shelved) int { return a.used.Compare(b.used) })
	return out, nil
}

// trim drops the caches that were not used for longest until what is kept fits the budget. What is in use counts
// as nothing: it cannot be dropped. c.mu is held.
func (c *Caches) trim() error {
	if c.budget <= 0 {
		return nil
	}
	list, err := c.free()
	if err != nil {
		return err
	}
	var total int64
	for i, s := range list {
		size, ok := c.sizes[s.path]
		if !ok {
			size = Size(s.path)
			c.sizes[s.path] = size
		}
		list[i].size = size
		total += size
	}
	var problems []error
	for _, s := range list {
		if total <= c.budget {
			break
		}
		problems = append(problems, c.drop(s.path))
		total -= s.size
	}
	return errors.Join(problems...)
}

// DropUnused drops every cache that nobody uses, for want of disk, and says how many there were.
func (c *Caches) DropUnused() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, err := c.free()
	problems := []error{err}
	for _, s := range list {
		problems = append(problems, c.drop(s.path))
	}
	return len(list), errors.Join(problems...)
}

// Size is what a directory takes on the disk, in bytes, as far as it can be read.
func Size(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // it may just be going
		}
		if info, err := e.Info(); err == nil {
			total += sys.Taken(info)
		}
		return nil
	})
	return total
}

// own makes a cache the property of a user, who differs from task to task where each has one of its own. Nothing
// of a task runs in it, so no link comes in between; links themselves are not followed.
func own(path string, u *engine.User) error {
	if u == nil || os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if uid, gid, ok := sys.Owner(info); ok && uid == u.UID && gid == u.GID {
		return nil
	}
	return filepath.WalkDir(path, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(u.UID), int(u.GID))
	})
}
