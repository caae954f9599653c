package object

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/object/store"
)

// The ways in which content can arrive, as the database has them.
const (
	methodInline = "dataInline"
	methodPut    = "putUrl"    // PUT to us
	methodDirect = "directPut" // PUT to the store; putUrl on the wire as well
	methodParts  = "parts"
	methodAppend = "append"
	methodSigned = "signedPut" // see SignedPut
)

// maxInline is how many bytes may travel inside a call (taskcluster-map 11).
const maxInline = 8 << 10

// UploadRequest begins an upload, or goes on with one. Of the ways proposed the first that is not
// nil is taken, in the order here; with none only the upload's properties are fixed.
type UploadRequest struct {
	Name, ProjectID, UploadID string
	Expires                   time.Time
	Hashes                    map[string]string
	Inline                    *InlineUpload
	Put                       *PutUpload
	Parts                     *PartsUpload
	Append                    *AppendUpload
}

// InlineUpload has the content in it, base64 with at most 8 KiB behind it.
type InlineUpload struct{ ContentType, Data string }

// PutUpload announces one PUT of the whole content.
type PutUpload struct {
	ContentType   string
	ContentLength int64
}

// PartsUpload announces content in numbered parts, which come in any order.
type PartsUpload struct {
	ContentType   string
	ContentLength int64
}

// AppendUpload announces content in pieces.
type AppendUpload struct{ ContentType string }

// Upload is how to go on; at most one of Inline, Put, Parts and Append is set.
type Upload struct {
	Expires time.Time // of the object
	Inline  bool      // the content is stored
	Put     *PutTarget
	Parts   *PartsTarget
	Append  *AppendTarget
}

// PutTarget is where the whole content goes, with exactly these headers.
type PutTarget struct {
	URL     string
	Headers map[string]string
	Expires time.Time
}

// AppendTarget is where pieces go, and where others read what is there already.
type AppendTarget struct {
	AppendURL, StreamURL string
	Expires              time.Time
}

// CreateUpload begins an upload, or returns fresh URLs for one begun before with the same upload id,
// project and expiry. Anything else under that name is a fault.Conflict.
func (s *Store) CreateUpload(ctx context.Context, r UploadRequest) (Upload, error) {
	if err := checkNames(r.Name, r.ProjectID, r.UploadID); err != nil {
		return Upload{}, fmt.Errorf("object: create upload: %w", err)
	}
	if err := checkHashes(r.Hashes); err != nil {
		return Upload{}, fmt.Errorf("object: create upload: %w", err)
	}
	if _, _, size := s.way(r); size != nil && (*size < 0 || *size > s.maxSize) {
		return Upload{}, fault.New(fault.TooLarge, "An object may have up to %d bytes.", s.maxSize)
	}
	var o *record
	var before dropped
	err := pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		o, before, err = s.claim(ctx, tx, r)
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("object: create upload of %s: %w", r.Name, err)
	}
	s.dropTicket(ctx, before.Store, before.Ticket)
	return s.offer(ctx, o, r)
}

// claim makes the object's row, or checks that the one there belongs to this upload. It also returns
// what is to be dropped because the upload goes another way now.
func (s *Store) claim(ctx context.Context, tx pgx.Tx, r UploadRequest) (_ *record, before dropped, _ error) {
	o, err := s.own(ctx, tx, r)
	if err != nil {
		return nil, before, err
	}
	claimed, err := merged(o.Claimed, r.Hashes)
	if err != nil {
		return nil, before, err
	}
	method, contentType, size := s.way(r)
	if method == "" { // nothing usable proposed: what was agreed before stays
		method, contentType, size = o.Method, o.ContentType, o.ExpectedSize
	}
	goesOn := method == o.Method && equal(size, o.ExpectedSize)
	if !goesOn {
		before = dropped{o.ID, o.Store, o.Ticket}
		if _, err := tx.Exec(ctx, forgetPartsSQL.Text, o.ID); err != nil {
			return nil, before, err
		}
	}
	if !goesOn || o.Ticket == "" {
		o.Store, o.Ticket = s.places.uploads.Name, ""
	}
	if _, err := tx.Exec(ctx, renewSQL.Text, o.ID, method, contentType, size, claimed, o.Store, o.Ticket); err != nil {
		return nil, before, err
	}
	o.Method, o.ContentType, o.ExpectedSize, o.Claimed = method, contentType, size, claimed
	return o, before, nil
}

func equal(a, b *int64) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// own makes the object's row when there is none, locks it, and refuses one that is not of this upload.
func (s *Store) own(ctx context.Context, tx pgx.Tx, r UploadRequest) (*record, error) {
	expires := r.Expires.UTC().Truncate(time.Millisecond)
	if _, err := tx.Exec(ctx, insertSQL.Text, r.Name, r.ProjectID, r.UploadID, expires); err != nil {
		return nil, err
	}
	o, err := s.read(ctx, tx, readLockedSQL.Text, r.Name)
	if err != nil {
		return nil, err
	}
	switch {
	case o.UploadID != r.UploadID:
		return nil, fault.New(fault.Conflict, "Object %q exists already, or another upload of it is under way.", r.Name)
	case o.ProjectID != r.ProjectID || !o.Expires.Equal(expires):
		return nil, fault.New(fault.Conflict, "This upload of object %q began with another project or expiry.", r.Name)
	case o.Finished != nil || o.sealed():
		return nil, fault.New(fault.Conflict, "The upload of object %q is finished.", r.Name)
	}
	return o, nil
}

// way chooses among what is proposed.
func (s *Store) way(r UploadRequest) (method, contentType string, size *int64) {
	switch {
	case r.Inline != nil:
		return methodInline, r.Inline.ContentType, nil
	case r.Put != nil:
		if signer, ok := s.places.uploads.signer(s.places.uploads.DirectUploads); ok && r.Put.ContentLength <= signer.MaxPut() {
			return methodDirect, r.Put.ContentType, &r.Put.ContentLength
		}
		return methodPut, r.Put.ContentType, &r.Put.ContentLength
	case r.Parts != nil:
		return methodParts, r.Parts.ContentType, &r.Parts.ContentLength
	case r.Append != nil:
		return methodAppend, r.Append.ContentType, nil
	}
	return "", "", nil
}

// merged adds hashes to those claimed before; a different value is a fault.Conflict.
func merged(before, more map[string]string) (map[string]string, error) {
	all := map[string]string{}
	maps.Copy(all, before)
	for algorithm, value := range more {
		if old, ok := all[algorithm]; ok && old != value {
			return nil, fault.New(fault.Conflict, "The %s of this upload was given before and differs.", algorithm)
		}
		all[algorithm] = value
	}
	return all, nil
}

// offer does what the way chosen asks for: store the content, or make the place and URLs for it.
func (s *Store) offer(ctx context.Context, o *record, r UploadRequest) (Upload, error) {
	out := Upload{Expires: o.Expires}
	var err error
	until := time.Now().Add(writeFor)
	switch {
	case r.Inline != nil:
		out.Inline, err = true, s.storeInline(ctx, o, r.Inline.Data)
	case r.Put != nil && o.Method == methodDirect:
		out.Put, err = s.offerDirect(ctx, o)
	case r.Put != nil:
		out.Put = &PutTarget{URL: s.sign(Write, o.Name, o.ID, until), Expires: until, Headers: map[string]string{
			"Content-Type": o.ContentType, "Content-Length": fmt.Sprint(*o.ExpectedSize),
		}}
	case r.Parts != nil:
		out.Parts = &PartsTarget{URL: s.sign(Parts, o.Name, o.ID, until), PartSize: store.PartSize(*o.ExpectedSize), Expires: until}
		_, err = s.ticket(ctx, o)
	case r.Append != nil:
		out.Append, err = s.offerAppend(o, until)
	}
	if err != nil {
		return Upload{}, fmt.Errorf("object: create upload of %s: %w", o.Name, err)
	}
	return out, nil
}

func (s *Store) storeInline(ctx context.Context, o *record, text string) error {
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return fault.New(fault.Invalid, "objectData is not base64: %v", err)
	}
	if len(data) > maxInline {
		return fault.New(fault.TooLarge, "objectData has %d bytes; up to %d may be inline.", len(data), maxInline)
	}
	return s.store(ctx, o, incoming{body: bytes.NewReader(data), size: int64(len(data))})
}

func (s *Store) offerAppend(o *record, until time.Time) (*AppendTarget, error) {
	f, err := os.OpenFile(s.disk.partial(o.ID), os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, storage(err)
	}
	readable := time.Now().Add(followFor)
	if o.Expires.Before(readable) {
		readable = o.Expires
	}
	return &AppendTarget{
		AppendURL: s.sign(Append, o.Name, o.ID, until), StreamURL: s.sign(Follow, o.Name, o.ID, readable), Expires: until,
	}, nil
}

// byURL returns the upload that a signed URL belongs to, if it goes one of these ways.
func (s *Store) byURL(ctx context.Context, id int64, methods ...string) (*record, error) {
	o, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if errors.Is(err, fault.NotFound) {
		return nil, fault.New(fault.NotFound, "The upload that this URL belongs to does not exist any more.")
	}
	if err == nil && !slices.Contains(methods, o.Method) {
		return nil, fault.New(fault.Conflict, "The upload of object %q goes another way now.", o.Name)
	}
	return o, err
}

func finishedBefore(o *record) error {
	if o.Finished != nil || o.sealed() {
		return fault.New(fault.Conflict, "The upload of object %q is finished.", o.Name)
	}
	return nil
}

var insertSQL = pg.Statement{Name: "object.insert", Text: `
INSERT INTO objects (name, project_id, upload_id, expires) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`}

// renewSQL lets go of content that came another way.
var renewSQL = pg.Statement{Name: "object.renew", Text: `
WITH changed AS (SELECT sha256 FROM objects WHERE id = $1 AND method <> $2),
left_behind AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM changed))
UPDATE objects SET method = $2, content_type = $3, expected_size = $4, claimed = $5, upload_expires = now() + interval '1 day',
	store = $6, ticket = $7,
	sha256 = CASE WHEN method = $2 THEN sha256 END, sha512 = CASE WHEN method = $2 THEN sha512 END
WHERE id = $1`}
