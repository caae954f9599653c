// Package slug makes and checks slugids: UUIDs of version 4 written as 22 characters of
// URL-safe base64 (taskcluster-map 4.1). Task ids, group ids and access tokens are slugids.
package slug

import (
	"crypto/rand"
	"encoding/base64"
)

// New returns a random slugid.
func New() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process rather than return weak bytes
	return FromBytes(b)
}

// Nice returns a random slugid that starts with a letter A-Z or a-f, so that it can be given on
// a command line without looking like a flag.
func Nice() string {
	var b [16]byte
	rand.Read(b[:])
	b[0] &= 0x7f
	return FromBytes(b)
}

// FromBytes returns the slugid of b after setting the bits that mark a version 4 UUID; the same
// bytes give the same slugid.
func FromBytes(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Valid reports whether s is a slugid with the bits of a version 4 UUID.
func Valid(s string) bool {
	if len(s) != 22 {
		return false
	}
	var b [16]byte
	n, err := base64.RawURLEncoding.Strict().Decode(b[:], []byte(s))
	return err == nil && n == 16 && b[6]>>4 == 4 && b[8]>>6 == 2
}
