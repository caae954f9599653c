package store

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Hasher computes the Sums of what is written to it. sha512, which few processors help with, runs
// beside sha256. Sums ends it and must be called.
type Hasher struct {
	sha256, sha512 hash.Hash
	size           int64
	free, full     chan []byte
	done           chan struct{}
}

// NewHasher makes a Hasher.
func NewHasher() *Hasher { return &Hasher{sha256: sha256.New(), sha512: sha512.New()} }

const (
	hashedInline = 256 << 10 // bytes that are not worth a goroutine
	hashBuffer   = 256 << 10
	hashAhead    = 4
)

// Write implements io.Writer; it never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	total := len(p)
	h.size += int64(total)
	h.sha256.Write(p)
	if h.full == nil && h.size <= hashedInline {
		h.sha512.Write(p)
		return total, nil
	}
	h.start()
	for len(p) > 0 {
		buf := <-h.free
		if buf == nil {
			buf = make([]byte, hashBuffer)
		}
		n := copy(buf[:hashBuffer], p)
		p = p[n:]
		h.full <- buf[:n]
	}
	return total, nil
}

func (h *Hasher) start() {
	if h.full != nil {
		return
	}
	h.free, h.full, h.done = make(chan []byte, hashAhead), make(chan []byte, hashAhead), make(chan struct{})
	for range hashAhead {
		h.free <- nil // allocated when needed
	}
	go func() {
		defer close(h.done)
		for buf := range h.full {
			h.sha512.Write(buf)
			h.free <- buf
		}
	}()
}

// Sums returns the result. Nothing may be written afterwards.
func (h *Hasher) Sums() Sums {
	if h.full != nil {
		close(h.full)
		<-h.done
		h.full = nil
	}
	return Sums{hex.EncodeToString(h.sha256.Sum(nil)), hex.EncodeToString(h.sha512.Sum(nil)), h.size}
}

// HashOf reads r to its end.
func HashOf(r io.Reader) (Sums, error) {
	h := NewHasher()
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 128<<10))
	return h.Sums(), err
}

// exactly reads a part into buf, which has the part's size, and checks it.
func exactly(body io.Reader, buf []byte, part Part) error {
	n, err := io.ReadFull(body, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.New(fault.Invalid, "Part %d ended after %d of %d bytes.", part.Number, n, part.Size)
	}
	if err != nil {
		return err
	}
	if extra, err := io.ReadFull(body, make([]byte, 1)); extra > 0 {
		return fault.New(fault.Invalid, "Part %d has more than %d bytes.", part.Number, part.Size)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return part.check(sha256.Sum256(buf))
}

func (p Part) check(sum [sha256.Size]byte) error {
	if got := hex.EncodeToString(sum[:]); got != p.SHA256 {
		return fault.New(fault.Invalid, "Part %d does not have the sha256 that was given: it is %s, not %s.", p.Number, got, p.SHA256)
	}
	return nil
}
