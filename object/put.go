package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// PutContent takes the whole content of an upload begun with Put, by the id that Holds returned. Type
// and length must be those announced. It may be repeated until the upload is finished.
func (s *Store) PutContent(ctx context.Context, id int64, contentType string, length int64, body io.Reader) error {
	o, err := s.ownMethod(ctx, id, methodPut)
	if err != nil {
		return fmt.Errorf("object: put: %w", err)
	}
	if contentType != o.ContentType {
		return fault.New(fault.Invalid, "The upload was announced with the content type %q, not %q.", o.ContentType, contentType)
	}
	if length >= 0 && length != *o.ExpectedSize {
		return fault.New(fault.Invalid, "The upload was announced with %d bytes, not %d.", *o.ExpectedSize, length)
	}
	if err := s.store(ctx, o, body, *o.ExpectedSize); err != nil {
		return fmt.Errorf("object: put %s: %w", o.Name, err)
	}
	return nil
}

// store writes a content of exactly size bytes and makes it that of the unfinished object.
func (s *Store) store(ctx context.Context, o *record, body io.Reader, size int64) error {
	path, got, err := s.disk.receive(body, size)
	if err != nil {
		return received(err)
	}
	defer s.discard(path)
	if got.Size != size {
		return fault.New(fault.Invalid, "The content ended after %d of %d bytes.", got.Size, size)
	}
	return pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		now, err := s.read(ctx, tx, readLockedSQL.Text, o.Name)
		if err != nil {
			return err
		}
		if now.ID != o.ID || now.Finished != nil || now.Method != o.Method {
			return fault.New(fault.Conflict, "The upload of object %q was finished or replaced meanwhile.", o.Name)
		}
		if err := s.enter(ctx, tx, path, got); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, setContentSQL.Text, o.ID, got.SHA256, got.SHA512, now.SHA256)
		return err
	})
}

// enter makes the row of a content and moves its file into place, inside the transaction that will
// refer to it. Holding the row's lock keeps Clean away; a file without a committed row is found by
// Clean later.
func (s *Store) enter(ctx context.Context, tx pgx.Tx, path string, got sums) error {
	if _, err := tx.Exec(ctx, enterContentSQL.Text, got.SHA256, got.Size); err != nil {
		return err
	}
	err := s.disk.place(path, got.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		// An earlier try of this transaction placed it.
		_, err = os.Stat(s.disk.content(got.SHA256))
	}
	return err
}

// discard removes a temporary file if it was not placed.
func (s *Store) discard(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("object: a temporary file is left; it is removed later", "err", err)
	}
}

// received gives an error while reading from a sender its meaning.
func received(err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	return fault.Wrap(fault.Invalid, err, "The content could not be received to its end.")
}

// Put makes a finished object in one step, for callers within the process. want is the sha256 that
// the content must have, or "". The same content under the same name again is no error; another is a
// fault.Conflict.
func (s *Store) Put(ctx context.Context, name, projectID, contentType string, expires time.Time, r io.Reader, want string) (Object, error) {
	if err := checkNames(name, projectID, slug.New()); err != nil {
		return Object{}, fmt.Errorf("object: put: %w", err)
	}
	if _, _, err := mime.ParseMediaType(contentType); err != nil {
		return Object{}, fault.New(fault.Invalid, "object: put %s: content type %.100q: %v", name, contentType, err)
	}
	path, got, err := s.disk.receive(r, s.maxSize)
	if err != nil {
		return Object{}, fmt.Errorf("object: put %s: %w", name, err)
	}
	defer s.discard(path)
	if want != "" && want != got.SHA256 {
		return Object{}, fault.New(fault.Invalid, "object: put %s: the sha256 is %s, not %s", name, got.SHA256, want)
	}
	var o *record
	err = pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.enter(ctx, tx, path, got); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, insertWholeSQL.Text, name, projectID, slug.New(), expires.UTC().Truncate(time.Millisecond), contentType, got.SHA256, got.SHA512)
		if err != nil {
			return err
		}
		if o, err = s.read(ctx, tx, readSQL.Text, name); err != nil {
			return err
		}
		if tag.RowsAffected() == 0 && (!o.visible() || *o.SHA256 != got.SHA256) {
			return fault.New(fault.Conflict, "Object %q exists already with other content.", name)
		}
		return nil
	})
	if err != nil {
		return Object{}, fmt.Errorf("object: put %s: %w", name, err)
	}
	return o.object(), nil
}

var enterContentSQL = pg.Statement{Name: "object.enter_content", Text: `
INSERT INTO object_contents (sha256, size) VALUES ($1, $2)
ON CONFLICT (sha256) DO UPDATE SET unused_since = NULL`}

var setContentSQL = pg.Statement{Name: "object.set_content", Text: `
WITH left_behind AS (UPDATE object_contents SET unused_since = now() WHERE sha256 = $4 AND sha256 <> $2)
UPDATE objects SET sha256 = $2, sha512 = $3 WHERE id = $1`}

var insertWholeSQL = pg.Statement{Name: "object.insert_whole", Text: `
INSERT INTO objects (name, project_id, upload_id, expires, content_type, sha256, sha512, finished)
VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (name) DO NOTHING`}
