package object

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/treeline-ci/treeline/internal/fault"
)

// checked reads a content and, when that goes from its beginning to its end, verifies the sha256 before
// it gives the last bytes away: who gets all of them got the right ones.
type checked struct {
	io.ReadSeekCloser
	sum      string
	size, at int64
	hash     hash.Hash // of all bytes before at; nil when some were passed over
}

func check(content io.ReadSeekCloser, sum string, size int64) *checked {
	return &checked{ReadSeekCloser: content, sum: sum, size: size, hash: sha256.New()}
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadSeekCloser.Read(p)
	c.at += int64(n)
	if c.hash == nil || n == 0 {
		return n, err
	}
	c.hash.Write(p[:n])
	if c.at < c.size {
		return n, err
	}
	if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.sum || c.at > c.size {
		c.hash = nil
		return 0, fault.Wrap(fault.Unavailable, fmt.Errorf("content %s has the sha256 %s", c.sum, got), "The storage for objects has other bytes than were uploaded.")
	}
	return n, err
}

// Seek implements io.Seeker.
func (c *checked) Seek(offset int64, whence int) (int64, error) {
	at, err := c.ReadSeekCloser.Seek(offset, whence)
	if err != nil {
		return at, err
	}
	switch {
	case at == 0:
		c.hash = sha256.New()
	case at != c.at:
		c.hash = nil
	}
	c.at = at
	return at, nil
}
