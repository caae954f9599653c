package object

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// The mirror rule: who reads a content from a region that has a store, in which the content is not,
// has it copied there; later readers of that region find it. However many come at once, it is copied
// once: within a process by singleflight, among processes by the row in object_copies, whose owner
// renews it and loses it when he is silent. Who waits longer than wait, or meets an error, reads from
// the content's home.

// copies is what a process does of that.
type copies struct {
	group *singleflight.Group
	slots chan struct{} // who copies has one
	wait  time.Duration
}

const (
	copiesAtOnce = 4
	lease        = time.Minute // until a copy that is not renewed counts as broken off; also in claimCopySQL
	pollCopy     = 200 * time.Millisecond
)

func newCopies(wait time.Duration) copies {
	if wait <= 0 {
		wait = 10 * time.Second
	}
	return copies{group: &singleflight.Group{}, slots: make(chan struct{}, copiesAtOnce), wait: wait}
}

// nearest returns the place from which a reader in a region gets a content, after having it copied
// there if need be. It is nil when the content's home is not configured here.
func (s *Store) nearest(ctx context.Context, r *record, region string) *Place {
	home := s.places.byName[*r.Home]
	near := s.places.byRegion[region]
	if region == "" || near == nil || near == home {
		return home
	}
	if err := s.bring(ctx, r, near); err != nil {
		s.log.WarnContext(ctx, "object: a content is read from its home, not from the reader's region", "sha256", *r.SHA256, "region", region, "err", err)
		return home
	}
	return near
}

// sources are the places where a content may be read, the best one first.
func (s *Store) sources(ctx context.Context, r *record, region string) []*Place {
	var list []*Place
	first := s.nearest(ctx, r, region)
	if first != nil {
		list = append(list, first)
	}
	if home := s.places.byName[*r.Home]; home != nil && home != first {
		list = append(list, home)
	}
	if len(s.places.all) == 1 {
		return list
	}
	names, err := s.copiesOf(ctx, *r.SHA256)
	if err != nil {
		s.log.WarnContext(ctx, "object: where else a content is could not be read", "err", err)
	}
	for _, name := range names {
		if p := s.places.byName[name]; p != nil && p != first && name != *r.Home {
			list = append(list, p)
		}
	}
	return list
}

func (s *Store) copiesOf(ctx context.Context, sum string) ([]string, error) {
	rows, err := s.pool.Query(ctx, copiesSQL.Text, sum)
	if err != nil {
		return nil, pg.Classify(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return names, pg.Classify(err)
}

// bring returns nil when the content is in a place, having waited for its copy a while.
func (s *Store) bring(ctx context.Context, r *record, to *Place) error {
	state, err := s.copyState(ctx, *r.SHA256, to)
	if err != nil {
		return err
	}
	if state == copyThere {
		looking, cancel := context.WithTimeout(ctx, s.copies.wait)
		size, err := to.Store.Stat(looking, *r.SHA256)
		cancel()
		if err == nil && size == *r.Size {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := s.pool.Exec(ctx, dropCopySQL.Text, *r.SHA256, to.Name); err != nil { // somebody emptied the place
			return pg.Classify(err)
		}
	}
	if state == copyFailed {
		return fault.New(fault.Unavailable, "copying failed a short while ago")
	}
	// The copy goes on when this reader leaves.
	done := s.copies.group.DoChan(*r.SHA256+" "+to.Name, func() (any, error) { return nil, s.copyOnce(ctx, r, to) })
	timer := time.NewTimer(s.copies.wait)
	defer timer.Stop()
	select {
	case result := <-done:
		return result.Err
	case <-timer.C:
		return fault.New(fault.Unavailable, "copying takes longer than %s; it goes on", s.copies.wait)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// copyOnce copies a content, or waits for the process that does so.
func (s *Store) copyOnce(ctx context.Context, r *record, to *Place) error {
	ctx, cancel := s.untilStopped(ctx)
	defer cancel()
	select {
	case s.copies.slots <- struct{}{}:
		defer func() { <-s.copies.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(pollCopy)
	defer tick.Stop()
	for {
		tag, err := s.pool.Exec(ctx, claimCopySQL.Text, *r.SHA256, to.Name)
		if err != nil {
			return pg.Classify(err)
		}
		if tag.RowsAffected() > 0 {
			return s.copyOwned(ctx, r, to)
		}
		state, err := s.copyState(ctx, *r.SHA256, to)
		if state == copyThere || err != nil {
			return err
		}
		if state == copyFailed {
			return fault.New(fault.Unavailable, "copying by another server failed")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// copyOwned copies and says how it went.
func (s *Store) copyOwned(ctx context.Context, r *record, to *Place) error {
	working, stop := context.WithCancel(ctx)
	s.running.Go(func() { s.renewCopy(working, *r.SHA256, to) })
	err := s.copy(ctx, r, to)
	stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err != nil {
		_, saying := s.pool.Exec(ctx, failCopySQL.Text, *r.SHA256, to.Name)
		return errors.Join(err, pg.Classify(saying))
	}
	tag, err := s.pool.Exec(ctx, finishCopySQL.Text, *r.SHA256, to.Name)
	if err != nil {
		return pg.Classify(err)
	}
	if tag.RowsAffected() == 0 { // the content was removed meanwhile
		return errors.Join(fault.New(fault.Unavailable, "the content was removed while it was copied"), to.Store.Remove(ctx, *r.SHA256))
	}
	s.log.InfoContext(ctx, "object: copied a content", "sha256", *r.SHA256, "bytes", *r.Size, "from", *r.Home, "to", to.Name)
	return nil
}

func (s *Store) renewCopy(ctx context.Context, sum string, to *Place) {
	tick := time.NewTicker(lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := s.pool.Exec(ctx, renewCopySQL.Text, sum, to.Name); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "object: the lease of a copy was not renewed; it may be made twice", "err", err)
			}
		}
	}
}

func (s *Store) copy(ctx context.Context, r *record, to *Place) error {
	home, err := s.places.named(*r.Home)
	if err != nil {
		return err
	}
	body, err := home.Store.Open(ctx, *r.SHA256, *r.Size)
	if err != nil {
		return err
	}
	staged, err := to.Store.Receive(ctx, check(body, *r.SHA256, *r.Size), *r.Size)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if staged.SHA256 != *r.SHA256 {
		return errors.Join(fmt.Errorf("the copy has the sha256 %s", staged.SHA256), to.Store.Discard(ctx, staged))
	}
	err = to.Store.Place(ctx, staged)
	return errors.Join(err, to.Store.Discard(ctx, staged))
}

// States of a copy as the database has them; "" is none.
const (
	copyThere  = "there"
	copyFailed = "failed"
)

// copyState is "" also for one that broke off or may be tried again.
func (s *Store) copyState(ctx context.Context, sum string, in *Place) (string, error) {
	rows, err := s.pool.Query(ctx, copyStateSQL.Text, sum, in.Name)
	if err != nil {
		return "", pg.Classify(err)
	}
	state, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return state, pg.Classify(err)
}

var copiesSQL = pg.Statement{Name: "object.copies", Text: `SELECT store FROM object_copies WHERE sha256 = $1 AND state = 'there'`}

var copyStateSQL = pg.Statement{Name: "object.copy_state", Text: `
SELECT state FROM object_copies WHERE sha256 = $1 AND store = $2 AND (state = 'there' OR until > now())`}

var claimCopySQL = pg.Statement{Name: "object.claim_copy", Text: `
INSERT INTO object_copies (sha256, store, state, until) SELECT sha256, $2, 'copying', now() + interval '1 minute' FROM object_contents WHERE sha256 = $1
ON CONFLICT (sha256, store) DO UPDATE SET state = 'copying', until = excluded.until
WHERE object_copies.state <> 'there' AND object_copies.until <= now()`}

var renewCopySQL = pg.Statement{Name: "object.renew_copy", Text: `
UPDATE object_copies SET until = now() + interval '1 minute' WHERE sha256 = $1 AND store = $2 AND state = 'copying'`}

var finishCopySQL = pg.Statement{Name: "object.finish_copy", Text: `UPDATE object_copies SET state = 'there' WHERE sha256 = $1 AND store = $2`}

var failCopySQL = pg.Statement{Name: "object.fail_copy", Text: `
UPDATE object_copies SET state = 'failed', until = now() + interval '1 minute' WHERE sha256 = $1 AND store = $2 AND state = 'copying'`}

var dropCopySQL = pg.Statement{Name: "object.drop_copy", Text: `DELETE FROM object_copies WHERE sha256 = $1 AND store = $2 AND state = 'there'`}
