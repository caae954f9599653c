package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	cleanEvery = 10 * time.Minute
	batch      = 500
	quietFor   = 24 * time.Hour // an upload by pieces without a piece for so long is given up
)

// Start begins to remove what has expired, now and then; Stop ends it.
func (s *Store) Start(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	s.running.Go(func() {
		tick := time.NewTicker(cleanEvery)
		defer tick.Stop()
		for round := 0; ; round++ {
			if err := errors.Join(s.Clean(ctx), s.Sweep(ctx, round%256)); err != nil && ctx.Err() == nil {
				s.log.Error("object: cleaning failed; it is tried again", "err", err, "in", cleanEvery)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return nil
}

// Stop ends what Start began and all waiting of streams.
func (s *Store) Stop(context.Context) error {
	s.endOnce.Do(func() { close(s.ending) })
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
	return nil
}

// Clean removes expired objects and their files, and settles uploads that were given up. Any number
// of servers may do it at once.
func (s *Store) Clean(ctx context.Context) error {
	if err := s.expire(ctx); err != nil {
		return fmt.Errorf("object: expire: %w", pg.Classify(err))
	}
	if err := s.settle(ctx); err != nil {
		return fmt.Errorf("object: settle uploads: %w", pg.Classify(err))
	}
	if err := s.removeUnused(ctx); err != nil {
		return fmt.Errorf("object: remove unused contents: %w", err)
	}
	return nil
}

func (s *Store) expire(ctx context.Context) error {
	for {
		rows, err := s.pool.Query(ctx, expireSQL.Text, batch)
		if err != nil {
			return err
		}
		counted := &counter{Rows: rows}
		if err := s.dropFiles(counted); err != nil {
			return err
		}
		if counted.n < batch {
			return nil
		}
	}
}

// counter counts the rows read.
type counter struct {
	pgx.Rows
	n int
}

func (c *counter) Next() bool {
	ok := c.Rows.Next()
	if ok {
		c.n++
	}
	return ok
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
	return s.dropFiles(rows)
}

// removeUnused removes files that no object has had for an hour.
func (s *Store) removeUnused(ctx context.Context) error {
	for {
		removed := 0
		err := pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, unusedSQL.Text, batch)
			if err != nil {
				return err
			}
			list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct {
				SHA256 string
				Used   bool
			}])
			if err != nil {
				return err
			}
			removed = len(list)
			for _, c := range list {
				sql := deleteContentSQL.Text
				if c.Used {
					sql = keepContentSQL.Text
				} else if err := os.Remove(s.disk.content(c.SHA256)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return storage(err)
				}
				if _, err := tx.Exec(ctx, sql, c.SHA256); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || removed < batch {
			return err
		}
	}
}

// Sweep looks for files that a killed process left: temporary ones, uploads without an object, and,
// in one of the 256 folders of contents, contents without a row. Only old files are touched.
func (s *Store) Sweep(ctx context.Context, folder int) error {
	err := errors.Join(
		s.sweepDir(filepath.Join(s.disk.dir, "tmp"), quietFor, func(path, _ string) error { return os.Remove(path) }),
		s.sweepDir(filepath.Join(s.disk.dir, "partial"), time.Hour, func(path, name string) error { return s.sweepPartial(ctx, path, name) }),
		s.sweepContents(ctx, fmt.Sprintf("%02x", folder)),
	)
	if err != nil {
		return fmt.Errorf("object: sweep: %w", err)
	}
	return nil
}

// sweepDir calls visit for the files of a folder that were not changed for some time.
func (s *Store) sweepDir(dir string, age time.Duration, visit func(path, name string) error) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < age {
			continue
		}
		if err := visit(filepath.Join(dir, e.Name()), e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (s *Store) sweepPartial(ctx context.Context, path, name string) error {
	id, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no file of ours; move it away", path)
	}
	o, err := s.read(ctx, s.pool, readByIDSQL.Text, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return os.Remove(path)
	case err != nil:
		return err
	case o.Finished != nil || o.Method != methodAppend:
		return os.Remove(path)
	}
	return nil
}

// sweepContents gives files without a row one that says they are unused; removeUnused, which knows how
// to do it safely, then removes them.
func (s *Store) sweepContents(ctx context.Context, folder string) error {
	sizes := map[string]int64{}
	err := s.sweepDir(filepath.Join(s.disk.dir, "sha256", folder), quietFor, func(path, name string) error {
		info, err := os.Stat(path)
		if err == nil && len(name) == 62 && hexPattern.MatchString(name) {
			sizes[folder+name] = info.Size()
		}
		return err
	})
	for sum, size := range sizes {
		if _, err := s.pool.Exec(ctx, adoptContentSQL.Text, sum, size); err != nil {
			return pg.Classify(err)
		}
	}
	return err
}

var expireSQL = pg.Statement{Name: "object.expire", Text: `
WITH gone AS (
	DELETE FROM objects WHERE name IN (
		SELECT name FROM objects WHERE expires <= now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED
	) RETURNING id, sha256
),
marked AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM gone))
SELECT id FROM gone`}

var abandonedSQL = pg.Statement{Name: "object.abandoned", Text: `
SELECT ` + columns + fromObjects + `WHERE o.finished IS NULL AND (o.upload_expires <= now() OR o.method = 'append' AND o.sha256 IS NOT NULL)
ORDER BY o.upload_expires LIMIT $1`}

var prolongSQL = pg.Statement{Name: "object.prolong", Text: `
UPDATE objects SET upload_expires = now() + interval '1 hour' WHERE id = $1`}

var deleteUnfinishedSQL = pg.Statement{Name: "object.delete_unfinished", Text: `
WITH gone AS (DELETE FROM objects WHERE id = $1 AND finished IS NULL AND upload_expires <= now() RETURNING id, sha256),
marked AS (UPDATE object_contents SET unused_since = now() WHERE sha256 IN (SELECT sha256 FROM gone))
SELECT id FROM gone`}

var unusedSQL = pg.Statement{Name: "object.unused", Text: `
SELECT c.sha256, EXISTS (SELECT FROM objects o WHERE o.sha256 = c.sha256) FROM object_contents c
WHERE c.unused_since <= now() - interval '1 hour' ORDER BY c.unused_since LIMIT $1 FOR UPDATE OF c SKIP LOCKED`}

var deleteContentSQL = pg.Statement{Name: "object.delete_content", Text: `DELETE FROM object_contents WHERE sha256 = $1`}

var keepContentSQL = pg.Statement{Name: "object.keep_content", Text: `UPDATE object_contents SET unused_since = NULL WHERE sha256 = $1`}

var adoptContentSQL = pg.Statement{Name: "object.adopt_content", Text: `
INSERT INTO object_contents (sha256, size, unused_since) VALUES ($1, $2, now() - interval '2 hours') ON CONFLICT (sha256) DO NOTHING`}
