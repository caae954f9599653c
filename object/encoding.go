package object

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/object/store"
)

// gzipped is the one content encoding that contents may be stored with.
const gzipped = "gzip"

// unzipping decompresses what is written to it and hashes what comes out.
type unzipping struct {
	w    *io.PipeWriter
	sums store.Sums
	err  error
	done chan struct{}
}

// unzip takes compressed bytes of which at most limit come out.
func unzip(limit int64) *unzipping {
	r, w := io.Pipe()
	u := &unzipping{w: w, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		u.sums, u.err = plainSums(r, limit)
		// What follows is taken and ignored: the writer hears of the error at the end.
		if _, err := io.Copy(io.Discard, r); u.err == nil {
			u.err = err
		}
	}()
	return u
}

func plainSums(r io.Reader, limit int64) (store.Sums, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return store.Sums{}, err
	}
	sums, err := store.HashOf(io.LimitReader(z, limit+1))
	if err == nil && sums.Size > limit {
		err = fault.New(fault.TooLarge, "The content is larger than the %d bytes allowed when it is decompressed.", limit)
	}
	return sums, err
}

// Write implements io.Writer.
func (u *unzipping) Write(p []byte) (int, error) { return u.w.Write(p) }

// finish returns what came out. err is why no more comes in, nil when all has come.
func (u *unzipping) finish(err error) (store.Sums, error) {
	if err == nil {
		err = io.EOF
	}
	_ = u.w.CloseWithError(err) // never fails
	<-u.done
	if u.err == nil {
		return u.sums, nil
	}
	if _, ok := errors.AsType[*fault.Error](u.err); ok {
		return u.sums, u.err
	}
	return u.sums, fault.Wrap(fault.Invalid, u.err, "The content was announced as gzip, but it is not.")
}

// unzipped reads what is in a compressed content at any place: it decompresses from the beginning when
// it has to go back.
type unzipped struct {
	stored   io.ReadSeekCloser
	z        *gzip.Reader
	size     int64
	at, read int64 // where the next Read is to be, and where z is
}

// Read implements io.Reader.
func (u *unzipped) Read(p []byte) (int, error) {
	if u.at >= u.size {
		return 0, io.EOF
	}
	if u.z == nil || u.at < u.read {
		if _, err := u.stored.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		z, err := gzip.NewReader(u.stored)
		if err != nil {
			return 0, err
		}
		u.z, u.read = z, 0
	}
	if u.read < u.at {
		n, err := io.CopyN(io.Discard, u.z, u.at-u.read)
		u.read += n
		if err != nil {
			return 0, err
		}
	}
	n, err := u.z.Read(p)
	u.read += int64(n)
	u.at = u.read
	if errors.Is(err, io.EOF) && u.read < u.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Seek implements io.Seeker.
func (u *unzipped) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += u.at
	case io.SeekEnd:
		offset += u.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek to %d", offset)
	}
	u.at = offset
	return offset, nil
}

// Close implements io.Closer.
func (u *unzipped) Close() error { return u.stored.Close() }
