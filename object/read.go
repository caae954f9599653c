package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"path"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object/store"
)

// Open returns a finished object with its content, decompressed; the caller closes it. Reading it from
// beginning to end fails at the end if the bytes are not those that were uploaded. It fails too when
// ctx ends.
func (s *Store) Open(ctx context.Context, name string) (Object, io.ReadSeekCloser, error) {
	r, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return Object{}, nil, fmt.Errorf("object: open: %w", err)
	}
	if !r.visible() {
		return Object{}, nil, notThere(name)
	}
	o := r.object()
	body, err := s.openContent(ctx, r, "")
	if err != nil {
		return Object{}, nil, fmt.Errorf("object: open %s: %w", name, err)
	}
	return o, o.Plain(body), nil
}

// Plain returns what is in a stored content; closing it closes the content.
func (o Object) Plain(stored io.ReadSeekCloser) io.ReadSeekCloser {
	if o.Encoding == "" {
		return stored
	}
	return &unzipped{stored: stored, size: o.Size}
}

// OpenSigned returns an object with its content as it is stored, for the holder of a URL with the right
// Read, by the id that Holds returned; region is that of the reader.
func (s *Store) OpenSigned(ctx context.Context, name string, id int64, region string) (Object, io.ReadSeekCloser, error) {
	r, err := s.signedFor(ctx, name, id)
	if err != nil {
		return Object{}, nil, err
	}
	body, err := s.openContent(ctx, r, region)
	if err != nil {
		return Object{}, nil, fmt.Errorf("object: open %s: %w", name, err)
	}
	return r.object(), body, nil
}

func (s *Store) signedFor(ctx context.Context, name string, id int64) (*record, error) {
	r, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if errors.Is(err, fault.NotFound) || err == nil && (r.Name != name || !r.visible()) {
		return nil, notThere(name)
	}
	if err != nil {
		return nil, fmt.Errorf("object: open: %w", err)
	}
	return r, nil
}

// openContent opens a stored content where it is best for a reader in a region: in that region, at its
// home, or wherever else it is.
func (s *Store) openContent(ctx context.Context, r *record, region string) (io.ReadSeekCloser, error) {
	var failed []error
	for _, p := range s.sources(ctx, r, region) {
		body, err := p.Store.Open(ctx, *r.SHA256, *r.Size)
		if err == nil {
			return check(body, *r.SHA256, *r.Size), nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failed = append(failed, fmt.Errorf("store %s: %w", p.Name, err))
	}
	err := errors.Join(failed...)
	if moved, again := s.moved(ctx, r); again {
		return s.openContent(ctx, moved, region)
	}
	s.log.ErrorContext(ctx, "object: a content cannot be read", "object", r.Name, "sha256", *r.SHA256, "err", err)
	if !errors.Is(err, fault.Unavailable) && r.Lost {
		return nil, fault.Wrap(fault.Gone, err, "The content of object %q is lost: its storage does not have it any more.", r.Name)
	}
	return nil, fault.Wrap(fault.Unavailable, err, "The storage for objects cannot be used at the moment.")
}

// moved looks whether a content has got another home since its record was read.
func (s *Store) moved(ctx context.Context, r *record) (*record, bool) {
	now, err := s.read(ctx, s.pool, readByIDSQL.Text, r.ID)
	if err != nil || now.SHA256 == nil || *now.SHA256 != *r.SHA256 {
		return nil, false
	}
	return now, *now.Home != *r.Home
}

// Reader says who wants to download.
type Reader struct {
	Region string // see RegionOf; "": not known
	Gzip   bool   // takes contents that are compressed
	Own    bool   // wants a URL of ours, not one of a store
}

// Download describes a finished object and returns an absolute URL from which it can be read without
// credentials until the time returned, half an hour from now: one of ours, or one of the store in the
// reader's region if clients may be sent there.
func (s *Store) Download(ctx context.Context, name string, reader Reader) (Object, string, time.Time, error) {
	r, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return Object{}, "", time.Time{}, fmt.Errorf("object: download: %w", err)
	}
	if !r.visible() {
		return Object{}, "", time.Time{}, notThere(name)
	}
	until := time.Now().Add(readFor)
	address, err := s.direct(ctx, r, reader)
	if err != nil {
		return Object{}, "", time.Time{}, fmt.Errorf("object: download %s: %w", name, err)
	}
	if address == "" {
		address = s.sign(Read, name, r.ID, until)
	}
	return r.object(), address, until, nil
}

// Direct returns the URL of a store to which the holder of a URL with the right Read is to be sent, ""
// when the content is to come from us.
func (s *Store) Direct(ctx context.Context, name string, id int64, reader Reader) (string, error) {
	r, err := s.signedFor(ctx, name, id)
	if err != nil {
		return "", err
	}
	return s.direct(ctx, r, reader)
}

func (s *Store) direct(ctx context.Context, r *record, reader Reader) (string, error) {
	if reader.Own || r.Encoding != "" && !reader.Gzip {
		return "", nil
	}
	p := s.nearest(ctx, r, reader.Region)
	if p == nil {
		return "", nil
	}
	signer, ok := p.signer(p.DirectReads)
	if !ok {
		return "", nil
	}
	if r.Lost && p.Name == *r.Home {
		return "", nil // we look elsewhere
	}
	contentType, disposition := Presented(r.Name, r.ContentType)
	return signer.SignGet(ctx, *r.SHA256, store.Served{ContentType: contentType, Disposition: disposition, Encoding: r.Encoding}, readFor)
}

// Presented returns the Content-Type and Content-Disposition that an object is served with: what could
// be a page is saved, not shown.
func Presented(name, contentType string) (kind, disposition string) {
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	disposition = "inline"
	if pageLike(contentType) {
		disposition = "attachment"
	}
	return contentType, mime.FormatMediaType(disposition, map[string]string{"filename": path.Base(name)})
}

func pageLike(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err != nil || strings.Contains(kind, "html") || strings.HasSuffix(kind, "xml") || kind == "text/xsl" || kind == "application/xslt"
}

// DownloadURL is the URL of ours of Download.
func (s *Store) DownloadURL(ctx context.Context, name string) (string, error) {
	_, address, _, err := s.Download(ctx, name, Reader{Own: true})
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
	file        *os.File // growing
	content     io.ReadSeekCloser
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
	if r.Finished != nil {
		o := r.object()
		body, err := s.openContent(ctx, r, "")
		if err != nil {
			return nil, fmt.Errorf("object: stream %s: %w", r.Name, err)
		}
		out.content, out.SHA256, out.Size = o.Plain(body), o.SHA256, o.Size
		if _, err := out.content.Seek(offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, out.content.Close())
		}
		return out, nil
	}
	f, err := os.Open(s.disk.partial(r.ID))
	if errors.Is(err, fs.ErrNotExist) {
		// It was finished, or sealed before a crash, since we looked.
		return s.streamAgain(ctx, r.ID, offset)
	}
	if err != nil {
		return nil, fmt.Errorf("object: stream %s: %w", r.Name, storage(err))
	}
	out.file, out.Growing = f, true
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
	if !r.Growing {
		return r.content.Read(p)
	}
	for {
		grown := r.store.growth.next(r.id)
		ended := !r.store.disk.isPartial(r.id, r.file)
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
	if !r.Growing {
		return false
	}
	info, err := r.file.Stat()
	return err == nil && info.Size() <= r.at && r.store.disk.isPartial(r.id, r.file)
}

// Close implements io.Closer.
func (r *Stream) Close() error {
	if !r.Growing {
		return r.content.Close()
	}
	return r.file.Close()
}

// Section is the whole content as it was when the stream was opened, for reading at any place.
func (r *Stream) Section() io.ReadSeeker {
	if !r.Growing {
		return r.content
	}
	return io.NewSectionReader(r.file, 0, r.Size)
}
