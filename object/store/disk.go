package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/sys"
)

// Disk is a folder:
//
//	sha256/ab/cdef…   contents, by their hash
//	parts/…           uploads in parts, one file each
//	tmp/…             contents being written
//
// Nothing that a caller of the service chooses becomes part of a path: hashes are checked, and
// tickets are made here. The folder must be on one file system.
type Disk struct{ dir string }

// OpenDisk opens a folder, making what is missing.
func OpenDisk(dir string) (*Disk, error) {
	if dir == "" {
		return nil, fault.New(fault.Invalid, "no folder for objects is configured")
	}
	for _, sub := range []string{"sha256", "parts", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	return &Disk{dir}, nil
}

// Path is where a content is or would be.
func (d *Disk) Path(sum string) string { return filepath.Join(d.dir, "sha256", sum[:2], sum[2:]) }

// Receive implements Store: the bytes are in a temporary file, which is synced.
func (d *Disk) Receive(ctx context.Context, body io.Reader, limit int64) (staged *Staged, err error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "tmp"), "content-")
	if err != nil {
		return nil, trouble(err)
	}
	defer func() {
		if err = errors.Join(err, trouble(f.Close())); err != nil {
			staged, err = nil, errors.Join(err, trouble(os.Remove(f.Name())))
		}
	}()
	h := NewHasher()
	_, err = io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(writeOnly{f}, h)}, io.LimitReader(body, limit+1), make([]byte, 256<<10))
	sums := h.Sums()
	if err != nil {
		return nil, err
	}
	if sums.Size > limit {
		return nil, tooLarge(limit)
	}
	return &Staged{Sums: sums, Ticket: "tmp/" + filepath.Base(f.Name())}, trouble(f.Sync())
}

// writeOnly marks errors of the disk as such, so that they are told apart from those of the sender.
type writeOnly struct{ f *os.File }

func (w writeOnly) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	return n, trouble(err)
}

var ticketPattern = regexp.MustCompile(`^(tmp/content-|parts/)[0-9]+(\.whole)?$`)

// file is the path behind a ticket.
func (d *Disk) file(ticket string) (string, error) {
	if !ticketPattern.MatchString(ticket) {
		return "", fmt.Errorf("%.100q is no ticket of an upload to a folder", ticket)
	}
	return filepath.Join(d.dir, filepath.FromSlash(ticket)), nil
}

// Place implements Store.
func (d *Disk) Place(ctx context.Context, staged *Staged) error {
	path, err := d.file(staged.Ticket)
	if err != nil {
		return err
	}
	return d.Import(ctx, path, staged.Sums)
}

// Import implements Store: it moves the file, which must be on the same file system and synced.
func (d *Disk) Import(ctx context.Context, path string, sums Sums) error {
	to := d.Path(sums.SHA256)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return trouble(err)
	}
	// Files without a row are removed by their age, so that of one just placed must be small.
	now := time.Now()
	err := os.Chtimes(path, now, now)
	if err == nil {
		err = os.Chmod(path, 0o400) // nobody writes to it any more
	}
	if err == nil {
		err = os.Rename(path, to)
	}
	if errors.Is(err, fs.ErrNotExist) { // it was placed before
		if size, statErr := d.Stat(ctx, sums.SHA256); statErr == nil && size == sums.Size {
			err = nil
		}
	}
	if err != nil {
		return trouble(err)
	}
	return syncDir(filepath.Dir(to))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return trouble(err)
	}
	return trouble(errors.Join(f.Sync(), f.Close()))
}

// Discard implements Store.
func (d *Disk) Discard(_ context.Context, staged *Staged) error {
	path, err := d.file(staged.Ticket)
	if err != nil {
		return err
	}
	return remove(path)
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return trouble(err)
	}
	return nil
}

// Stat implements Store.
func (d *Disk) Stat(_ context.Context, sum string) (int64, error) {
	info, err := os.Stat(d.Path(sum))
	if err != nil {
		return 0, trouble(err)
	}
	return info.Size(), nil
}

// Open implements Store.
func (d *Disk) Open(_ context.Context, sum string, size int64) (io.ReadSeekCloser, error) {
	f, err := os.Open(d.Path(sum))
	if err != nil {
		return nil, trouble(err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != size {
		err = damaged(sum, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(trouble(err), f.Close())
	}
	return f, nil
}

// Remove implements Store.
func (d *Disk) Remove(_ context.Context, sum string) error { return remove(d.Path(sum)) }

// List implements Store.
func (d *Disk) List(ctx context.Context, after string, limit int) ([]Entry, error) {
	first := 0
	if len(after) >= 2 {
		if _, err := fmt.Sscanf(after[:2], "%02x", &first); err != nil {
			return nil, fmt.Errorf("%.100q is no sha256", after)
		}
	}
	var list []Entry
	for folder := first; folder < 256 && len(list) < limit; folder++ {
		prefix := fmt.Sprintf("%02x", folder)
		files, err := os.ReadDir(filepath.Join(d.dir, "sha256", prefix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, trouble(err)
		}
		for _, f := range files {
			sum := prefix + f.Name()
			info, err := f.Info()
			if err != nil || len(list) == limit || sum <= after || !isSum(sum) {
				continue // a file that was removed just now is not listed
			}
			list = append(list, Entry{sum, info.Size(), info.ModTime()})
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return list, nil
}

var sumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

func isSum(s string) bool { return sumPattern.MatchString(s) }

// Tidy implements Store.
func (d *Disk) Tidy(ctx context.Context, age time.Duration, keep func(context.Context, string) (bool, error)) error {
	for _, folder := range []string{"tmp", "parts"} {
		files, err := os.ReadDir(filepath.Join(d.dir, folder))
		if err != nil {
			return trouble(err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < age {
				continue
			}
			kept := false
			if folder == "parts" {
				kept, err = keep(ctx, folder+"/"+trimWhole(f.Name()))
			}
			if err == nil && !kept {
				err = remove(filepath.Join(d.dir, folder, f.Name()))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// exclusive locks a file against other processes and goroutines; shared locks may be held together.
// The lock ends with the file's closing or the process.
func lock(f *os.File, how sys.How) error {
	if err := sys.Lock(f, how); err != nil {
		return trouble(fmt.Errorf("lock %s: %w", f.Name(), err))
	}
	return nil
}
