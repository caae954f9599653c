package secrets

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

const pruneBatch = 100

// Prune removes the secrets that have expired, in small steps, and returns how many they were.
func (s *Secrets) Prune(ctx context.Context) (int64, error) {
	for total := int64(0); ; {
		n := 0
		err := pg.Tx(ctx, s.Pool, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, pruneSQL.Text, pruneBatch)
			if err != nil {
				return err
			}
			n, err = s.tellExpired(ctx, tx, rows)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("secrets: prune: %w", err)
		}
		if total += int64(n); n < pruneBatch {
			return total, nil
		}
	}
}

// dropExpired makes way for a new secret of the name.
func (s *Secrets) dropExpired(ctx context.Context, tx pgx.Tx, name string) error {
	rows, err := tx.Query(ctx, dropExpiredSQL.Text, name)
	if err != nil {
		return err
	}
	_, err = s.tellExpired(ctx, tx, rows)
	return err
}

func (s *Secrets) tellExpired(ctx context.Context, tx pgx.Tx, gone pgx.Rows) (int, error) {
	names, err := pgx.CollectRows(gone, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if err := s.Audit(ctx, tx, name, expirer, Expired); err != nil {
			return 0, err
		}
	}
	return len(names), nil
}

var (
	dropExpiredSQL = pg.Statement{Name: "secrets.drop_expired", Text: `
		DELETE FROM secrets WHERE name = $1 AND expires <= now() RETURNING name`}

	pruneSQL = pg.Statement{Name: "secrets.prune", Text: `
		DELETE FROM secrets WHERE name IN (
			SELECT name FROM secrets WHERE expires <= now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING name`}
)
