package auth

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// syncStatic makes the static clients of the database those of the configuration. It changes nothing
// when they are the same, so that starting a server disturbs nobody's copies.
func (a *Auth) syncStatic(ctx context.Context, clients []StaticClient) error {
	wanted := map[string]StaticClient{}
	for _, c := range clients {
		if err := checkStatic(c); err != nil {
			return err
		}
		if _, ok := wanted[c.ClientID]; ok {
			return fault.New(fault.Invalid, "the static client %s is configured twice", c.ClientID)
		}
		wanted[c.ClientID] = c
	}
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockStateSQL.Text); err != nil {
			return err
		}
		changed, err := a.applyStatic(ctx, tx, wanted)
		if err != nil || !changed {
			return err
		}
		_, err = tx.Exec(ctx, touchClientsSQL.Text)
		return err
	})
	a.changed()
	return err
}

func (a *Auth) applyStatic(ctx context.Context, tx pgx.Tx, wanted map[string]StaticClient) (changed bool, err error) {
	rows, err := tx.Query(ctx, listStaticSQL.Text)
	if err != nil {
		return false, err
	}
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[clientRow])
	if err != nil {
		return false, err
	}
	same, kept := map[string]bool{}, map[string]bool{} // kept: with the token it had
	known := map[string]bool{}
	for _, row := range stored {
		want, ok := wanted[row.ID]
		if !ok {
			if _, err := tx.Exec(ctx, deleteClientSQL.Text, row.ID); err != nil {
				return false, err
			}
			if err := tellClient(ctx, tx, clientDeleted, row.ID); err != nil {
				return false, err
			}
			changed = true
			continue
		}
		known[row.ID] = true
		token, err := a.vault.open(row.ID, row.EncryptedToken)
		// A token that cannot be read was stored with another key; the configuration has it anyway.
		kept[row.ID] = err == nil && token == want.AccessToken
		same[row.ID] = kept[row.ID] && row.Description == want.Description &&
			slices.Equal(row.Scopes, sortedScopes(want.Scopes)) && !row.Disabled
	}
	for id, c := range wanted {
		if same[id] {
			continue
		}
		sealed, err := a.vault.seal(id, c.AccessToken)
		if err != nil {
			return false, err
		}
		if _, err := tx.Exec(ctx, putStaticSQL.Text, id, c.Description, sealed, sortedScopes(c.Scopes), !kept[id], c.Overlap); err != nil {
			return false, err
		}
		kind := clientCreated
		if known[id] {
			kind = clientUpdated
		}
		if err := tellClient(ctx, tx, kind, id); err != nil {
			return false, err
		}
		changed = true
	}
	return changed, nil
}

func checkStatic(c StaticClient) error {
	switch {
	case !strings.HasPrefix(c.ClientID, staticPrefix):
		return fault.New(fault.Invalid, "the id of static client %.100q must begin with %s", c.ClientID, staticPrefix)
	case !tokenPattern.MatchString(c.AccessToken):
		return fault.New(fault.Invalid, "the access token of static client %s must have 22 to 66 characters of a-z, A-Z, 0-9, _ and -", c.ClientID)
	}
	if err := checkClientID(c.ClientID); err != nil {
		return err
	}
	if err := checkDescription(c.Description); err != nil {
		return err
	}
	return checkScopes(c.Scopes)
}

var listStaticSQL = pg.Statement{Name: "auth.list_static", Text: `
SELECT ` + clientColumns + ` FROM auth_clients WHERE client_id LIKE 'static/%'`}

var putStaticSQL = pg.Statement{Name: "auth.put_static", Text: `
INSERT INTO auth_clients (client_id, description, encrypted_token, scopes, expires)
VALUES ($1, $2, $3, $4, now() + interval '1000 years')
ON CONFLICT (client_id) DO UPDATE SET description = excluded.description, encrypted_token = excluded.encrypted_token,
	scopes = excluded.scopes, expires = excluded.expires, disabled = false, last_modified = now(),
	last_rotated = CASE WHEN $5::boolean THEN now() ELSE auth_clients.last_rotated END,
	old_token = CASE WHEN NOT $5 THEN auth_clients.old_token WHEN $6::interval > '0' THEN auth_clients.encrypted_token END,
	old_token_until = CASE WHEN NOT $5 THEN auth_clients.old_token_until WHEN $6::interval > '0' THEN now() + $6::interval END,
	old_token_used = CASE WHEN NOT $5 THEN auth_clients.old_token_used END`}
