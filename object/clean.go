package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	batch    = 200
	batches  = 50             // of each kind in a round; the next round goes on
	removers = 8              // contents removed at once
	quietFor = 24 * time.Hour // an upload by pieces without a piece for so long is given up
)

// Stop ends all waiting of streams.
func (s *Store) Stop(context.Context) error {
	s.endOnce.Do(func() { close(s.ending) })
	return nil
}

// Clean removes expired objects and their contents, also from the stores of other regions, and settles
// uploads that were given up: up to 10,000 of each. It returns how many objects and contents went. Any number
// of servers may do it at once.
func (s *Store) Clean(ctx context.Context) (int64, error) {
	objects, err := s.expire(ctx)
	if err != nil {
		return objects, fmt.Errorf("object: expire: %w", pg.Classify(err))
	}
	if err := s.settle(ctx); err != nil {
		return objects, fmt.Errorf("object: settle uploads: %w", pg.Classify(err))
	}
	contents, err := s.removeUnused(ctx)
	if err != nil {
		return objects + contents, fmt.Errorf("object: remove unused contents: %w", err)
	}
	return objects + contents, nil
}

func (s *Store) expire(ctx context.Context) (total int64, err error) {
	for range batches {
		rows, err := s.pool.Query(ctx, expireSQL.Text, batch)
		if err != nil {
			return total, err
		}
		n, err := s.dropUploads(ctx, rows)
		if total += int64(n); err != nil || n < batch {
			return total, err
		}
	}
	return total, nil
}

// settle ends uploads whose time is over. One by pieces that others may have read is worth keeping: it
// becomes an object as it stands, so that the log of a worker that died is not lost.
func (s *Store) settle(ctx context.Context) error {
	rows, err := s.pool.Query(ctx, abandonedSQL.Text, batch)
	if err != nil {
		return err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[record])
	if err != nil {
		return err
	}
	var failed []error
	for _, o := range list {
		if err := s.settleOne(ctx, o); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.Name, err))
		}
	}
	return errors.Join(failed...)
}

func (s *Store) settleOne(ctx context.Context, o *record) error {
	if o.sealed() {
		_, err := s.complete(ctx, o)
		return err
	}
	if o.Method == methodAppend {
		info, err := os.Stat(s.disk.partial(o.ID))
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return storage(err)
		case err == nil && time.Since(info.ModTime()) < quietFor:
			_, err := s.pool.Exec(ctx, prolongSQL.Text, o.ID)
			return err
		case err == nil && info.Size() > 0:
			err := s.FinishUpload(ctx, o.Name, o.ProjectID, o.UploadID, nil)
			if !errors.Is(err, fault.Invalid) {
				return err
			}
			// The hashes promised at the beginning do not fit: it never became whole.
		}
	}
	rows, err := s.pool.Query(ctx, deleteUnfinishedSQL.Text, o.ID)
	if err != nil {
		return err
	}
	_, err = s.dropUploads(ctx, rows)
	return err
}

// removeUnused removes contents that no object has had for an hour.
func (s *Store) removeUnused(ctx context.Context) (total int64, err error) {
	for range batches {
		n := 0
		err := pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) (err error) {
			n, err = s.removeBatch(ctx, tx)
			return err
		})
		if total += int64(n); err != nil || n < batch {
			return total, err
		}
	}
	return total, nil
}

// unusedContent is a content that may go, and where it is.
type unusedContent struct {
	SHA256 string
	Used   bool
	Stores []string
	failed error
}

// removeBatch removes contents while their rows are locked. One that a store does not let go of now is
// tried again in an hour.
func (s *Store) removeBatch(ctx context.Context, tx pgx.Tx) (int, error) {
	rows, err := tx.Query(ctx, unusedSQL.Text, batch)
	if err != nil {
		return 0, err
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c unusedContent, err error) {
		err = row.Scan(&c.SHA256, &c.Used, &c.Stores)
		return c, err
	})
	if err != nil {
		return 0, err
	}
	var removing errgroup.Group
	removing.SetLimit(removers)
	for i := range list {
		if c := &list[i]; !c.Used {
			removing.Go(func() error {
				c.failed = s.removeEverywhere(ctx, c.SHA256, c.Stores)
				return nil
			})
		}
	}
	_ = removing.Wait() // errors are in the list
	var gone, kept, later []string
	for _, c := range list {
		switch {
		case c.Used:
			kept = append(kept, c.SHA256)
		case c.failed != nil:
			s.log.WarnContext(ctx, "object: a content was not removed; it is tried again in an hour", "sha256", c.SHA256, "err", c.failed)
			later = append(later, c.SHA256)
		default:
			gone = append(gone, c.SHA256)
		}
	}
	_, err = tx.Exec(ctx, settleContentsSQL.Text, gone, kept, later)
	return len(list), err
}

func (s *Store) removeEverywhere(ctx context.Context, sum string, stores []string) error {
	var failed []error
	for _, name := range stores {
		p, err := s.places.named(name)
		if err == nil {
			err = p.Store.Remove(ctx, sum)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

var expireSQL = pg.Statement{Name: "object.expire", Text: `
WITH gone AS (
	DELETE FROM objects WHERE name IN (
		SELECT name FROM objects WHERE expires <= now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
	) RETURNING id, store, ticket, sha256
),
marked AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM gone))
SELECT id, store, ticket FROM gone`}

var abandonedSQL = pg.Statement{Name: "object.abandoned", Text: `
SELECT ` + columns + fromObjects + `WHERE o.finished IS NULL AND (o.upload_expires <= now() OR o.method IN ('append', 'parts', 'directPut') AND o.sha256 IS NOT NULL)
ORDER BY o.upload_expires LIMIT $1`}

var prolongSQL = pg.Statement{Name: "object.prolong", Text: `
UPDATE objects SET upload_expires = now() + interval '1 hour' WHERE id = $1`}

var deleteUnfinishedSQL = pg.Statement{Name: "object.delete_unfinished", Text: `
WITH gone AS (DELETE FROM objects WHERE id = $1 AND finished IS NULL AND upload_expires <= now() RETURNING id, store, ticket, sha256),
marked AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM gone))
SELECT id, store, ticket FROM gone`}

// unusedSQL also returns every store that has the content, or may have it because it is copied there.
var unusedSQL = pg.Statement{Name: "object.unused", Text: `
SELECT c.sha256, EXISTS (SELECT FROM objects o WHERE o.sha256 = c.sha256),
	array(SELECT c.store UNION SELECT k.store FROM object_copies k WHERE k.sha256 = c.sha256)
FROM object_contents c
WHERE c.unused_since <= now() - interval '1 hour' ORDER BY c.unused_since LIMIT $1 FOR UPDATE OF c SKIP LOCKED`}

var settleContentsSQL = pg.Statement{Name: "object.settle_contents", Text: `
WITH gone AS (DELETE FROM object_contents WHERE sha256 = ANY ($1))
UPDATE object_contents SET unused_since = CASE WHEN sha256 = ANY ($3) THEN now() END WHERE sha256 = ANY ($2) OR sha256 = ANY ($3)`}
