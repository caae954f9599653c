// Package watch waits for files to change, and tells what changed between two graphs: together
// they are treeline taskgraph … --watch.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Options say what to watch and what to do.
type Options struct {
	// Look names what to watch; it is asked again after every change. Dirs are watched with all
	// that is below them, Files alone. What does not exist is left out.
	Look func() (dirs, files []string)
	// Ignore are files whose changes do not count, such as the ones that Changed writes.
	Ignore []string
	// Changed is called with the names of what changed, sorted. Its error ends Run.
	Changed func(ctx context.Context, names []string) error
	// Settle is how long nothing may change before Changed is called: editors write in several
	// steps. Zero means 100 ms.
	Settle time.Duration
	// Ready, if set, is called when changes are noticed from now on.
	Ready func()
}

// Run calls o.Changed after each change until ctx ends, which is no error.
func Run(ctx context.Context, o Options) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer w.Close()
	if o.Settle == 0 {
		o.Settle = 100 * time.Millisecond
	}
	for ready := o.Ready; ; ready = nil {
		of, err := add(w, o)
		if err != nil {
			return err
		}
		if ready != nil {
			ready()
		}
		names, err := next(ctx, w, of, o.Settle)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := o.Changed(ctx, names); err != nil {
			return err
		}
	}
}

// interest is what counts among the changes of the directories that are watched.
type interest struct {
	dirs, files, ignore map[string]bool
}

// add watches the directories of everything of interest. Directories are watched rather than
// files: editors put a new file in the place of the old one.
func add(w *fsnotify.Watcher, o Options) (interest, error) {
	of := interest{dirs: map[string]bool{}, files: map[string]bool{}, ignore: map[string]bool{}}
	for _, f := range o.Ignore {
		of.ignore[absolute(f)] = true
	}
	dirs, files := o.Look()
	for _, dir := range dirs {
		if err := of.below(w, absolute(dir)); err != nil {
			return of, err
		}
	}
	for _, f := range files {
		of.files[absolute(f)] = true
		if err := watch(w, filepath.Dir(absolute(f))); err != nil {
			return of, err
		}
	}
	return of, nil
}

// below watches dir and the directories in it; a file is nothing to it.
func (of interest) below(w *fsnotify.Watcher, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // what cannot be read cannot be watched; the rest can
		}
		of.dirs[path] = true
		return watch(w, path)
	})
}

func watch(w *fsnotify.Watcher, dir string) error {
	if err := w.Add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	return nil
}

func absolute(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return filepath.Clean(name)
	}
	return abs
}

// next waits for a change of interest, and then until nothing has changed for a while.
func next(ctx context.Context, w *fsnotify.Watcher, of interest, settle time.Duration) ([]string, error) {
	names := map[string]bool{}
	var quiet <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case e, ok := <-w.Events:
			if !ok {
				return nil, errors.New("watch: the watcher has ended")
			}
			if !of.counts(e) {
				continue
			}
			names[e.Name] = true
			quiet = time.After(settle)
			if e.Has(fsnotify.Create) { // a new directory: what appears in it from now on is noticed, too
				if err := of.below(w, e.Name); err != nil {
					return nil, err
				}
			}
		case err := <-w.Errors:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return nil, fmt.Errorf("watch: %w", err)
			}
			quiet = time.After(settle) // something changed, whatever it was
		case <-quiet:
			return slices.Sorted(maps.Keys(names)), nil
		}
	}
}

// counts leaves out what is not of interest: other files, permissions, and what editors keep
// beside a file while they write it.
func (of interest) counts(e fsnotify.Event) bool {
	base := filepath.Base(e.Name)
	if e.Op == fsnotify.Chmod || of.ignore[e.Name] {
		return false
	}
	if of.files[e.Name] {
		return true
	}
	aside := strings.HasSuffix(base, "~") || strings.HasSuffix(base, ".swp") || strings.HasPrefix(base, ".#") || base == "4913"
	return !aside && of.dirs[filepath.Dir(e.Name)]
}
