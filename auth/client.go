package auth

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Client is somebody with an access token.
type Client struct {
	ID                 string
	Description        string
	Scopes             []string // as given, not expanded
	Disabled           bool
	DeleteOnExpiration bool
	Expires            time.Time
	Created            time.Time
	LastModified       time.Time
	LastUsed           time.Time // up to six hours late
	LastRotated        time.Time
	OldUntil           time.Time // the access token before the current one holds until then; zero: it does not
	OldUsed            time.Time // when that one was used last, up to a minute late; zero: not since the change
	Expanded           []string  // what Scopes expand to; set in what methods of Auth return
}

// clientRow is a row of auth_clients, in the order of clientColumns.
type clientRow struct {
	ID                                                    string
	Description                                           string
	EncryptedToken                                        []byte
	Scopes                                                []string
	Disabled, DeleteOnExpiration                          bool
	Expires, Created, LastModified, LastUsed, LastRotated time.Time

	OldToken          []byte // nil when there is none, or it holds no longer
	OldUntil, OldUsed *time.Time
}

func (r clientRow) client() Client {
	c := Client{
		ID: r.ID, Description: r.Description, Scopes: r.Scopes, Disabled: r.Disabled, DeleteOnExpiration: r.DeleteOnExpiration,
		Expires: r.Expires, Created: r.Created, LastModified: r.LastModified, LastUsed: r.LastUsed, LastRotated: r.LastRotated,
	}
	if r.OldToken != nil {
		c.OldUntil = *r.OldUntil
		if r.OldUsed != nil {
			c.OldUsed = *r.OldUsed
		}
	}
	return c
}

// Client returns a client; fault.NotFound when there is none of that id.
func (a *Auth) Client(ctx context.Context, id string) (Client, error) {
	row, err := one(ctx, a.pool, readClientSQL.Text, id)
	if err != nil {
		return Client{}, fmt.Errorf("auth: client %s: %w", id, notFound(err, "Client ID %s does not exist.", id))
	}
	return a.expanded(ctx, row)
}

// Clients lists clients whose id begins with prefix, ordered by id, from the first after the id given.
func (a *Auth) Clients(ctx context.Context, prefix, after string, limit int) ([]Client, error) {
	rows, err := a.pool.Query(ctx, listClientsSQL.Text, escapeLike(prefix)+"%", after, limit)
	if err != nil {
		return nil, fmt.Errorf("auth: list clients: %w", pg.Classify(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[clientRow])
	if err != nil {
		return nil, fmt.Errorf("auth: list clients: %w", pg.Classify(err))
	}
	list := make([]Client, 0, len(found))
	for _, row := range found {
		c, err := a.expanded(ctx, row)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func (a *Auth) expanded(ctx context.Context, row clientRow) (Client, error) {
	c := row.client()
	var err error
	if c.Expanded, err = a.Expand(ctx, c.Scopes); err != nil {
		return Client{}, fmt.Errorf("auth: client %s: %w", c.ID, err)
	}
	return c, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func one(ctx context.Context, db querier, sql string, args ...any) (clientRow, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return clientRow{}, pg.Classify(err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[clientRow])
	return row, pg.Classify(err)
}

// notFound replaces the text of a fault of kind NotFound.
func notFound(err error, format string, args ...any) error {
	if fault.KindOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, format, args...)
	}
	return err
}

func escapeLike(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(prefix)
}

// newToken draws an access token: two slugids, 264 bits of text with 244 of chance.
func newToken() string { return slug.New() + slug.New() }

const clientColumns = `client_id, description, encrypted_token, scopes, disabled, delete_on_expiration,
	expires, created, last_modified, last_used, last_rotated,
	CASE WHEN old_token_until > now() THEN old_token END, old_token_until, old_token_used`

var readClientSQL = pg.Statement{Name: "auth.read_client", Text: `
SELECT ` + clientColumns + ` FROM auth_clients WHERE client_id = $1`}

var listClientsSQL = pg.Statement{Name: "auth.list_clients", Text: `
SELECT ` + clientColumns + ` FROM auth_clients
WHERE client_id LIKE $1 AND client_id > $2 ORDER BY client_id LIMIT $3`}
