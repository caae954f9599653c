package auth

import (
	"context"
	"encoding/json"
	"errors"
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
	Created    time.Time       // set when read
	Change     json.RawMessage // set when read: what differs (see Difference); nil when nothing is told of it
	ApprovedBy string          // set when read: the second person, where one was needed
	Proved     time.Time       // set when read: when who did it had signed in; zero for what no page did

	// Before and After are the entity, to be written as JSON objects; nil where it is not there. They
	// must hold no secrets. Both are nil for a deed that has no content to show.
	Before, After any
	// Own is a deed of the server itself, or one that changes nothing: it needs no second person.
	Own bool
}

// Audit writes a record in the transaction of the change it tells about. Rooms with entities of their
// own may use it as well. Where the change needs a second person who has not approved it yet, it returns
// a *Guarded, and a *StaleSignIn where the person at a browser has to sign in again first; both must end the transaction.
func Audit(ctx context.Context, tx pgx.Tx, r Record) error {
	err := audit(ctx, tx, r)
	_, guarded := errors.AsType[*Guarded](err)
	_, stale := errors.AsType[*StaleSignIn](err)
	if err != nil && !guarded && !stale {
		return fmt.Errorf("auth: audit %s %s: %w", r.EntityType, r.EntityID, err)
	}
	return err
}

func audit(ctx context.Context, tx pgx.Tx, r Record) error {
	if !work[r.EntityType] {
		if err := Fresh(ctx); err != nil {
			return err
		}
	}
	change, err := Difference(r.Before, r.After)
	if err != nil {
		return err
	}
	approved, err := approval(ctx, tx, r, change)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, insertAuditSQL.Text, r.EntityType, r.EntityID, r.ClientID, r.Action, nullText(shortened(change)), nullText(approved), provedIn(ctx))
	return err
}

// Noting returns a context whose next transaction writes a record, together with a deed of a room that knows nothing of
// records (pg.First).
func Noting(ctx context.Context, r Record) context.Context {
	r.Own = true
	return pg.First(ctx, func(ctx context.Context, tx pgx.Tx) error { return Audit(ctx, tx, r) })
}

// Note writes a record of what was done elsewhere already.
func (a *Auth) Note(ctx context.Context, r Record) error {
	r.Own = true
	return pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error { return Audit(ctx, tx, r) })
}

func nullText[T ~string | ~[]byte](s T) *string {
	if len(s) == 0 {
		return nil
	}
	text := string(s)
	return &text
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
	list, err := pgx.CollectRows(rows, scanRecord)
	if err != nil {
		return nil, fmt.Errorf("auth: read audit: %w", pg.Classify(err))
	}
	return list, nil
}

func scanRecord(row pgx.CollectableRow) (Record, error) {
	var r Record
	var proved *time.Time
	err := row.Scan(&r.ID, &r.EntityType, &r.EntityID, &r.ClientID, &r.Action, &r.Created, (*[]byte)(&r.Change), &r.ApprovedBy, &proved)
	if proved != nil {
		r.Proved = *proved
	}
	return r, err
}

// AuditQuery says which records are wanted; what is empty matters not.
type AuditQuery struct {
	EntityType, EntityID string
	EntityPrefix         string // of entity ids
	ClientID             string
	From, To             time.Time // created at or after, and before
	Before               int64     // an id: only older records
	Limit                int
}

// AuditLog lists what was done, newest first.
func (a *Auth) AuditLog(ctx context.Context, q AuditQuery) ([]Record, error) {
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return a.records(ctx, auditLogSQL.Text, q.Before, q.Limit, q.EntityType, q.EntityID, q.EntityPrefix, q.ClientID, at(q.From), at(q.To))
}

// Prune removes clients that asked for it an hour after they expired, and then in small steps audit rows
// and approvals that are too old; it returns how many rows that were. Any number of servers may do it at once.
func (a *Auth) Prune(ctx context.Context) (int64, error) {
	removed, err := a.removeExpired(ctx)
	for _, s := range []pg.Statement{pruneApprovalsSQL, pruneAuditSQL} {
		if err == nil {
			var n int64
			n, err = pg.Prune(ctx, a.pool, s, pruneBatch, a.keepAudit)
			removed += n
		}
	}
	if err != nil {
		return removed, fmt.Errorf("auth: prune: %w", err)
	}
	return removed, nil
}

const pruneBatch = 1000

func (a *Auth) removeExpired(ctx context.Context) (removed int64, err error) {
	err = pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockStateSQL.Text); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, deleteExpiredSQL.Text)
		if err != nil {
			return err
		}
		gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
		removed = int64(len(gone))
		if err != nil || len(gone) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, touchClientsSQL.Text); err != nil {
			return err
		}
		return tellClient(ctx, tx, clientDeleted, gone...)
	})
	a.changed()
	return removed, err
}

var insertAuditSQL = pg.Statement{Name: "auth.insert_audit", Text: `
INSERT INTO auth_audit (entity_type, entity_id, client_id, action, change, approved_by, proved) VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7)`}

const recordColumns = `id, entity_type, entity_id, client_id, action, created, change, coalesce(approved_by, ''), proved`

var auditLogSQL = pg.Statement{Name: "auth.audit_log", Text: `
SELECT ` + recordColumns + ` FROM auth_audit
WHERE id < $1 AND ($3 = '' OR entity_type = $3) AND ($4 = '' OR entity_id = $4) AND starts_with(entity_id, $5)
	AND ($6 = '' OR client_id = $6) AND ($7::timestamptz IS NULL OR created >= $7) AND ($8::timestamptz IS NULL OR created < $8)
ORDER BY id DESC LIMIT $2`}

var entityHistorySQL = pg.Statement{Name: "auth.entity_history", Text: `
SELECT ` + recordColumns + ` FROM auth_audit
WHERE entity_type = $3 AND entity_id = $4 AND id < $1 ORDER BY id DESC LIMIT $2`}

var clientHistorySQL = pg.Statement{Name: "auth.client_history", Text: `
SELECT ` + recordColumns + ` FROM auth_audit
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
DELETE FROM auth_audit WHERE id IN (
	SELECT id FROM auth_audit WHERE created < now() - $2::interval ORDER BY created LIMIT $1 FOR UPDATE SKIP LOCKED)`}
