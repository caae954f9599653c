// Package scratch keeps the directories of runs: each run gets a fresh one, owned by the user its
// commands run as, and nothing of it stays when the run is over. What the worker itself does
// inside goes through os.Root, so that a link a task left there never leads out of it.
package scratch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/treeline-ci/treeline/workers/engine/process"
)

const (
	workName = "work" // what the task sees
	tempName = "tmp"  // its TMPDIR
)

// Dir is the directory of one run.
type Dir struct {
	path string
	root *os.Root // of the work directory
	user *process.User
}

// Make makes the directory below parent; user is who will own what the task sees, nil for the
// worker's own user.
func Make(parent, name string, user *process.User) (*Dir, error) {
	d := &Dir{path: filepath.Join(parent, name), user: user}
	if err := os.Mkdir(d.path, 0o711); err != nil {
		return nil, fmt.Errorf("scratch: %w", err)
	}
	for _, sub := range []string{d.Work(), d.Temp()} {
		if err := d.own(sub); err != nil {
			return nil, errors.Join(fmt.Errorf("scratch: %w", err), d.Remove())
		}
	}
	root, err := os.OpenRoot(d.Work())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scratch: %w", err), d.Remove())
	}
	d.root = root
	return d, nil
}

// own makes a directory that others may pass through but not list: a task of root may run parts of
// itself as somebody without rights. Where each task has a user of its own, no one else enters.
func (d *Dir) own(dir string) error {
	mode := fs.FileMode(0o711)
	if d.user != nil && d.user.Alone {
		mode = 0o700
	}
	if err := os.Mkdir(dir, mode); err != nil {
		return err
	}
	if d.user == nil {
		return nil
	}
	return os.Lchown(dir, int(d.user.UID), int(d.user.GID))
}

// Work is the absolute path of the directory that commands start in.
func (d *Dir) Work() string { return filepath.Join(d.path, workName) }

// Temp is the absolute path of the run's directory for temporary files.
func (d *Dir) Temp() string { return filepath.Join(d.path, tempName) }

// Private is the absolute path of a file beside the work directory that only the worker reads.
func (d *Dir) Private(name string) string { return filepath.Join(d.path, name) }

// Root is the work directory as a root that no link leads out of.
func (d *Dir) Root() *os.Root { return d.root }

// MakeParents makes the directories that the file name, relative to the work directory, lies in.
func (d *Dir) MakeParents(name string) error { return d.MakeAll(path.Dir(path.Clean(name))) }

// MakeAll makes a directory and those it lies in, owned by the task's user.
func (d *Dir) MakeAll(name string) error {
	name = path.Clean(name)
	if name == "." {
		return nil
	}
	if err := d.MakeAll(path.Dir(name)); err != nil {
		return err
	}
	err := d.root.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.give(name)
}

func (d *Dir) give(name string) error {
	if d.user == nil {
		return nil
	}
	return d.root.Lchown(name, int(d.user.UID), int(d.user.GID))
}

// WriteFile makes a file of what r gives, at most limit bytes (0: no limit).
func (d *Dir) WriteFile(name string, mode fs.FileMode, r io.Reader, limit int64) error {
	name = path.Clean(name)
	if err := d.MakeParents(name); err != nil {
		return err
	}
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode.Perm())
	if err != nil {
		return err
	}
	if limit > 0 {
		r = io.LimitReader(r, limit+1)
	}
	n, err := io.Copy(f, r)
	if err == nil && limit > 0 && n > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return errors.Join(err, f.Close(), d.give(name))
}

// Link makes a symbolic link.
func (d *Dir) Link(target, name string) error {
	if err := d.MakeParents(name); err != nil {
		return err
	}
	return errors.Join(d.root.Symlink(target, name), d.give(name))
}

// MoveIn puts a directory from outside, on the same file system, to a place that is free or an
// empty directory.
func (d *Dir) MoveIn(outside, name string) error {
	name = path.Clean(name)
	if err := d.MakeParents(name); err != nil {
		return err
	}
	parent, err := d.root.Lstat(path.Dir(name))
	if err != nil {
		return err
	}
	if !parent.IsDir() {
		return fmt.Errorf("%s is no directory", path.Dir(name))
	}
	if info, err := d.root.Lstat(name); err == nil && info.IsDir() {
		if err := d.root.Remove(name); err != nil {
			return err
		}
	}
	// Nothing of the task runs yet, so no link can come in between.
	return os.Rename(outside, filepath.Join(d.Work(), filepath.FromSlash(name)))
}

// MoveOut takes a directory out of the work directory; it says no when what stands there is no
// directory any more, or was put behind a link. Nothing of the task may run any more.
func (d *Dir) MoveOut(name, outside string) error {
	for dir := path.Clean(name); dir != "."; dir = path.Dir(dir) {
		info, err := d.root.Lstat(dir)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory any more", dir)
		}
	}
	return os.Rename(filepath.Join(d.Work(), filepath.FromSlash(path.Clean(name))), outside)
}

// Remove ends everything of the run that still runs and removes its directory.
func (d *Dir) Remove() error {
	if d.root != nil {
		_ = d.root.Close() // only a handle
	}
	return Wipe(d.path)
}

// RemoveQuiet removes the directory of a run of which nothing runs any more.
func (d *Dir) RemoveQuiet() error {
	if d.root != nil {
		_ = d.root.Close() // only a handle
	}
	return remove(d.path)
}

// Wipe ends every process of the run whose directory is given and removes it, also when the run
// took away the right to do so.
func Wipe(dir string) error {
	work := filepath.Join(dir, workName)
	if _, err := process.Sweep(work); err != nil {
		return err
	}
	return remove(dir)
}

func remove(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	return unlock(dir)
}

// unlock gives the worker its rights on every directory back and removes the tree.
func unlock(dir string) error {
	var open func(name string) error
	open = func(name string) error {
		if err := os.Chmod(name, 0o700); err != nil {
			return err
		}
		entries, err := os.ReadDir(name)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.IsDir() {
				if err := open(filepath.Join(name, e.Name())); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := open(dir); err != nil {
		return fmt.Errorf("scratch: wipe: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("scratch: wipe: %w", err)
	}
	return nil
}
