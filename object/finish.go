package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/object/store"
)

// FinishUpload makes an object visible and unchangeable. The sha256 and sha512 given now or before
// must be those of the content; if not, the upload stays as it was. Finishing again is no error.
func (s *Store) FinishUpload(ctx context.Context, name, projectID, uploadID string, hashes map[string]string) error {
	if err := checkHashes(hashes); err != nil {
		return fmt.Errorf("object: finish upload: %w", err)
	}
	o, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return fmt.Errorf("object: finish upload: %w", err)
	}
	if o.UploadID != uploadID || o.ProjectID != projectID {
		return fault.New(fault.Conflict, "The upload of object %q has another upload id or project.", name)
	}
	if o.Finished == nil && !o.sealed() {
		if err := s.decide(ctx, o, hashes); err != nil {
			return fmt.Errorf("object: finish upload of %s: %w", name, err)
		}
	}
	if err := s.finish(ctx, name, o.ID, hashes); err != nil {
		return fmt.Errorf("object: finish upload of %s: %w", name, err)
	}
	return nil
}

// decide seals an upload whose content is not looked at before it is finished. Reading a large one
// may take longer than the caller waits: the work goes on then, and who asks again joins it.
func (s *Store) decide(ctx context.Context, o *record, hashes map[string]string) error {
	var seal func(context.Context, *record, map[string]string) error
	switch o.Method {
	case methodAppend:
		return s.seal(ctx, o, hashes)
	case methodParts:
		seal = s.sealParts
	case methodDirect:
		seal = s.sealDirect
	default:
		return nil
	}
	done := s.finishing.DoChan(strconv.FormatInt(o.ID, 10), func() (any, error) {
		ctx, cancel := s.untilStopped(ctx)
		defer cancel()
		return nil, seal(ctx, o, hashes)
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// untilStopped returns a context for work that goes on when its caller leaves, but not when the store
// stops, which waits for it. cancel must be called.
func (s *Store) untilStopped(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		select {
		case <-s.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// markedMode marks a file of an upload by pieces that is being, or was, sealed. Other files have no
// such bit; it has no meaning to the system, since nobody runs the file.
const markedMode = 0o700

// seal ends an upload by pieces: its file is synced and hashed while no piece can come, and the hash
// is written to its row. From then on the upload is decided; complete does the rest, now or, if this
// process ends here, when somebody next asks for it.
func (s *Store) seal(ctx context.Context, o *record, hashes map[string]string) error {
	err := s.disk.locked(o.ID, os.O_RDWR, func(f *os.File) error {
		if err := f.Sync(); err != nil {
			return storage(err)
		}
		got, err := store.HashOf(f)
		if err != nil {
			return storage(err)
		}
		// Whoever finds the mark asks the database before adding a piece: should this process end
		// between the commit below and the file's move, nothing may be appended to what was hashed.
		if err := f.Chmod(markedMode); err != nil {
			return storage(err)
		}
		return s.sealAs(ctx, o, hashes, &store.Staged{Sums: got}) // the mark stays: whether the commit arrived may be unknown
	})
	if errors.Is(err, errMoved) {
		return nil // finished, sealed or deleted meanwhile; finish sees which
	}
	return err
}

// sealAs writes the hash of an upload to its row, if it is the one that was given. From then on the
// upload is decided. Another state than expected is errMoved.
func (s *Store) sealAs(ctx context.Context, o *record, hashes map[string]string, got *store.Staged) error {
	return pg.Tx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		now, err := s.read(ctx, tx, readLockedSQL.Text, o.Name)
		if err != nil {
			return err
		}
		if now.ID != o.ID || now.Finished != nil || now.Method != o.Method || now.SHA256 != nil || now.Ticket != o.Ticket {
			return errMoved
		}
		if now.ExpectedSize != nil && *now.ExpectedSize != got.Size {
			return fault.New(fault.Invalid, "The upload was announced with %d bytes, but has %d.", *now.ExpectedSize, got.Size)
		}
		if err := agree(now.Claimed, hashes, got.SHA256, got.SHA512); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, enterSealedSQL.Text, got.SHA256, got.Size, now.Store); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sealSQL.Text, o.ID, got.SHA256, got.SHA512, got.Ticket)
		return err
	})
}

// agree checks the hashes claimed before and now against those of the content.
func agree(before, now map[string]string, sha256, sha512 string) error {
	all, err := merged(before, now)
	if err != nil {
		return err
	}
	for algorithm, actual := range map[string]string{"sha256": sha256, "sha512": sha512} {
		if claimed, ok := all[algorithm]; ok && claimed != actual {
			return fault.New(fault.Invalid, "The content does not have the %s that was given: it is %s, not %s.", algorithm, actual, claimed)
		}
	}
	return nil
}

// finish marks an object finished whose content is known.
func (s *Store) finish(ctx context.Context, name string, id int64, hashes map[string]string) error {
	o, err := s.read(ctx, s.pool, readSQL.Text, name)
	if err != nil {
		return err
	}
	if o.ID != id {
		return fault.New(fault.Conflict, "The upload was replaced by another one.")
	}
	if o.SHA256 == nil {
		return fault.New(fault.Conflict, "No content was uploaded.")
	}
	sha256, sha512 := o.hashes()
	if err := agree(o.Claimed, hashes, sha256, sha512); err != nil {
		return err
	}
	if o.Finished != nil {
		return nil
	}
	claimed, err := merged(o.Claimed, hashes)
	if err != nil {
		return err
	}
	if o.sealed() {
		o.Claimed = claimed
		_, err = s.complete(ctx, o)
		return err
	}
	// The hash in the condition: a content that came since was not checked against the claims.
	tag, err := s.pool.Exec(ctx, finishSQL.Text, id, *o.SHA256, claimed)
	if err != nil {
		return pg.Classify(err)
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "The content was replaced while the upload was being finished.")
	}
	return nil
}

// complete gives the content of a sealed upload its place and marks the object finished. Every step
// may be repeated, by any process.
func (s *Store) complete(ctx context.Context, o *record) (*record, error) {
	home, err := s.places.named(o.Store)
	if err != nil {
		return nil, err
	}
	staged := &store.Staged{Sums: store.Sums{SHA256: *o.SHA256, SHA512: *o.SHA512, Size: *o.Size}, Ticket: o.Ticket}
	partial := s.disk.partial(o.ID)
	place := func() error {
		if o.Method == methodAppend {
			return home.Store.Import(ctx, partial, staged.Sums)
		}
		return home.Store.Place(ctx, staged)
	}
	if err := place(); err != nil {
		return nil, fmt.Errorf("place content: %w", err)
	}
	if _, err := s.pool.Exec(ctx, completeSQL.Text, o.ID, *o.SHA256, o.Claimed, home.Name); err != nil {
		return nil, pg.Classify(err)
	}
	// Had the same bytes been there before, Sweep could have removed them as ones nobody knew of.
	if _, err := home.Store.Stat(ctx, *o.SHA256); errors.Is(err, fs.ErrNotExist) {
		if err := place(); err != nil {
			return nil, fmt.Errorf("place content: %w", err)
		}
	}
	if o.Method == methodAppend {
		err = errors.Join(os.Remove(partial), syncDir(filepath.Dir(partial)))
	} else {
		err = home.Store.Discard(context.WithoutCancel(ctx), staged)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.WarnContext(ctx, "object: what is left of a finished upload is removed later", "name", o.Name, "err", err)
	}
	s.growth.grown(o.ID)
	return s.read(ctx, s.pool, readByIDSQL.Text, o.ID)
}

var finishSQL = pg.Statement{Name: "object.finish", Text: `
UPDATE objects SET finished = coalesce(finished, now()), claimed = $3 WHERE id = $1 AND sha256 = $2`}

// completeSQL also says where the content is now.
var completeSQL = pg.Statement{Name: "object.complete", Text: `
WITH home AS (UPDATE object_contents SET store = $4, unused_since = NULL, lost_since = NULL WHERE sha256 = $2),
forgotten AS (DELETE FROM object_parts WHERE object_id = $1)
UPDATE objects SET finished = coalesce(finished, now()), claimed = $3, ticket = '' WHERE id = $1 AND sha256 = $2`}

// enterSealedSQL does not say of a content that is there already that it is elsewhere: this one has
// no place yet.
var enterSealedSQL = pg.Statement{Name: "object.enter_sealed", Text: `
INSERT INTO object_contents (sha256, size, store) VALUES ($1, $2, $3)
ON CONFLICT (sha256) DO UPDATE SET unused_since = NULL`}

var sealSQL = pg.Statement{Name: "object.seal", Text: `UPDATE objects SET sha256 = $2, sha512 = $3, ticket = $4 WHERE id = $1`}
