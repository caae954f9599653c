package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/object/store"
)

// PutContent takes the whole content of an upload begun with Put, or of SignedPut, by the id that
// Holds returned. Type and length (-1: not known beforehand) must be those announced; encoding is ""
// or "gzip". An upload begun with Put may be repeated until it is finished; one of SignedPut is
// finished by it, and may be repeated with the same bytes.
func (s *Store) PutContent(ctx context.Context, id int64, contentType, encoding string, length int64, body io.Reader) error {
	o, err := s.byURL(ctx, id, methodPut, methodSigned)
	if err == nil && o.Method == methodPut {
		err = finishedBefore(o)
	}
	if err != nil {
		return fmt.Errorf("object: put: %w", err)
	}
	if contentType != o.ContentType {
		return fault.New(fault.Invalid, "The upload was announced with the content type %q, not %q.", o.ContentType, contentType)
	}
	if encoding != "" && encoding != gzipped {
		return fault.New(fault.Invalid, "The content encoding %.40q is not known; send the content as it is or with gzip.", encoding)
	}
	in := incoming{body: body, size: -1, encoding: encoding}
	if o.ExpectedSize != nil {
		in.size = *o.ExpectedSize
		if length >= 0 && length != in.size {
			return fault.New(fault.Invalid, "The upload was announced with %d bytes, not %d.", in.size, length)
		}
	}
	if length > s.maxSize {
		return fault.New(fault.TooLarge, "An object may have up to %d bytes.", s.maxSize)
	}
	if err := s.store(ctx, o, in); err != nil {
		return fmt.Errorf("object: put %s: %w", o.Name, err)
	}
	return nil
}

// incoming is a whole content on its way in.
type incoming struct {
	body     io.Reader
	size     int64 // -1: whatever comes
	encoding string
}

// arrived is a content that came whole.
type arrived struct {
	store.Sums
	staged   *store.Staged
	home     *Place
	encoding string
	plain    store.Sums // of what is encoded
}

// receive takes a content to where uploads go. It is not yet known to anybody; release must be called
// when that is settled.
func (s *Store) receive(ctx context.Context, in incoming) (got arrived, release func(), err error) {
	got.home, got.encoding = s.places.uploads, in.encoding
	limit, body := s.maxSize, in.body
	if in.size >= 0 {
		limit = in.size
	}
	var plain *unzipping
	if in.encoding != "" {
		plain = unzip(s.maxSize)
		body = io.TeeReader(in.body, plain)
	}
	staged, err := got.home.Store.Receive(ctx, body, limit)
	if plain != nil {
		var plainErr error
		got.plain, plainErr = plain.finish(err)
		if err == nil && plainErr != nil {
			err = errors.Join(plainErr, got.home.Store.Discard(ctx, staged))
		}
	}
	if err != nil {
		return got, nil, received(err)
	}
	release = func() {
		if err := got.home.Store.Discard(context.WithoutCancel(ctx), staged); err != nil {
			s.log.WarnContext(ctx, "object: a temporary content is left; it is removed later", "store", got.home.Name, "err", err)
		}
	}
	if in.size >= 0 && staged.Size != in.size {
		release()
		return got, nil, fault.New(fault.Invalid, "The content ended after %d of %d bytes.", staged.Size, in.size)
	}
	got.Sums, got.staged = staged.Sums, staged
	// What takes a while is done before the transaction; a folder moves a file at once.
	if _, local := got.home.Store.(*store.Disk); !local {
		if err := got.home.Store.Place(ctx, staged); err != nil {
			release()
			return got, nil, err
		}
	}
	return got, release, nil
}

// store takes a content and makes it that of the unfinished object.
func (s *Store) store(ctx context.Context, o *record, in incoming) error {
	got, release, err := s.receive(ctx, in)
	if err != nil {
		return err
	}
	defer release()
	return pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		now, err := s.read(ctx, tx, readLockedSQL.Text, o.Name)
		if err != nil {
			return err
		}
		if now.ID == o.ID && now.Method == methodSigned && now.Finished != nil {
			if *now.SHA256 == got.SHA256 && now.Encoding == got.encoding {
				return nil
			}
			return fault.New(fault.Conflict, "Object %q was uploaded before, with other content.", o.Name)
		}
		if now.ID != o.ID || now.Finished != nil || now.Method != o.Method {
			return fault.New(fault.Conflict, "The upload of object %q was finished or replaced meanwhile.", o.Name)
		}
		if err := s.enter(ctx, tx, got); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, setContentSQL.Text, o.ID, got.SHA256, got.SHA512, now.SHA256, got.encoding,
			got.plain.SHA256, got.plain.SHA512, got.plain.Size, o.Method == methodSigned)
		return err
	})
}

// enter makes the row of a content and makes sure that it has its place, inside the transaction that
// will refer to it. Holding the row's lock keeps Clean away. A content without a committed row is
// found by Sweep.
func (s *Store) enter(ctx context.Context, tx pgx.Tx, got arrived) error {
	if _, err := tx.Exec(ctx, enterContentSQL.Text, got.SHA256, got.Size, got.home.Name); err != nil {
		return err
	}
	return got.home.Store.Place(ctx, got.staged)
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
	got, release, err := s.receive(ctx, incoming{body: r, size: -1})
	if err != nil {
		return Object{}, fmt.Errorf("object: put %s: %w", name, err)
	}
	defer release()
	if want != "" && want != got.SHA256 {
		return Object{}, fault.New(fault.Invalid, "object: put %s: the sha256 is %s, not %s", name, got.SHA256, want)
	}
	var o *record
	err = pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.enter(ctx, tx, got); err != nil {
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

// enterContentSQL also says that the content is in this store, whatever was known before: what is
// left elsewhere is found by Sweep.
var enterContentSQL = pg.Statement{Name: "object.enter_content", Text: `
INSERT INTO object_contents (sha256, size, store) VALUES ($1, $2, $3)
ON CONFLICT (sha256) DO UPDATE SET unused_since = NULL, store = excluded.store, lost_since = NULL`}

// setContentSQL finishes the object too when $9 says so.
var setContentSQL = pg.Statement{Name: "object.set_content", Text: `
WITH left_behind AS (UPDATE object_contents SET unused_since = now() WHERE sha256 = $4 AND sha256 <> $2)
UPDATE objects SET sha256 = $2, sha512 = $3, encoding = $5, plain_sha256 = nullif($6, ''), plain_sha512 = nullif($7, ''),
	plain_size = CASE WHEN $5 <> '' THEN $8::bigint END, finished = CASE WHEN $9::boolean THEN now() END
WHERE id = $1`}

var insertWholeSQL = pg.Statement{Name: "object.insert_whole", Text: `
INSERT INTO objects (name, project_id, upload_id, expires, content_type, sha256, sha512, finished)
VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (name) DO NOTHING`}
