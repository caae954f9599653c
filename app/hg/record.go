package hg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// record writes what a look found, all or nothing: the pushes, and how far the repository is looked at. When
// another look has recorded something since this one began, this one counts for nothing.
func (w *Watch) record(ctx context.Context, r *repository, s state, f found) error {
	fresh := 0
	err := pg.Tx(ctx, w.Pool, func(ctx context.Context, tx pgx.Tx) error {
		fresh = 0
		var version int64
		if err := tx.QueryRow(ctx, lockSQL.Text, s.Name).Scan(&version); err != nil {
			return err
		}
		if version != s.Version {
			return errLate
		}
		for _, p := range f.pushes {
			arrived, is, err := w.Push.Arrive(ctx, tx, p)
			if err != nil {
				return err
			}
			if is {
				fresh++
				w.Log.DebugContext(arrived.Mark(ctx), "a push arrived", "repository", s.Name, "branch", p.Branch, "revision", p.Revision)
			}
		}
		return w.advance(ctx, tx, r, s, f)
	})
	if errors.Is(err, errLate) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("app/hg: record %s: %w", s.Name, err)
	}
	if fresh > 0 {
		w.Log.InfoContext(ctx, "pushes", "repository", s.Name, "count", fresh, "newest", f.pushes[len(f.pushes)-1].Revision)
		w.Push.Woken()
		w.Decide()
	}
	if f.more {
		w.Wake()
	}
	return nil
}

var errLate = errors.New("another look was quicker")

// advance writes how far the repository is looked at.
func (w *Watch) advance(ctx context.Context, tx pgx.Tx, r *repository, s state, f found) error {
	var heads, bookmarks []byte
	if f.refs != nil {
		clear := map[string]string{}
		for node, branch := range f.refs.Heads {
			clear[node] = clean(branch)
		}
		var err error
		if heads, err = json.Marshal(clear); err != nil {
			return err
		}
		clear = map[string]string{}
		for name, node := range f.refs.Bookmarks {
			clear[clean(name)] = node
		}
		if bookmarks, err = json.Marshal(clear); err != nil {
			return err
		}
	}
	if f.forget {
		if _, err := tx.Exec(ctx, forgetSQL.Text, s.Name, 0); err != nil {
			return err
		}
	}
	if len(f.known) > 0 {
		if _, err := tx.Exec(ctx, learnSQL.Text, s.Name, f.known); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, forgetSQL.Text, s.Name, keepKnown); err != nil {
			return err
		}
	}
	pause := r.pause(state{}).Seconds()
	if f.more {
		pause, f.etag = 0, "" // the server has nothing new to tell, and we have
	}
	moved := len(f.pushes) > 0 || f.forget
	_, err := tx.Exec(ctx, advanceSQL.Text, s.Name, f.generation, f.pushlog, f.cursor, f.behind, heads, bookmarks, clean(f.etag), s.Hints, pause, moved)
	return err
}

var (
	lockSQL = pg.Statement{Name: "app/hg.lock", Text: `SELECT version FROM hg_repositories WHERE name = $1 FOR UPDATE`}

	advanceSQL = pg.Statement{Name: "app/hg.advance", Text: `
		UPDATE hg_repositories SET version = version + 1, generation = $2, pushlog = $3, cursor = $4, behind = $5,
			heads = coalesce($6::jsonb, heads), bookmarks = coalesce($7::jsonb, bookmarks), etag = $8, failures = 0, error = '',
			looked = clock_timestamp(), read = clock_timestamp(), moved = CASE WHEN $11 THEN clock_timestamp() ELSE moved END,
			next_look = CASE WHEN hints = $9 THEN clock_timestamp() + make_interval(secs => $10) ELSE '-infinity' END
		WHERE name = $1`}

	learnSQL = pg.Statement{Name: "app/hg.learn", Text: `
		INSERT INTO hg_known (repository, node) SELECT $1, node FROM unnest($2::text[]) WITH ORDINALITY AS n (node, place) ORDER BY place
		ON CONFLICT DO NOTHING`}

	// The newest stay, as many as said.
	forgetSQL = pg.Statement{Name: "app/hg.forget", Text: `
		DELETE FROM hg_known WHERE repository = $1 AND seq <= (
			SELECT seq FROM hg_known WHERE repository = $1 ORDER BY seq DESC OFFSET $2 LIMIT 1)`}
)
