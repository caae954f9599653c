package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/treeline-ci/treeline/internal/sys"
)

// An upload in parts is one file that parts are written into at their offset. Joining renames it, so
// that no part can come any more; the name with .whole is the ticket of what is staged then.
const whole = ".whole"

func trimWhole(name string) string { return strings.TrimSuffix(name, whole) }

// BeginParts implements Store.
func (d *Disk) BeginParts(context.Context) (string, error) {
	f, err := os.CreateTemp(filepath.Join(d.dir, "parts"), "")
	if err != nil {
		return "", trouble(err)
	}
	if err := f.Close(); err != nil {
		return "", trouble(err)
	}
	return "parts/" + filepath.Base(f.Name()), syncDir(filepath.Dir(f.Name()))
}

// PutPart implements Store. Parts are in memory, once each, until their hash is known to be right.
func (d *Disk) PutPart(_ context.Context, ticket string, part Part, body io.Reader) (string, error) {
	path, err := d.file(ticket)
	if err != nil {
		return "", err
	}
	buf := make([]byte, part.Size)
	if err := exactly(body, buf, part); err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return "", trouble(err)
	}
	defer f.Close()
	if err := lock(f, sys.Shared); err != nil {
		return "", err
	}
	if !sameFile(path, f) { // it was joined since it was opened
		return "", fs.ErrNotExist
	}
	if _, err := f.WriteAt(buf, part.Offset); err != nil {
		return "", trouble(err)
	}
	return part.SHA256, trouble(sys.SyncData(f))
}

func sameFile(path string, f *os.File) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := f.Stat()
	return err == nil && os.SameFile(there, ours)
}

// JoinParts implements Store.
func (d *Disk) JoinParts(_ context.Context, ticket string, parts []Part) (*Staged, error) {
	path, err := d.file(ticket)
	if err != nil {
		return nil, err
	}
	if err := closeParts(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path + whole)
	if err != nil {
		return nil, trouble(err)
	}
	defer f.Close()
	sums, err := HashOf(f)
	if err != nil {
		return nil, trouble(err)
	}
	if want := total(parts); sums.Size != want {
		return nil, damaged(sums.SHA256, sums.Size, want)
	}
	return &Staged{Sums: sums, Ticket: ticket + whole}, nil
}

// closeParts waits for parts being written, and takes no more. It was done before if the file has its
// new name already.
func closeParts(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return trouble(err)
	}
	defer f.Close()
	if err := lock(f, sys.Exclusive); err != nil {
		return err
	}
	if !sameFile(path, f) {
		return nil
	}
	if err := f.Sync(); err != nil {
		return trouble(err)
	}
	return trouble(os.Rename(path, path+whole))
}

func total(parts []Part) (n int64) {
	for _, p := range parts {
		n += p.Size
	}
	return n
}

// DropParts implements Store.
func (d *Disk) DropParts(_ context.Context, ticket string) error {
	path, err := d.file(ticket)
	if err != nil {
		return err
	}
	return errors.Join(remove(path), remove(path+whole))
}
