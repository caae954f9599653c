package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Open implements Store.
func (s *S3) Open(ctx context.Context, sum string, size int64) (io.ReadSeekCloser, error) {
	has, err := s.Stat(ctx, sum)
	if err != nil {
		return nil, err
	}
	if has != size {
		return nil, damaged(sum, has, size)
	}
	return s.read(ctx, s.key(sum), size), nil
}

func (s *S3) read(ctx context.Context, key string, size int64) *remote {
	return &remote{ctx: ctx, store: s, key: key, size: size}
}

// remote reads an object of a service. Nothing is asked for before the first Read, so seeking costs
// nothing; an answer that breaks off, ends early or stands still is asked for again from there.
type remote struct {
	ctx      context.Context //nolint:containedctx // a reader has no other way to be ended
	store    *S3
	key      string
	etag     string // that the object must have; "": any
	size, at int64
	body     io.ReadCloser
	end      context.CancelFunc
}

// brokenAnswers is how many answers in a row may break off without a byte.
const brokenAnswers = 4

// Read implements io.Reader.
func (r *remote) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.at)]
	if len(p) == 0 {
		return 0, nil
	}
	var last error
	for attempt := range brokenAnswers {
		if attempt > 0 {
			if err := pause(r.ctx, 100*time.Millisecond<<attempt); err != nil {
				return 0, err
			}
		}
		if r.body == nil {
			err := r.open()
			if errors.Is(err, errStalled) {
				last = err
				continue
			}
			if err != nil {
				return 0, err // asking has had its own retries
			}
		}
		n, err := r.readSome(p)
		r.at += int64(n)
		if err != nil {
			last = errors.Join(err, r.drop())
		}
		if n > 0 {
			return n, nil
		}
		if r.ctx.Err() != nil {
			return 0, r.ctx.Err()
		}
	}
	return 0, trouble(fmt.Errorf("read from bucket %s: the answer broke off at byte %d of %d, again and again: %w", r.store.bucket, r.at, r.size, last))
}

// pause returns when some time has passed, or ctx has ended, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// errStalled says that a service did not answer in time.
var errStalled = errors.New("no answer came")

// open asks for the rest of the object.
func (r *remote) open() error {
	var options minio.GetObjectOptions
	if r.at > 0 {
		if err := options.SetRange(r.at, 0); err != nil {
			return trouble(err)
		}
	}
	if r.etag != "" {
		if err := options.SetMatchETag(r.etag); err != nil {
			return trouble(err)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	stalled := time.AfterFunc(r.store.patient, cancel)
	body, info, _, err := r.store.core.GetObject(ctx, r.store.bucket, r.key, options)
	if !stalled.Stop() && r.ctx.Err() == nil {
		cancel()
		if err == nil {
			err = body.Close()
		}
		return errors.Join(errStalled, err)
	}
	if err != nil {
		cancel()
		err = r.store.trouble("read", err)
		if errors.Is(err, fs.ErrNotExist) {
			return fault.Wrap(fault.Unavailable, err, "The content was removed while it was read.")
		}
		return err
	}
	if info.Size != r.size-r.at {
		cancel()
		return errors.Join(damaged(r.key, info.Size+r.at, r.size), body.Close())
	}
	r.body, r.end = body, cancel
	return nil
}

// readSome reads once, and ends the answer when nothing comes for a while.
func (r *remote) readSome(p []byte) (int, error) {
	stalled := time.AfterFunc(r.store.patient, r.end)
	defer stalled.Stop()
	return r.body.Read(p)
}

// drop ends the answer. What it had to say is known already.
func (r *remote) drop() error {
	if r.body == nil {
		return nil
	}
	r.end()
	err := r.body.Close()
	r.body = nil
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Seek implements io.Seeker.
func (r *remote) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d", offset)
	}
	if offset == r.at {
		return offset, nil
	}
	r.at = offset
	return offset, r.drop()
}

// Close implements io.Closer.
func (r *remote) Close() error { return r.drop() }
