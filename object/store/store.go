// Package store keeps contents: bytes under the name of their sha256. A Store is a place for them, on
// a disk or in an S3-compatible service; package object knows which object has which content, and
// in which store.
//
// A content is there whole or not at all, whenever a process or machine is killed: bytes arrive in a
// temporary place, are hashed on the way and made durable, and only then get their name. Getting it
// may be repeated by anyone. All methods are safe for concurrent use, by several processes too.
//
// Errors of the storage itself are a fault.Unavailable; what is not there is an fs.ErrNotExist;
// those of the sender of bytes stay as they are.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
)

// Store is a place for contents.
type Store interface {
	// Receive takes bytes to their end, at most limit of them; more are a fault.TooLarge.
	Receive(ctx context.Context, body io.Reader, limit int64) (*Staged, error)
	// Place gives staged bytes their name. It may be repeated, also after Discard.
	Place(ctx context.Context, staged *Staged) error
	// Discard removes staged bytes if they are there still.
	Discard(ctx context.Context, staged *Staged) error
	// Import makes a local file that nobody changes any more a content; the file may be gone
	// afterwards. It may be repeated.
	Import(ctx context.Context, path string, sums Sums) error

	// Stat returns the size of a content.
	Stat(ctx context.Context, sum string) (int64, error)
	// Open reads a content of a known size. Reads fail when ctx ends.
	Open(ctx context.Context, sum string, size int64) (io.ReadSeekCloser, error)
	// Remove removes a content; one that is not there is no error.
	Remove(ctx context.Context, sum string) error
	// List returns, in their order, up to limit contents whose sha256 is greater than after.
	List(ctx context.Context, after string, limit int) ([]Entry, error)
	// Tidy removes what killed processes left of uploads, if it is older than age and keep, which
	// gets the ticket of the upload, says no.
	Tidy(ctx context.Context, age time.Duration, keep func(ctx context.Context, ticket string) (bool, error)) error

	// BeginParts begins an upload in parts and returns the ticket that the methods below take.
	BeginParts(ctx context.Context) (ticket string, err error)
	// PutPart stores a part, durably, if it has its size and sha256; if not it is a fault.Invalid.
	// A part may be sent again. An upload that takes no parts any more is an fs.ErrNotExist.
	PutPart(ctx context.Context, ticket string, part Part, body io.Reader) (tag string, err error)
	// JoinParts ends the taking of parts and hashes the whole, as it is stored. It may be repeated.
	JoinParts(ctx context.Context, ticket string, parts []Part) (*Staged, error)
	// DropParts removes all that is there of an upload in parts.
	DropParts(ctx context.Context, ticket string) error
}

// Signer is a Store whose contents clients can reach without us.
type Signer interface {
	// SignGet returns a URL that serves a content.
	SignGet(ctx context.Context, sum string, as Served, valid time.Duration) (string, error)
	// NewPut returns a ticket for SignPut.
	NewPut() (ticket string)
	// SignPut returns a URL, and the headers to send with it, that takes size bytes. Nobody can
	// read them before Inspect and Place.
	SignPut(ctx context.Context, ticket string, size int64, contentType string, valid time.Duration) (url string, headers map[string]string, err error)
	// Inspect reads and hashes what came by SignPut. Nothing there is an fs.ErrNotExist.
	Inspect(ctx context.Context, ticket string) (*Staged, error)
	// MaxPut is how many bytes SignPut can take.
	MaxPut() int64
}

// Served says how a content is to be served.
type Served struct{ ContentType, Disposition, Encoding string }

// Sums are the hashes, in lower-case hexadecimal, and the size of bytes.
type Sums struct {
	SHA256, SHA512 string
	Size           int64
}

// Staged are bytes that came whole and are durable, but have no name yet. Small ones may be in memory
// until Place; those that have a Ticket can be placed by another process too.
type Staged struct {
	Sums
	Ticket string
	small  []byte
}

// Part is a piece of an upload in parts.
type Part struct {
	Number int // from 1
	Offset int64
	Size   int64
	SHA256 string
	Tag    string // what PutPart returned
}

// Entry is a content as List finds it.
type Entry struct {
	SHA256   string
	Size     int64
	Modified time.Time
}

// PartSize is the size of all parts but the last of an upload of that many bytes: the least that S3
// takes in at most 10,000 parts, and not less than 8 MiB.
func PartSize(size int64) int64 {
	const least, most = 8 << 20, 10_000
	parts := (size + most*least - 1) / (most * least)
	return max(1, parts) * least
}

// trouble gives an error of a storage its meaning: it may pass, and is not the caller's fault.
func trouble(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) {
		return err
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "The storage for objects cannot be used at the moment.")
}

// damaged says that a storage has other bytes than it was given.
func damaged(sum string, has, want int64) error {
	return fault.Wrap(fault.Unavailable, fmt.Errorf("content %s has %d bytes, it should have %d", sum, has, want), "The storage for objects has lost part of a content.")
}

func tooLarge(limit int64) error {
	return fault.New(fault.TooLarge, "The content is larger than the %d bytes allowed.", limit)
}
