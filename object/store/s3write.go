package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/treeline-ci/treeline/internal/fault"
)

// uploadKey is a key that nobody has. The ticket of an upload in parts is its key, a space and the
// service's id of the multipart upload; that of other staged bytes is the key.
func (s *S3) uploadKey() string {
	random := make([]byte, 16)
	rand.Read(random) // never fails
	return s.prefix + "uploads/" + hex.EncodeToString(random)
}

// settling is how long ending an upload may take after its caller has left.
const settling = 20 * time.Second

// Receive implements Store. What fits into one part stays in memory until Place; the rest streams to
// the service part by part.
func (s *S3) Receive(ctx context.Context, body io.Reader, limit int64) (_ *Staged, err error) {
	h := NewHasher()
	size := PartSize(limit)
	buf := make([]byte, min(size, limit+1))
	n, readErr := io.ReadFull(body, buf)
	h.Write(buf[:n])
	if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
		return &Staged{Sums: h.Sums(), small: buf[:n:n]}, nil
	}
	var ticket string
	var parts []Part
	if readErr == nil && int64(n) <= limit {
		ticket, err = s.BeginParts(ctx)
	}
	for number := 1; err == nil && readErr == nil && h.size <= limit; number++ {
		sum := sha256.Sum256(buf[:n])
		part := Part{Number: number, Offset: h.size - int64(n), Size: int64(n), SHA256: hex.EncodeToString(sum[:])}
		if part.Tag, err = s.send(ctx, ticket, part, buf[:n]); err != nil {
			break
		}
		parts = append(parts, part)
		if n, readErr = io.ReadFull(body, buf); errors.Is(readErr, io.ErrUnexpectedEOF) {
			readErr = nil // the last one
		}
		h.Write(buf[:n])
	}
	sums := h.Sums()
	switch {
	case err != nil:
	case readErr != nil && !errors.Is(readErr, io.EOF):
		err = readErr
	case sums.Size > limit:
		err = tooLarge(limit)
	default:
		err = s.join(ctx, ticket, parts)
	}
	key, _, _ := strings.Cut(ticket, " ")
	if err != nil && ticket != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settling)
		defer cancel()
		err = errors.Join(err, s.DropParts(ctx, ticket))
	}
	return &Staged{Sums: sums, Ticket: key}, err
}

// Place implements Store.
func (s *S3) Place(ctx context.Context, staged *Staged) error {
	size, err := s.Stat(ctx, staged.SHA256)
	if err == nil && size == staged.Size || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if staged.Ticket == "" {
		err = s.give(ctx, staged.small, func(ctx context.Context, body io.Reader) error {
			_, err := s.core.PutObject(ctx, s.bucket, s.key(staged.SHA256), body, staged.Size, "", staged.SHA256, minio.PutObjectOptions{})
			return err
		})
		return s.trouble("put", err)
	}
	key, _, _ := strings.Cut(staged.Ticket, " ")
	_, etag, _ := strings.Cut(staged.Ticket, etagMark)
	// A copy of more than 5 GiB is made in parts, by the service.
	_, err = s.core.ComposeObject(ctx, minio.CopyDestOptions{Bucket: s.bucket, Object: s.key(staged.SHA256)},
		minio.CopySrcOptions{Bucket: s.bucket, Object: key, MatchETag: etag})
	if err != nil {
		return s.trouble("copy", err)
	}
	return s.confirm(ctx, staged.Sums)
}

// confirm makes sure that a content is there as a whole.
func (s *S3) confirm(ctx context.Context, sums Sums) error {
	size, err := s.Stat(ctx, sums.SHA256)
	if err == nil && size != sums.Size {
		err = errors.Join(damaged(sums.SHA256, size, sums.Size), s.Remove(ctx, sums.SHA256))
	}
	return err
}

// Discard implements Store.
func (s *S3) Discard(ctx context.Context, staged *Staged) error {
	if staged.Ticket == "" {
		return nil
	}
	key, _, _ := strings.Cut(staged.Ticket, " ")
	return s.remove(ctx, key)
}

// Import implements Store.
func (s *S3) Import(ctx context.Context, path string, sums Sums) error {
	if size, err := s.Stat(ctx, sums.SHA256); err == nil && size == sums.Size {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return trouble(err)
	}
	defer f.Close()
	part := PartSize(sums.Size)
	_, err = s.core.Client.PutObject(ctx, s.bucket, s.key(sums.SHA256), f, sums.Size, minio.PutObjectOptions{PartSize: uint64(part), NumThreads: 2})
	if err != nil {
		return s.trouble("put", err)
	}
	return s.confirm(ctx, sums)
}

// BeginParts implements Store.
func (s *S3) BeginParts(ctx context.Context) (string, error) {
	key := s.uploadKey()
	id, err := s.core.NewMultipartUpload(ctx, s.bucket, key, minio.PutObjectOptions{})
	if err != nil {
		return "", s.trouble("begin an upload", err)
	}
	return key + " " + id, nil
}

// PutPart implements Store.
func (s *S3) PutPart(ctx context.Context, ticket string, part Part, body io.Reader) (string, error) {
	buf := make([]byte, part.Size)
	if err := exactly(body, buf, part); err != nil {
		return "", err
	}
	return s.send(ctx, ticket, part, buf)
}

// send gives a part to the service, which is told the sha256 and verifies it too.
func (s *S3) send(ctx context.Context, ticket string, part Part, content []byte) (tag string, err error) {
	key, id, _ := strings.Cut(ticket, " ")
	err = s.give(ctx, content, func(ctx context.Context, body io.Reader) error {
		options := minio.PutObjectPartOptions{Sha256Hex: part.SHA256}
		sent, err := s.core.PutObjectPart(ctx, s.bucket, key, id, part.Number, body, part.Size, options)
		if err != nil && minio.ToErrorResponse(err).StatusCode == 0 {
			// A service may refuse without taking the content, which then looks like a broken connection.
			if _, listing := s.core.ListObjectParts(ctx, s.bucket, key, id, 0, 1); minio.ToErrorResponse(listing).Code == minio.NoSuchUpload {
				err = listing
			}
		}
		tag = sent.ETag
		return err
	})
	return tag, s.trouble("put a part", err)
}

const (
	gives     = 6
	giveLimit = 5 * time.Minute // for one part
)

// give runs a request that sends content, again if it fails for a reason that may pass.
func (s *S3) give(ctx context.Context, content []byte, request func(context.Context, io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, giveLimit)
	defer cancel()
	for attempt := 1; ; attempt++ {
		body := &piece{rest: content}
		err := request(ctx, body)
		body.retire()
		answer := minio.ToErrorResponse(err)
		final := answer.StatusCode >= 400 && answer.StatusCode < 500 && answer.StatusCode != http.StatusRequestTimeout && answer.StatusCode != http.StatusTooManyRequests
		switch {
		case err == nil || final:
			return err
		case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fault.Wrap(fault.Unavailable, err, "The storage for objects is too slow at the moment.")
		case ctx.Err() != nil:
			return ctx.Err()
		case attempt == gives:
			return err
		}
		if pause(ctx, 100*time.Millisecond<<attempt) != nil {
			return err
		}
	}
}

// piece is a body that is sent once. A transport may read from it after the request has failed, which
// must not meddle with the next one: it is retired before its bytes are used again.
type piece struct {
	mu   sync.Mutex
	rest []byte
	gone bool
}

// Read implements io.Reader.
func (p *piece) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *piece) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.rest = true, nil
}

// join completes a multipart upload; one that was completed before has its object.
func (s *S3) join(ctx context.Context, ticket string, parts []Part) error {
	key, id, _ := strings.Cut(ticket, " ")
	list := make([]minio.CompletePart, len(parts))
	for i, p := range parts {
		list[i] = minio.CompletePart{PartNumber: p.Number, ETag: p.Tag}
	}
	_, err := s.core.CompleteMultipartUpload(ctx, s.bucket, key, id, list, minio.PutObjectOptions{})
	if err != nil {
		if info, statErr := s.core.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{}); statErr == nil && info.Size == total(parts) {
			return nil
		}
	}
	return s.trouble("complete an upload", err)
}

// JoinParts implements Store. The service reads the whole to us again: parts come in any order.
func (s *S3) JoinParts(ctx context.Context, ticket string, parts []Part) (*Staged, error) {
	if len(parts) == 0 { // nothing can be completed without a part
		return &Staged{Sums: NewHasher().Sums()}, s.DropParts(ctx, ticket)
	}
	if err := s.join(ctx, ticket, parts); err != nil {
		return nil, err
	}
	return s.Inspect(ctx, ticket)
}

// DropParts implements Store.
func (s *S3) DropParts(ctx context.Context, ticket string) error {
	key, id, parts := strings.Cut(ticket, " ")
	if !parts || strings.Contains(ticket, etagMark) {
		return s.remove(ctx, key)
	}
	return errors.Join(s.abort(ctx, key, id), s.remove(ctx, key))
}

func (s *S3) abort(ctx context.Context, key, id string) error {
	err := s.trouble("abort an upload", s.core.AbortMultipartUpload(ctx, s.bucket, key, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
