// Package once keeps for a while what was said and done at GitHub, so that nothing is said or done twice, over any
// number of servers. Only digests are kept.
package once

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Record is what was said and done. It is safe for concurrent use.
type Record struct{ Pool *pgxpool.Pool }

// Digest tells lists of words apart.
func Digest(words ...string) []byte {
	h := sha256.New()
	for _, w := range words {
		fmt.Fprintf(h, "%d:%s,", len(w), w)
	}
	return h.Sum(nil)
}

// First notes a thing, and reports whether it was not noted before.
func (r Record) First(ctx context.Context, words ...string) (bool, error) {
	tag, err := r.Pool.Exec(ctx, noteSQL.Text, Digest(words...))
	if err != nil {
		return false, fmt.Errorf("github: note what is done: %w", pg.Classify(err))
	}
	return tag.RowsAffected() > 0, nil
}

// Undo forgets a thing that came to nothing.
func (r Record) Undo(ctx context.Context, words ...string) error {
	if _, err := r.Pool.Exec(ctx, undoSQL.Text, Digest(words...)); err != nil {
		return fmt.Errorf("github: forget what was not done: %w", pg.Classify(err))
	}
	return nil
}

// Claim reports whether who is the one that may do a thing: the first that asks, and that one again after a failure.
func (r Record) Claim(ctx context.Context, what, who string) (mine bool, err error) {
	err = pg.Tx(ctx, r.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, noteSQL.Text, Digest("once", what))
		if err != nil {
			return err
		}
		if mine = tag.RowsAffected() > 0; mine {
			_, err = tx.Exec(ctx, noteSQL.Text, Digest("once", what, who))
			return err
		}
		return tx.QueryRow(ctx, notedSQL.Text, Digest("once", what, who)).Scan(&mine)
	})
	if err != nil {
		return false, fmt.Errorf("github: claim %s: %w", what, err)
	}
	return mine, nil
}

// Release lets another do what this one could not.
func (r Record) Release(ctx context.Context, what, who string) error {
	if err := r.Undo(ctx, "once", what, who); err != nil {
		return err
	}
	return r.Undo(ctx, "once", what)
}

// Prune forgets what is older, in small steps, and returns how many rows that were.
func (r Record) Prune(ctx context.Context, age time.Duration) (int64, error) {
	n, err := pg.Prune(ctx, r.Pool, pruneSQL, 1000, age.Seconds())
	if err != nil {
		return n, fmt.Errorf("github: forget what was said: %w", err)
	}
	return n, nil
}

// Statements returns all SQL of the package, so that a test can hold it against the schema.
func Statements() []pg.Statement { return []pg.Statement{noteSQL, undoSQL, notedSQL, pruneSQL} }

var (
	noteSQL = pg.Statement{Name: "github.note", Text: `INSERT INTO github_said (digest) VALUES ($1) ON CONFLICT DO NOTHING`}

	undoSQL = pg.Statement{Name: "github.undo", Text: `DELETE FROM github_said WHERE digest = $1`}

	notedSQL = pg.Statement{Name: "github.noted", Text: `SELECT EXISTS (SELECT FROM github_said WHERE digest = $1)`}

	pruneSQL = pg.Statement{Name: "github.forget-said", Text: `
		DELETE FROM github_said WHERE digest IN (
			SELECT digest FROM github_said WHERE said < now() - make_interval(secs => $2) ORDER BY said LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
