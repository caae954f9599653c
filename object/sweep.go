package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/object/store"
)

const (
	sweepPage  = 1000 // contents looked at together
	sweepPages = 10   // of each store in a round; the next round goes on
)

// sweeper remembers how far Sweep is in each store.
type sweeper struct {
	mu    sync.Mutex
	after map[string]string
}

// Sweep compares what is there with what is known, a piece of each store at a time. What a killed
// process left is removed once it is a day old: temporary files, uploads without an object, contents
// that no row says are there. A content that should be there and is not is marked as lost, and taken
// from a copy if there is one; its objects stay, for a storage may come back.
func (s *Store) Sweep(ctx context.Context) error {
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	failed := []error{s.sweepPartials(ctx)}
	for _, p := range s.places.all {
		err := p.Store.Tidy(ctx, quietFor, s.keepUpload)
		for range sweepPages {
			var end bool
			if end, err = s.sweepPage(ctx, p, err); err != nil || end {
				break
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("store %s: %w", p.Name, err))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("object: sweep: %w", err)
	}
	return nil
}

// keepUpload reports whether a ticket, or the first word of one, is of an upload under way.
func (s *Store) keepUpload(ctx context.Context, ticket string) (bool, error) {
	rows, err := s.pool.Query(ctx, ticketUsedSQL.Text, ticket)
	if err != nil {
		return true, pg.Classify(err)
	}
	used, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	return used, pg.Classify(err)
}

func (s *Store) sweepPartials(ctx context.Context) error {
	dir := filepath.Join(s.disk.dir, "partial")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || time.Since(info.ModTime()) < time.Hour {
			continue
		}
		if err := s.sweepPartial(ctx, filepath.Join(dir, e.Name()), e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// known is what the database knows of a content in a store.
type known struct {
	SHA256             string
	Home, Needed, Lost bool
}

// sweepPage compares the next page of a store. end says that it was the last one.
func (s *Store) sweepPage(ctx context.Context, p *Place, before error) (end bool, err error) {
	if before != nil {
		return true, before
	}
	after := s.sweeper.after[p.Name]
	found, err := p.Store.List(ctx, after, sweepPage)
	if err != nil {
		return true, err
	}
	upTo := "g" // behind all hashes
	if len(found) == sweepPage {
		upTo = found[len(found)-1].SHA256
	}
	rows, err := s.pool.Query(ctx, knownSQL.Text, p.Name, after, upTo, 2*sweepPage)
	if err != nil {
		return true, pg.Classify(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[known])
	if err != nil {
		return true, pg.Classify(err)
	}
	if len(list) == 2*sweepPage { // there may be more, so what lies behind the last one is for the next page
		upTo = list[len(list)-1].SHA256
	}
	end = upTo == "g"
	if s.sweeper.after[p.Name] = upTo; end {
		s.sweeper.after[p.Name] = ""
	}
	return end, s.compare(ctx, p, found, list, upTo)
}

func (s *Store) compare(ctx context.Context, p *Place, found []store.Entry, list []known, upTo string) error {
	byName := make(map[string]known, len(list))
	for _, k := range list {
		byName[k.SHA256] = k
	}
	var failed []error
	for _, e := range found {
		k, ok := byName[e.SHA256]
		switch {
		case e.SHA256 > upTo:
		case !ok && time.Since(e.Modified) >= quietFor:
			failed = append(failed, s.removeStray(ctx, p, e))
		case k.Home && k.Lost:
			failed = append(failed, s.exec(ctx, foundSQL, e.SHA256))
		}
		delete(byName, e.SHA256)
	}
	for sum, k := range byName {
		if k.Home && k.Needed && !k.Lost {
			failed = append(failed, s.missed(ctx, p, sum))
		}
	}
	return errors.Join(failed...)
}

func (s *Store) exec(ctx context.Context, statement pg.Statement, args ...any) error {
	_, err := s.pool.Exec(ctx, statement.Text, args...)
	return pg.Classify(err)
}

// removeStray removes a content that no row says is there, while the row of that content is locked.
func (s *Store) removeStray(ctx context.Context, p *Place, e store.Entry) error {
	return pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		// A row that is not there is made, so that nobody makes one meanwhile.
		if _, err := tx.Exec(ctx, adoptSQL.Text, e.SHA256, e.Size, p.Name); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, strayLockedSQL.Text, e.SHA256, p.Name)
		if err != nil {
			return err
		}
		stray, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
		if err != nil || !stray {
			return err
		}
		if err := p.Store.Remove(ctx, e.SHA256); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, unadoptSQL.Text, e.SHA256, p.Name)
		return err
	})
}

// missed deals with a content that was not found in its home.
func (s *Store) missed(ctx context.Context, p *Place, sum string) error {
	_, err := p.Store.Stat(ctx, sum)
	if !errors.Is(err, fs.ErrNotExist) {
		return err // it came while we looked
	}
	names, err := s.copiesOf(ctx, sum)
	if err != nil {
		return err
	}
	for _, name := range names {
		if other := s.places.byName[name]; other != nil && name != p.Name {
			if _, err := other.Store.Stat(ctx, sum); err == nil {
				s.log.WarnContext(ctx, "object: a content is gone from its home; a copy takes its place", "sha256", sum, "home", p.Name, "copy", name)
				return s.exec(ctx, moveHomeSQL, sum, name)
			}
		}
	}
	s.log.ErrorContext(ctx, "object: a content is lost: its home does not have it any more", "sha256", sum, "home", p.Name)
	return s.exec(ctx, lostSQL, sum, p.Name)
}

var ticketUsedSQL = pg.Statement{Name: "object.ticket_used", Text: `
SELECT EXISTS (SELECT FROM objects WHERE finished IS NULL AND split_part(ticket, ' ', 1) = $1)`}

var knownSQL = pg.Statement{Name: "object.known", Text: `
SELECT c.sha256, c.store = $1, EXISTS (SELECT FROM objects o WHERE o.sha256 = c.sha256 AND o.finished IS NOT NULL), c.lost_since IS NOT NULL
FROM object_contents c
WHERE c.sha256 > $2 AND c.sha256 <= $3
	AND (c.store = $1 OR EXISTS (SELECT FROM object_copies k WHERE k.sha256 = c.sha256 AND k.store = $1))
ORDER BY c.sha256 LIMIT $4`}

var adoptSQL = pg.Statement{Name: "object.adopt", Text: `
INSERT INTO object_contents (sha256, size, store, unused_since) VALUES ($1, $2, $3, 'epoch') ON CONFLICT (sha256) DO NOTHING`}

// strayLockedSQL: the row made just now, or one that says that the content is elsewhere only.
var strayLockedSQL = pg.Statement{Name: "object.stray_locked", Text: `
SELECT coalesce(c.unused_since = 'epoch', false) OR c.store <> $2 AND NOT EXISTS (SELECT FROM object_copies k WHERE k.sha256 = $1 AND k.store = $2)
FROM object_contents c WHERE c.sha256 = $1 FOR UPDATE OF c`}

var unadoptSQL = pg.Statement{Name: "object.unadopt", Text: `
DELETE FROM object_contents WHERE sha256 = $1 AND store = $2 AND unused_since = 'epoch'`}

var foundSQL = pg.Statement{Name: "object.found", Text: `UPDATE object_contents SET lost_since = NULL WHERE sha256 = $1`}

var lostSQL = pg.Statement{Name: "object.lost", Text: `
UPDATE object_contents SET lost_since = coalesce(lost_since, now()) WHERE sha256 = $1 AND store = $2`}

var moveHomeSQL = pg.Statement{Name: "object.move_home", Text: `
WITH home AS (DELETE FROM object_copies WHERE sha256 = $1 AND store = $2)
UPDATE object_contents SET store = $2, lost_since = NULL WHERE sha256 = $1`}
