package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Keep makes a finished object of a content at hand, as Put does, for callers that make many small ones: it takes
// two round trips to the database. The same content under the same name again is no error, and is stored again
// should it have been lost; another content is a fault.Conflict.
func (s *Store) Keep(ctx context.Context, name, projectID, contentType string, expires time.Time, content []byte) error {
	if err := checkNames(name, projectID, slug.New()); err != nil {
		return fmt.Errorf("object: keep: %w", err)
	}
	got, release, err := s.receive(ctx, incoming{body: bytes.NewReader(content), size: int64(len(content))})
	if err != nil {
		return fmt.Errorf("object: keep %s: %w", name, err)
	}
	defer release()
	err = pg.TxPipe(ctx, s.pool, func(ctx context.Context, tx *pg.Pipe) error {
		var batch pgx.Batch
		fresh := false
		batch.Queue(keepSQL.Text, name, projectID, slug.New(), expires.UTC().Truncate(time.Millisecond), contentType,
			got.SHA256, got.SHA512, got.Size, got.home.Name).QueryRow(func(row pgx.Row) error { return row.Scan(&fresh) })
		if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
		if !fresh {
			o, err := s.read(ctx, tx, readSQL.Text, name)
			if err != nil && !errors.Is(err, fault.NotFound) {
				return err
			}
			if err != nil || !o.visible() || *o.SHA256 != got.SHA256 {
				return fault.New(fault.Conflict, "Object %q exists already with other content.", name)
			}
		}
		return got.home.Store.Place(ctx, got.staged)
	})
	if err != nil {
		return fmt.Errorf("object: keep %s: %w", name, err)
	}
	return nil
}

// keepSQL is enterContentSQL and insertWholeSQL in one; it tells whether the object is new.
var keepSQL = pg.Statement{Name: "object.keep", Text: `
WITH content AS (
	INSERT INTO object_contents (sha256, size, store) VALUES ($6, $8, $9)
	ON CONFLICT (sha256) DO UPDATE SET unused_since = NULL, store = excluded.store, lost_since = NULL
), new AS (
	INSERT INTO objects (name, project_id, upload_id, expires, content_type, sha256, sha512, finished)
	VALUES ($1, $2, $3, $4, $5, $6, $7, now()) ON CONFLICT (name) DO NOTHING RETURNING 1
)
SELECT EXISTS (SELECT FROM new)`}
