package object

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// disk is the folder that files are in:
//
//	sha256/ab/cdef…   whole contents, by their hash
//	partial/17        uploads by pieces, by the id of their object
//	tmp/…             contents being written
//
// Nothing that a caller chooses becomes part of a path: hashes are checked and ids are numbers.
type disk struct{ dir string }

func openDisk(dir string) (disk, error) {
	if dir == "" {
		return disk{}, fault.New(fault.Invalid, "no folder for objects is configured")
	}
	for _, sub := range []string{"sha256", "partial", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return disk{}, err
		}
	}
	return disk{dir}, nil
}

func (d disk) partial(id int64) string {
	return filepath.Join(d.dir, "partial", strconv.FormatInt(id, 10))
}

// content is the path of a content; sum must be 64 hexadecimal digits, as the database makes sure.
func (d disk) content(sum string) string {
	return filepath.Join(d.dir, "sha256", sum[:2], sum[2:])
}

// sums are the hashes and the size of a content.
type sums struct {
	SHA256, SHA512 string
	Size           int64
}

// hashed copies r to w, which may be io.Discard, and returns what went through.
func hashed(w io.Writer, r io.Reader) (sums, error) {
	h256, h512 := sha256.New(), sha512.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, h256, h512)}, struct{ io.Reader }{r}, make([]byte, 128<<10))
	return sums{hex.EncodeToString(h256.Sum(nil)), hex.EncodeToString(h512.Sum(nil)), n}, err
}

// receive writes r to a temporary file, at most limit bytes, and syncs it. The caller places or
// removes the file.
func (d disk) receive(r io.Reader, limit int64) (path string, s sums, err error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "tmp"), "content-")
	if err != nil {
		return "", sums{}, storage(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	s, err = hashed(writeOnly{f}, io.LimitReader(r, limit+1))
	if err != nil {
		return "", sums{}, err
	}
	if s.Size > limit {
		return "", sums{}, fault.New(fault.TooLarge, "The content is larger than the %d bytes allowed.", limit)
	}
	return f.Name(), s, storage(f.Sync())
}

// writeOnly marks errors of the disk as such, so that they are told apart from those of the sender.
type writeOnly struct{ f *os.File }

func (w writeOnly) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, storage(err)
}

// place moves a written and synced file to where its content belongs. It may be repeated.
func (d disk) place(path, sum string) error {
	to := d.content(sum)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return storage(err)
	}
	// Files without a row are removed by their age, so that of one just placed must be small.
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil {
		return storage(err)
	}
	if err := os.Chmod(path, 0o400); err != nil { // nobody writes to it any more
		return storage(err)
	}
	if err := os.Rename(path, to); err != nil {
		return storage(err)
	}
	return syncDir(filepath.Dir(to))
}

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
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINTR) {
			return storage(fmt.Errorf("lock %s: %w", f.Name(), err))
		}
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
