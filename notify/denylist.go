package notify

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/notify/message"
)

// Address is where notifications go.
type Address struct {
	Type    string `json:"notificationType"` // a channel
	Address string `json:"notificationAddress"`
}

// Deny has nothing sent to an address any more, in whatever case it is written. It is no error when it is
// denied already. actor is who asks.
func (n *Notify) Deny(ctx context.Context, actor string, a Address) error {
	if len(a.Address) > 4*message.MaxAddress {
		return fault.New(fault.Invalid, "The address has %d bytes; no address has more than %d.", len(a.Address), 4*message.MaxAddress)
	}
	return n.changeDenylist(ctx, denySQL, actor, a, "denied")
}

// changeDenylist runs a statement; where that changes something, it is written into the audit trail.
func (n *Notify) changeDenylist(ctx context.Context, s pg.Statement, actor string, a Address, action string) error {
	err := pg.Tx(ctx, n.Pool, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, s.Text, a.Type, a.Address)
		if err != nil || tag.RowsAffected() == 0 || n.Audit == nil {
			return err
		}
		return n.Audit(ctx, tx, actor, a, action)
	})
	if err != nil {
		return failed("change the denylist", err)
	}
	return nil
}

// Allow takes an address off the denylist. It is no error when it is not on it.
func (n *Notify) Allow(ctx context.Context, actor string, a Address) error {
	return n.changeDenylist(ctx, allowSQL, actor, a, "allowed")
}

// Denied lists the denylist, behind an address, at most limit entries.
func (n *Notify) Denied(ctx context.Context, after Address, limit int) ([]Address, error) {
	rows, err := n.Pool.Query(ctx, deniedSQL.Text, after.Type, after.Address, limit)
	if err != nil {
		return nil, failed("list the denylist", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Address])
	if err != nil {
		return nil, failed("list the denylist", err)
	}
	return list, nil
}

var (
	denySQL = pg.Statement{Name: "notify.deny", Text: `
		INSERT INTO notify_denylist (type, address) VALUES ($1, $2) ON CONFLICT DO NOTHING`}
	allowSQL = pg.Statement{Name: "notify.allow", Text: `
		DELETE FROM notify_denylist WHERE type = $1 AND address = $2`}
	deniedSQL = pg.Statement{Name: "notify.denied", Text: `
		SELECT type, address FROM notify_denylist WHERE (type, address) > ($1, $2) ORDER BY type, address LIMIT $3`}
)
