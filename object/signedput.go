package object

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// SignedPut begins an upload that is one PUT to the URL returned, without any other call: what
// workers expect of artifacts of the storage type s3. The object is readable as soon as the PUT is
// answered, and stays as it is: the same bytes may be sent again, others are refused. Whatever the
// store for uploads is, the bytes go through us, for nobody would tell us of their arrival elsewhere.
//
// contentLength is -1 when it is not known; it is a hint that only refuses what is too large, for the
// sender may compress. expires is of the object. Asking again gives a fresh URL, and may put expires
// off; another project or content type is a fault.Conflict. One that is not used within a day ends.
func (s *Store) SignedPut(ctx context.Context, name, projectID, contentType string, contentLength int64, expires time.Time) (url string, until time.Time, err error) {
	id := slug.New()
	if err := checkNames(name, projectID, id); err != nil {
		return "", time.Time{}, fmt.Errorf("object: signed put: %w", err)
	}
	if contentLength > s.maxSize {
		return "", time.Time{}, fault.New(fault.TooLarge, "An object may have up to %d bytes.", s.maxSize)
	}
	expires = expires.UTC().Truncate(time.Millisecond)
	var o *record
	err = pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, insertSignedSQL.Text, name, projectID, id, expires, contentType, s.places.uploads.Name); err != nil {
			return err
		}
		o, err = s.read(ctx, tx, readLockedSQL.Text, name)
		if err != nil {
			return err
		}
		if o.Method != methodSigned || o.ProjectID != projectID || o.ContentType != contentType || o.Expires.Before(expires) {
			return fault.New(fault.Conflict, "Object %q exists already, or another upload of it is under way.", name)
		}
		return nil
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("object: signed put of %s: %w", name, err)
	}
	until = time.Now().Add(signedFor)
	return s.sign(Write, name, o.ID, until), until, nil
}

var insertSignedSQL = pg.Statement{Name: "object.insert_signed", Text: `
INSERT INTO objects (name, project_id, upload_id, expires, content_type, method, store) VALUES ($1, $2, $3, $4, $5, 'signedPut', $6)
ON CONFLICT (name) DO UPDATE SET expires = greatest(objects.expires, excluded.expires), upload_expires = now() + interval '1 day'
WHERE objects.method = 'signedPut' AND objects.project_id = excluded.project_id AND objects.content_type = excluded.content_type`}
