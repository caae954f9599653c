package object

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
	"github.com/treeline-ci/treeline/object/store"
)

// disk is the data folder: a store of contents, and beside them
//
//	partial/17   uploads by pieces, by the id of their object
type disk struct {
	*store.Disk
	dir string
}

func openDisk(dir string) (disk, error) {
	contents, err := store.OpenDisk(dir)
	if err != nil {
		return disk{}, err
	}
	return disk{contents, dir}, os.MkdirAll(filepath.Join(dir, "partial"), 0o700)
}

func (d disk) partial(id int64) string {
	return filepath.Join(d.dir, "partial", strconv.FormatInt(id, 10))
}

// content is where a content is or would be.
func (d disk) content(sum string) string { return d.Path(sum) }

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return storage(err)
	}
	return storage(errors.Join(f.Sync(), f.Close()))
}

// storage gives an error of the file system its meaning: it may pass, and is not the caller's fault.
func storage(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "The storage for objects cannot be used at the moment.")
}

// errMoved says that a file is not an upload by pieces any more.
var errMoved = errors.New("the file was moved")

// locked opens the file of an upload by pieces, and runs fn while no other process or goroutine
// does so. The lock ends with the process. A file that is gone is errMoved.
func (d disk) locked(id int64, flag int, fn func(f *os.File) error) error {
	f, err := os.OpenFile(d.partial(id), flag, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return errMoved
	}
	if err != nil {
		return storage(err)
	}
	defer f.Close()
	if err := sys.Lock(f, sys.Exclusive); err != nil {
		return storage(err)
	}
	if !d.isPartial(id, f) {
		return errMoved
	}
	return fn(f)
}

// isPartial reports whether f still is the upload's file: not finished and not deleted.
func (d disk) isPartial(id int64, f *os.File) bool {
	there, err := os.Stat(d.partial(id))
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(there, ours)
}

// growth wakes those of this process who wait for uploads to grow.
type growth struct {
	mu      sync.Mutex
	waiting map[int64]chan struct{}
}

// next returns a channel that is closed when the upload has grown or ended.
func (g *growth) next(id int64) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	c, ok := g.waiting[id]
	if !ok {
		c = make(chan struct{})
		g.waiting[id] = c
	}
	return c
}

func (g *growth) grown(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.waiting[id]; ok {
		close(c)
		delete(g.waiting, id)
	}
}

// pollGrowth is how soon growth by another process is seen.
const pollGrowth = 300 * time.Millisecond

// wait returns when an upload may have grown; it fails when ctx or the store ends.
func (s *Store) wait(ctx context.Context, grown <-chan struct{}) error {
	timer := time.NewTimer(pollGrowth)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ending:
		return fault.New(fault.Unavailable, "The server is stopping; go on from here with another one.")
	case <-grown:
	case <-timer.C:
	}
	return nil
}
