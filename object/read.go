package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Open returns a finished object with its content; the caller closes it.
func (s *Store) Open(ctx context.Context, name string) (Object, io.ReadSeekCloser, error) {
	o, err := s.Get(ctx, name)
	if err != nil {
		return Object{}, nil, err
	}
	f, err := os.Open(s.disk.content(o.SHA256))
	if err != nil {
		return Object{}, nil, fmt.Errorf("object: open %s: %w", name, storage(err))
	}
	return o, f, nil
}

// OpenSigned is Open for the holder of a URL with the right Read, by the id that Holds returned.
func (s *Store) OpenSigned(ctx context.Context, name string, id int64) (Object, io.ReadSeekCloser, error) {
	r, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if errors.Is(err, fault.NotFound) || err == nil && r.Name != name {
		return Object{}, nil, notThere(name)
	}
	if err != nil {
		return Object{}, nil, fmt.Errorf("object: open: %w", err)
	}
	return s.Open(ctx, name)
}

// Download describes a finished object and returns an absolute URL from which it can be read without
// credentials until the time returned, half an hour from now.
func (s *Store) Download(ctx context.Context, name string) (Object, string, time.Time, error) {
	r, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return Object{}, "", time.Time{}, fmt.Errorf("object: download: %w", err)
	}
	if !r.visible() {
		return Object{}, "", time.Time{}, notThere(name)
	}
	until := time.Now().Add(readFor)
	return r.object(), s.sign(Read, name, r.ID, until), until, nil
}

// DownloadURL is the URL of Download.
func (s *Store) DownloadURL(ctx context.Context, name string) (string, error) {
	_, address, _, err := s.Download(ctx, name)
	return address, err
}

// Stream reads an object that may still grow.
type Stream struct {
	ContentType string
	Size        int64  // when it was opened
	Growing     bool   // when it was opened; a finished object does not grow
	SHA256      string // of a finished object
	store       *Store
	ctx         context.Context //nolint:containedctx // a reader has no other way to end a wait
	id, at      int64
	file        *os.File
}

// StreamReader reads an object from offset on, whether its upload is finished or goes on; in the
// latter case reading waits for more until the upload is finished or deleted, or ctx ends. Uploads
// that do not come in pieces can be read only when they are finished. The caller closes it.
func (s *Store) StreamReader(ctx context.Context, name string, offset int64) (*Stream, error) {
	r, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return nil, fmt.Errorf("object: stream: %w", err)
	}
	return s.stream(ctx, r, offset)
}

// StreamSigned is StreamReader for the holder of a URL with the right Follow.
func (s *Store) StreamSigned(ctx context.Context, id, offset int64) (*Stream, error) {
	r, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if err != nil {
		return nil, fmt.Errorf("object: stream: %w", unsigned(err))
	}
	return s.stream(ctx, r, offset)
}

func unsigned(err error) error {
	if errors.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "The object that this URL belongs to does not exist any more.")
	}
	return err
}

func (s *Store) stream(ctx context.Context, r *record, offset int64) (*Stream, error) {
	if r.Expired || r.Finished == nil && r.Method != methodAppend {
		return nil, notThere(r.Name)
	}
	out := &Stream{ContentType: r.ContentType, store: s, ctx: ctx, id: r.ID, at: offset}
	path := s.disk.partial(r.ID)
	if r.Finished != nil {
		path, out.SHA256 = s.disk.content(*r.SHA256), *r.SHA256
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && r.Finished == nil {
		// It was finished, or sealed before a crash, since we looked.
		return s.streamAgain(ctx, r.ID, offset)
	}
	if err != nil {
		return nil, fmt.Errorf("object: stream %s: %w", r.Name, storage(err))
	}
	out.file, out.Growing = f, r.Finished == nil
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(storage(err), f.Close())
	}
	out.Size = info.Size()
	return out, nil
}

func (s *Store) streamAgain(ctx context.Context, id, offset int64) (*Stream, error) {
	r, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if err != nil {
		return nil, fmt.Errorf("object: stream: %w", unsigned(err))
	}
	if r.sealed() {
		if r, err = s.complete(ctx, r); err != nil {
			return nil, fmt.Errorf("object: stream: %w", err)
		}
	}
	if r.Finished == nil {
		return nil, notThere(r.Name)
	}
	return s.stream(ctx, r, offset)
}

// Read implements io.Reader. At the end of what is there it waits for more.
func (r *Stream) Read(p []byte) (int, error) {
	for {
		var grown <-chan struct{}
		if r.Growing {
			grown = r.store.growth.next(r.id)
		}
		ended := !r.Growing || !r.store.disk.isPartial(r.id, r.file)
		// Whether the upload ended is asked before reading, so that the last piece is not missed.
		n, err := r.file.ReadAt(p, r.at)
		r.at += int64(n)
		switch {
		case n > 0:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, storage(err)
		case ended || len(p) == 0:
			return 0, io.EOF
		}
		if err := r.store.wait(r.ctx, grown); err != nil {
			return 0, err
		}
	}
}

// Waits reports whether the next Read would have to wait for the upload to grow.
func (r *Stream) Waits() bool {
	info, err := r.file.Stat()
	return err == nil && r.Growing && info.Size() <= r.at && r.store.disk.isPartial(r.id, r.file)
}

// Close implements io.Closer.
func (r *Stream) Close() error { return r.file.Close() }

// Section is the whole content as it was when the stream was opened, for reading at any place.
func (r *Stream) Section() io.ReadSeeker { return io.NewSectionReader(r.file, 0, r.Size) }
