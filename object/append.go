package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/treeline-ci/treeline/internal/fault"
)

// pieceSize is how much of a piece is held in memory and written at once.
const pieceSize = 64 << 10

// AppendContent adds a piece that begins at offset to an upload begun with Append, by the id that
// Holds returned. Bytes that are there already must be equal, so that a piece may be sent again after
// a lost answer, also when the upload is finished. It returns the size of the upload after it; when
// the piece does not fit, because something is missing before it or other bytes are there, fits is
// false and the sender should go on from size.
//
// A piece that breaks off leaves what came of it. The file is not synced before FinishUpload: after
// a crash of the machine the size may be smaller than was answered, which the sender then learns.
func (s *Store) AppendContent(ctx context.Context, id, offset int64, body io.Reader) (size int64, fits bool, err error) {
	if offset < 0 {
		return 0, false, fault.New(fault.Invalid, "The offset must not be negative.")
	}
	buf := make([]byte, pieceSize)
	for first := true; ; first = false {
		n, readErr := io.ReadFull(body, buf)
		ended := errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF)
		if n > 0 || first {
			if size, fits, err = s.appendPiece(ctx, id, offset, buf[:n]); err != nil || !fits {
				return size, fits, err
			}
			offset += int64(n)
		}
		if ended {
			return size, true, nil
		}
		if readErr != nil {
			return size, true, fmt.Errorf("object: append: %w", received(readErr))
		}
	}
}

func (s *Store) appendPiece(ctx context.Context, id, offset int64, piece []byte) (size int64, fits bool, err error) {
	err = s.disk.locked(id, os.O_RDWR, func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return storage(err)
		}
		if info.Mode().Perm() == markedMode {
			if err := s.unmark(ctx, id, f); err != nil {
				return err
			}
		}
		size = info.Size()
		if fits, err = same(f, size, offset, piece); err != nil || !fits {
			return err
		}
		rest := piece[min(int64(len(piece)), size-offset):]
		if size+int64(len(rest)) > s.maxSize {
			return fault.New(fault.TooLarge, "An object may have up to %d bytes.", s.maxSize)
		}
		n, err := f.WriteAt(rest, size)
		size += int64(n)
		return storage(err)
	})
	if errors.Is(err, errMoved) {
		return s.appendedBefore(ctx, id, offset, piece)
	}
	if err != nil {
		return size, fits, fmt.Errorf("object: append: %w", err)
	}
	s.growth.grown(id)
	if s.watch != nil {
		s.watch(ctx, id, size)
	}
	return size, fits, nil
}

// Watch has f called with the size of each upload with Append after it has grown by a piece of at most 64 KiB, in the call
// that brings the piece: f must be quick. It is for the start of the program.
func (s *Store) Watch(f func(ctx context.Context, id, size int64)) { s.watch = f }

// unmark takes the mark of seal off when the upload was not sealed after all; when it was, the file
// counts as moved.
func (s *Store) unmark(ctx context.Context, id int64, f *os.File) error {
	o, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if errors.Is(err, fault.NotFound) || err == nil && o.SHA256 != nil {
		return errMoved
	}
	if err != nil {
		return err
	}
	return storage(f.Chmod(0o600))
}

// same reports whether the part of the piece that lies below size is in the file already.
func same(f io.ReaderAt, size, offset int64, piece []byte) (bool, error) {
	if offset > size {
		return false, nil
	}
	known := piece[:min(int64(len(piece)), size-offset)]
	there := make([]byte, len(known))
	if _, err := f.ReadAt(there, offset); err != nil && len(there) > 0 && !errors.Is(err, io.EOF) {
		return false, storage(err)
	}
	return bytes.Equal(known, there), nil
}

// appendedBefore answers for an upload that takes no more pieces: one that lies within it fits.
func (s *Store) appendedBefore(ctx context.Context, id, offset int64, piece []byte) (size int64, fits bool, err error) {
	gone := fault.New(fault.NotFound, "The upload that this URL belongs to does not exist any more.")
	o, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if errors.Is(err, fault.NotFound) {
		return 0, false, gone
	}
	if err != nil {
		return 0, false, fmt.Errorf("object: append: %w", err)
	}
	if o.SHA256 == nil {
		return 0, false, gone
	}
	if o.sealed() {
		if o, err = s.complete(ctx, o); err != nil {
			return 0, false, err
		}
	}
	f, err := s.openContent(ctx, o, "")
	if err != nil {
		return 0, false, fmt.Errorf("object: append: %w", err)
	}
	defer f.Close()
	fits, err = same(seeking{f}, *o.Size, offset, piece)
	return *o.Size, fits && offset+int64(len(piece)) <= *o.Size, err
}

// seeking reads at any place of something that one reader has for itself.
type seeking struct{ io.ReadSeeker }

// ReadAt implements io.ReaderAt.
func (s seeking) ReadAt(p []byte, at int64) (int, error) {
	if _, err := s.Seek(at, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(s, p)
}
