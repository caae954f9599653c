package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/pg"
)

// Record is one row of the audit trail (taskcluster-map 4.11).
type Record struct {
	ID         int64 // set when read; greater is newer
	EntityType string
	EntityID   string
	ClientID   string // who did it
	Action     string
	Created    time.Time // set when read
}

// Audit writes a record in the transaction of the change it tells about. Rooms with entities of their
// own may use it as well.
func Audit(ctx context.Context, tx pgx.Tx, r Record) error {
	_, err := tx.Exec(ctx, insertAuditSQL.Text, r.EntityType, r.EntityID, r.ClientID, r.Action)
	if err != nil {
		return fmt.Errorf("auth: audit %s %s: %w", r.EntityType, r.EntityID, err)
	}
	return nil
}

// EntityHistory lists what was done to an entity, newest first, from the first before the record of
// the given id (0: the newest).
func (a *Auth) EntityHistory(ctx context.Context, entityType, entityID string, before int64, limit int) ([]Record, error) {
	return a.records(ctx, entityHistorySQL.Text, before, limit, entityType, entityID)
}

// ClientHistory lists what a client did, in the manner of EntityHistory.
func (a *Auth) ClientHistory(ctx context.Context, clientID string, before int64, limit int) ([]Record, error) {
	return a.records(ctx, clientHistorySQL.Text, before, limit, clientID)
}

func (a *Auth) records(ctx context.Context, sql string, before int64, limit int, args ...any) ([]Record, error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	rows, err := a.pool.Query(ctx, sql, append([]any{before, limit}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("auth: read audit: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Record])
	if err != nil {
		return nil, fmt.Errorf("auth: read audit: %w", pg.Classify(err))
	}
	return list, nil
}

// Clean removes clients that asked for it an hour after they expired, and old audit rows. Any number
// of servers may do it at once.
func (a *Auth) Clean(ctx context.Context) error {
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockStateSQL.Text); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, deleteExpiredSQL.Text)
		if err != nil {
			return err
		}
		gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		if len(gone) > 0 {
			if _, err := tx.Exec(ctx, touchClientsSQL.Text); err != nil {
				return err
			}
		}
		if err := tellClient(ctx, tx, clientDeleted, gone...); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, pruneAuditSQL.Text, a.keepAudit)
		return err
	})
	a.changed()
	if err != nil {
		return fmt.Errorf("auth: clean: %w", err)
	}
	return nil
}

var insertAuditSQL = pg.Statement{Name: "auth.insert_audit", Text: `
INSERT INTO auth_audit (entity_type, entity_id, client_id, action) VALUES ($1, $2, $3, $4)`}

var entityHistorySQL = pg.Statement{Name: "auth.entity_history", Text: `
SELECT id, entity_type, entity_id, client_id, action, created FROM auth_audit
WHERE entity_type = $3 AND entity_id = $4 AND id < $1 ORDER BY id DESC LIMIT $2`}

var clientHistorySQL = pg.Statement{Name: "auth.client_history", Text: `
SELECT id, entity_type, entity_id, client_id, action, created FROM auth_audit
WHERE client_id = $3 AND id < $1 ORDER BY id DESC LIMIT $2`}

var deleteExpiredSQL = pg.Statement{Name: "auth.delete_expired", Text: `
WITH gone AS (
	DELETE FROM auth_clients WHERE delete_on_expiration AND expires < now() - interval '1 hour' RETURNING client_id
), told AS (
	INSERT INTO auth_audit (entity_type, entity_id, client_id, action)
	SELECT 'client', client_id, 'static/taskcluster/auth', 'client expired' FROM gone
)
SELECT client_id FROM gone ORDER BY client_id`}

var pruneAuditSQL = pg.Statement{Name: "auth.prune_audit", Text: `
DELETE FROM auth_audit WHERE created < now() - $1::interval`}
