package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// staticPrefix begins the ids of clients that only the configuration may change.
const staticPrefix = "static/"

const (
	configured = staticPrefix + "treeline" // whose deeds those of the configuration are
	itself     = "\x00"                    // stands for the server, as no client's id can
	tokenReset = "access token reset"

	oldTokenEnded = "old access token ended"
)

// ClientInput is what can be said about a client.
type ClientInput struct {
	Description        string
	Expires            time.Time
	DeleteOnExpiration bool
	Scopes             []string // nil: none when creating, the old ones when updating
	// Seen is when the client that is updated was modified last, as far as whoever updates it knows: one
	// modified since then is a fault.Conflict. Zero: whatever it is.
	Seen time.Time
}

func checkClient(id string, in ClientInput) error {
	if err := checkClientID(id); err != nil {
		return err
	}
	if strings.HasPrefix(id, staticPrefix) {
		return fault.New(fault.Invalid, "client ids beginning with %s come from the configuration and cannot be changed here", staticPrefix)
	}
	if err := checkDescription(in.Description); err != nil {
		return err
	}
	return checkScopes(in.Scopes)
}

// CreateClient makes a client and returns it with its access token, which is shown only here and by
// ResetAccessToken. A client that exists is a fault.Conflict, whatever its content. That actor, the
// client who asks, may give these scopes is for the caller to check.
func (a *Auth) CreateClient(ctx context.Context, actor, id string, in ClientInput) (Client, string, error) {
	if err := checkClient(id, in); err != nil {
		return Client{}, "", fmt.Errorf("auth: create client: %w", err)
	}
	token := newToken()
	sealed, err := a.vault.seal(id, token)
	if err != nil {
		return Client{}, "", err
	}
	row, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: "client created"}, clientCreated, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		row, err := one(ctx, tx, insertClientSQL.Text, id, in.Description, sealed, sortedScopes(in.Scopes), in.Expires, in.DeleteOnExpiration)
		return row, err
	})
	if fault.KindOf(err) == fault.NotFound {
		err = fault.New(fault.Conflict, "Client ID %s already exists.", id)
	}
	if err != nil {
		return Client{}, "", fmt.Errorf("auth: create client %s: %w", id, err)
	}
	c, err := a.expanded(ctx, row)
	return c, token, err
}

// UpdateClient changes a client. allow is asked, before anything is written, whether the scopes that
// the client did not list before may be given; its error ends the change.
func (a *Auth) UpdateClient(ctx context.Context, actor, id string, in ClientInput, allow func(added []string) error) (Client, error) {
	if err := checkClient(id, in); err != nil {
		return Client{}, fmt.Errorf("auth: update client: %w", err)
	}
	row, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: "client updated"}, clientUpdated, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		old, err := one(ctx, tx, readClientSQL.Text, id)
		if err != nil {
			return clientRow{}, err
		}
		if !in.Seen.IsZero() && !in.Seen.Equal(old.LastModified) {
			return clientRow{}, fault.New(fault.Conflict, "Client ID %s was changed meanwhile.", id)
		}
		scopes := old.Scopes
		if in.Scopes != nil {
			scopes = sortedScopes(in.Scopes)
		}
		added := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(old.Scopes, s) })
		if err := allow(added); err != nil {
			return clientRow{}, err
		}
		return one(ctx, tx, updateClientSQL.Text, id, in.Description, scopes, in.Expires, in.DeleteOnExpiration)
	})
	if err != nil {
		return Client{}, fmt.Errorf("auth: update client %s: %w", id, err)
	}
	return a.expanded(ctx, row)
}

// MaxOverlap is how long an old access token may hold beside the new one.
const MaxOverlap = 30 * 24 * time.Hour

// ResetAccessToken gives a client a new token and returns it. The old one holds for the overlap longer, which gives
// those who use it time to take the new one; with none, it is worth nothing from then. One from before that is worth
// nothing in any case.
func (a *Auth) ResetAccessToken(ctx context.Context, actor, id string, overlap time.Duration) (Client, string, error) {
	if err := checkClient(id, ClientInput{}); err != nil {
		return Client{}, "", fmt.Errorf("auth: reset access token: %w", err)
	}
	if overlap < 0 || overlap > MaxOverlap {
		return Client{}, "", fault.New(fault.Invalid, "an old access token may hold for %v at most, and not for %v", MaxOverlap, overlap)
	}
	token := newToken()
	sealed, err := a.vault.seal(id, token)
	if err != nil {
		return Client{}, "", err
	}
	row, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: tokenReset}, clientUpdated, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		return one(ctx, tx, resetTokenSQL.Text, id, sealed, overlap)
	})
	if err != nil {
		return Client{}, "", fmt.Errorf("auth: reset access token of %s: %w", id, err)
	}
	c, err := a.expanded(ctx, row)
	return c, token, err
}

// EndOldToken makes the access token that a client had before its current one worth nothing at once. It is for clients
// of the configuration, too.
func (a *Auth) EndOldToken(ctx context.Context, actor, id string) (Client, error) {
	row, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: oldTokenEnded, Own: true}, clientUpdated, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		return one(ctx, tx, endOldTokenSQL.Text, id)
	})
	if err != nil {
		return Client{}, fmt.Errorf("auth: end the old access token of %s: %w", id, err)
	}
	return a.expanded(ctx, row)
}

// SetDisabled disables a client or enables it again; doing it twice changes nothing.
func (a *Auth) SetDisabled(ctx context.Context, actor, id string, disabled bool) (Client, error) {
	if err := checkClient(id, ClientInput{}); err != nil {
		return Client{}, fmt.Errorf("auth: disable client: %w", err)
	}
	action := "client enabled"
	if disabled {
		action = "client disabled"
	}
	row, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: action}, clientUpdated, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		return one(ctx, tx, disableClientSQL.Text, id, disabled)
	})
	if err != nil {
		return Client{}, fmt.Errorf("auth: %s: %s: %w", action, id, err)
	}
	return a.expanded(ctx, row)
}

// DeleteClient removes a client; one that does not exist is removed already.
func (a *Auth) DeleteClient(ctx context.Context, actor, id string) error {
	if err := checkClient(id, ClientInput{}); err != nil {
		return fmt.Errorf("auth: delete client: %w", err)
	}
	_, err := a.changeClient(ctx, Record{EntityID: id, ClientID: actor, Action: "client deleted"}, clientDeleted, func(ctx context.Context, tx pgx.Tx) (clientRow, error) {
		return one(ctx, tx, deleteClientSQL.Text, id)
	})
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return fmt.Errorf("auth: delete client %s: %w", id, err)
	}
	return nil
}

// told is a client as the audit trail shows it.
func (r *clientRow) told() any {
	if r.ID == "" {
		return nil
	}
	return map[string]any{
		"scopes": r.Scopes, "description": r.Description, "expires": r.Expires.UTC(), "deleteOnExpiration": r.DeleteOnExpiration, "disabled": r.Disabled,
	}
}

// changeClient runs one change under the lock, with its audit row and event, and tells all servers.
func (a *Auth) changeClient(ctx context.Context, audit Record, kind string, change func(ctx context.Context, tx pgx.Tx) (clientRow, error)) (clientRow, error) {
	var row clientRow
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockStateSQL.Text); err != nil {
			return err
		}
		old, err := one(ctx, tx, readClientSQL.Text, audit.EntityID)
		if err != nil && !errors.Is(err, fault.NotFound) {
			return err
		}
		if row, err = change(ctx, tx); err != nil {
			return notFound(err, "Client ID %s does not exist.", audit.EntityID)
		}
		if audit.Action != tokenReset && audit.Action != oldTokenEnded {
			audit.Before, audit.After = old.told(), row.told()
		}
		if kind == clientDeleted {
			audit.After = nil
		}
		if _, err := tx.Exec(ctx, touchClientsSQL.Text); err != nil {
			return err
		}
		audit.EntityType = "client"
		if err := Audit(ctx, tx, audit); err != nil {
			return err
		}
		return tellClient(ctx, tx, kind, audit.EntityID)
	})
	a.changed()
	return row, err
}

func sortedScopes(scopes []string) []string {
	out := append([]string{}, scopes...)
	slices.SortFunc(out, scope.Compare)
	return slices.Compact(out)
}

var insertClientSQL = pg.Statement{Name: "auth.insert_client", Text: `
INSERT INTO auth_clients (client_id, description, encrypted_token, scopes, expires, delete_on_expiration)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
RETURNING ` + clientColumns}

var updateClientSQL = pg.Statement{Name: "auth.update_client", Text: `
UPDATE auth_clients SET description = $2, scopes = $3, expires = $4, delete_on_expiration = $5, last_modified = now()
WHERE client_id = $1 RETURNING ` + clientColumns}

var resetTokenSQL = pg.Statement{Name: "auth.reset_token", Text: `
UPDATE auth_clients SET encrypted_token = $2, last_rotated = now(), last_modified = now(), old_token_used = NULL,
	old_token = CASE WHEN $3::interval > '0' THEN encrypted_token END, old_token_until = CASE WHEN $3::interval > '0' THEN now() + $3 END
WHERE client_id = $1 RETURNING ` + clientColumns}

var endOldTokenSQL = pg.Statement{Name: "auth.end_old_token", Text: `
UPDATE auth_clients SET old_token = NULL, old_token_until = NULL, old_token_used = NULL
WHERE client_id = $1 RETURNING ` + clientColumns}

var disableClientSQL = pg.Statement{Name: "auth.disable_client", Text: `
UPDATE auth_clients SET disabled = $2, last_modified = CASE WHEN disabled = $2 THEN last_modified ELSE now() END
WHERE client_id = $1 RETURNING ` + clientColumns}

var deleteClientSQL = pg.Statement{Name: "auth.delete_client", Text: `
DELETE FROM auth_clients WHERE client_id = $1 RETURNING ` + clientColumns}
