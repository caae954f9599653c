package object

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// The ways in which content can arrive, as the database has them.
const (
	methodInline = "dataInline"
	methodPut    = "putUrl"
	methodAppend = "append"
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
	Append                    *AppendUpload
}

// InlineUpload has the content in it, base64 with at most 8 KiB behind it.
type InlineUpload struct{ ContentType, Data string }

// PutUpload announces one PUT of the whole content.
type PutUpload struct {
	ContentType   string
	ContentLength int64
}

// AppendUpload announces content in pieces.
type AppendUpload struct{ ContentType string }

// Upload is how to go on; at most one of Inline, Put and Append is set.
type Upload struct {
	Expires time.Time // of the object
	Inline  bool      // the content is stored
	Put     *PutTarget
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
	if r.Put != nil && (r.Put.ContentLength < 0 || r.Put.ContentLength > s.maxSize) {
		return Upload{}, fault.New(fault.TooLarge, "An object may have up to %d bytes.", s.maxSize)
	}
	var o *record
	err := pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
		o, err = s.claim(ctx, tx, r)
		return err
	})
	if err != nil {
		return Upload{}, fmt.Errorf("object: create upload of %s: %w", r.Name, err)
	}
	return s.offer(ctx, o, r)
}

// claim makes the object's row, or checks that the one there belongs to this upload.
func (s *Store) claim(ctx context.Context, tx pgx.Tx, r UploadRequest) (*record, error) {
	method, contentType, size := r.method()
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
	claimed, err := merged(o.Claimed, r.Hashes)
	if err != nil {
		return nil, err
	}
	if method == "" { // nothing usable proposed: what was agreed before stays
		method, contentType, size = o.Method, o.ContentType, o.ExpectedSize
	}
	if _, err := tx.Exec(ctx, renewSQL.Text, o.ID, method, contentType, size, claimed); err != nil {
		return nil, err
	}
	o.Method, o.ContentType, o.ExpectedSize, o.Claimed = method, contentType, size, claimed
	return o, nil
}

func (r UploadRequest) method() (method, contentType string, size *int64) {
	switch {
	case r.Inline != nil:
		return methodInline, r.Inline.ContentType, nil
	case r.Put != nil:
		return methodPut, r.Put.ContentType, &r.Put.ContentLength
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
	now := time.Now()
	switch {
	case r.Inline != nil:
		data, err := base64.StdEncoding.DecodeString(r.Inline.Data)
		if err != nil {
			return Upload{}, fault.New(fault.Invalid, "objectData is not base64: %v", err)
		}
		if len(data) > maxInline {
			return Upload{}, fault.New(fault.TooLarge, "objectData has %d bytes; up to %d may be inline.", len(data), maxInline)
		}
		if err := s.store(ctx, o, bytes.NewReader(data), int64(len(data))); err != nil {
			return Upload{}, fmt.Errorf("object: inline upload of %s: %w", o.Name, err)
		}
		out.Inline = true
	case r.Put != nil:
		until := now.Add(writeFor)
		out.Put = &PutTarget{URL: s.sign(Write, o.Name, o.ID, until), Expires: until, Headers: map[string]string{
			"Content-Type": o.ContentType, "Content-Length": fmt.Sprint(*o.ExpectedSize),
		}}
	case r.Append != nil:
		f, err := os.OpenFile(s.disk.partial(o.ID), os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return Upload{}, storage(err)
		}
		until, readable := now.Add(writeFor), now.Add(followFor)
		if o.Expires.Before(readable) {
			readable = o.Expires
		}
		out.Append = &AppendTarget{
			AppendURL: s.sign(Append, o.Name, o.ID, until), StreamURL: s.sign(Follow, o.Name, o.ID, readable), Expires: until,
		}
	}
	return out, nil
}

// ownMethod returns the upload that a signed URL belongs to, if it may still take content this way.
func (s *Store) ownMethod(ctx context.Context, id int64, method string) (*record, error) {
	o, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	if err != nil {
		if errors.Is(err, fault.NotFound) {
			return nil, fault.New(fault.NotFound, "The upload that this URL belongs to does not exist any more.")
		}
		return nil, err
	}
	switch {
	case o.Finished != nil || o.sealed():
		return nil, fault.New(fault.Conflict, "The upload of object %q is finished.", o.Name)
	case o.Method != method:
		return nil, fault.New(fault.Conflict, "The upload of object %q goes another way now.", o.Name)
	}
	return o, nil
}

var insertSQL = pg.Statement{Name: "object.insert", Text: `
INSERT INTO objects (name, project_id, upload_id, expires) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING`}

// renewSQL lets go of content that came another way.
var renewSQL = pg.Statement{Name: "object.renew", Text: `
WITH changed AS (SELECT sha256 FROM objects WHERE id = $1 AND method <> $2),
left_behind AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM changed))
UPDATE objects SET method = $2, content_type = $3, expected_size = $4, claimed = $5, upload_expires = now() + interval '1 day',
	sha256 = CASE WHEN method = $2 THEN sha256 END, sha512 = CASE WHEN method = $2 THEN sha512 END
WHERE id = $1`}
