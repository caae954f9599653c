package secrets

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// About is what is known of a secret without reading its value.
type About struct {
	Expires, Modified time.Time
}

// About tells of the secret of a name; fault.NotFound when there is none or it has expired. It is no reading of the
// secret, and not audited.
func (s *Secrets) About(ctx context.Context, name string) (About, error) {
	a, err := about(ctx, s.Pool, name, false)
	return a, failed("look at", name, err)
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func about(ctx context.Context, db querier, name string, lock bool) (About, error) {
	text := aboutSQL.Text
	if lock {
		text += " FOR UPDATE"
	}
	var a About
	err := db.QueryRow(ctx, text, name).Scan(&a.Expires, &a.Modified)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, fault.New(fault.NotFound, "There is no secret named %.1100q.", name)
	}
	a.Expires, a.Modified = a.Expires.UTC(), a.Modified.UTC()
	return a, err
}

// Replace is Set for who has seen the secret as it was at a moment, the zero time: that there was none. Where that is no
// longer so it is a fault.Conflict, and nothing is written.
func (s *Secrets) Replace(ctx context.Context, clientID, name string, secret Secret, seen time.Time) error {
	return s.set(ctx, clientID, name, secret, func(ctx context.Context, tx pgx.Tx) error {
		a, err := about(ctx, tx, name, true)
		switch {
		case errors.Is(err, fault.NotFound) && seen.IsZero():
			return nil
		case errors.Is(err, fault.NotFound):
			return fault.New(fault.Conflict, "The secret %.1100q was removed meanwhile.", name)
		case err != nil:
			return err
		case seen.IsZero():
			return fault.New(fault.Conflict, "There is a secret named %.1100q already.", name)
		case !a.Modified.Equal(seen):
			return fault.New(fault.Conflict, "The secret %.1100q was changed meanwhile.", name)
		}
		return nil
	})
}

// Search lists up to limit names after the given one that have a text in them, in order.
func (s *Secrets) Search(ctx context.Context, text, after string, limit int) ([]string, error) {
	rows, err := s.Pool.Query(ctx, searchSQL.Text, text, after, limit)
	if err != nil {
		return nil, fmt.Errorf("secrets: search: %w", pg.Classify(err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("secrets: search: %w", pg.Classify(err))
	}
	return names, nil
}

var (
	aboutSQL = pg.Statement{Name: "secrets.about", Text: `
		SELECT expires, modified FROM secrets WHERE name = $1 AND expires > now()`}

	searchSQL = pg.Statement{Name: "secrets.search", Text: `
		SELECT name FROM secrets WHERE strpos(lower(name), lower($1)) > 0 AND name > $2 AND expires > now() ORDER BY name LIMIT $3`}
)
