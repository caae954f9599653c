package secrets

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	pruneEvery = 5 * time.Minute
	pruneBatch = 100
)

// Start removes expired secrets now and then, until Stop or the end of ctx.
func (s *Secrets) Start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.loops.Go(func() {
		tick := time.NewTicker(pruneEvery)
		defer tick.Stop()
		for {
			if _, err := s.Prune(ctx); err != nil && ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "expired secrets could not be removed; it is tried again", "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

// Stop ends what Start began and waits for it.
func (s *Secrets) Stop() {
	if s.cancel != nil {
		s.cancel()
	}
	s.loops.Wait()
}

// Prune removes the secrets that have expired, in small steps, and returns how many they were.
func (s *Secrets) Prune(ctx context.Context) (int, error) {
	for total := 0; ; {
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
		if total += n; n < pruneBatch {
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
