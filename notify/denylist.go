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
// denied already.
func (n *Notify) Deny(ctx context.Context, a Address) error {
	if len(a.Address) > 4*message.MaxAddress {
		return fault.New(fault.Invalid, "The address has %d bytes; no address has more than %d.", len(a.Address), 4*message.MaxAddress)
	}
	if _, err := n.Pool.Exec(ctx, denySQL.Text, a.Type, a.Address); err != nil {
		return failed("deny an address", err)
	}
	return nil
}

// Allow takes an address off the denylist. It is no error when it is not on it.
func (n *Notify) Allow(ctx context.Context, a Address) error {
	if _, err := n.Pool.Exec(ctx, allowSQL.Text, a.Type, a.Address); err != nil {
		return failed("allow an address", err)
	}
	return nil
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
