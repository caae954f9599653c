// Package secrets keeps small secret values by name until they expire (taskcluster-map 8). Values are
// sealed in the database, bound to their name; they appear in no error, no log and no event. Whoever
// sets, reads or removes one is written into the audit trail, with the name and never the value.
//
// Who may do what is for the caller to check. All methods are safe for concurrent use, and so are any
// number of servers on one database.
package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/crypt/reseal"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// MaxName is the most bytes that a name may have.
const MaxName = 1024

// What the audit trail says was done to a secret.
const (
	Created = "created"
	Updated = "updated"
	Deleted = "deleted"
	Expired = "expired"
	Read    = "read"
)

// expirer is whose doing it is, in the audit trail, that a secret expired.
const expirer = "static/taskcluster/secrets"

// Secret is a value and how long it lasts.
type Secret struct {
	Value   json.RawMessage // an object
	Expires time.Time
}

// Audit writes what a client did to the secret of a name, in the transaction of the deed.
type Audit func(ctx context.Context, tx pgx.Tx, name, clientID, action string) error

// Reader is who reads a secret.
type Reader struct {
	ClientID string
	Issuer   string // the client behind temporary credentials, as web.Caller has it; "" of who signed in to the pages
}

// Deps is what the room needs. All but Alarm are required.
type Deps struct {
	Pool  *pgxpool.Pool
	Ring  *crypt.Ring
	Audit Audit
	Log   *slog.Logger
	// Alarm is told who has read a secret, before they get it: its error keeps it from them.
	Alarm func(ctx context.Context, by Reader, name string) error
}

// Secrets is the room.
type Secrets struct {
	Deps
}

// New makes the room.
func New(d Deps) *Secrets { return &Secrets{Deps: d} }

func bound(name string) []byte { return []byte("secrets:" + name) }

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fault.New(fault.Invalid, "the name of a secret must have 1 to %d characters, not %d", MaxName, len(name))
	}
	return nil
}

// Set puts a secret at a name, in place of the one that may be there. A secret that has expired already
// is as good as none.
func (s *Secrets) Set(ctx context.Context, clientID, name string, secret Secret) error {
	return s.set(ctx, clientID, name, secret, nil)
}

// set asks check, when given, about what stands there before it writes.
func (s *Secrets) set(ctx context.Context, clientID, name string, secret Secret, check func(context.Context, pgx.Tx) error) error {
	if err := checkName(name); err != nil {
		return err
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(secret.Value, &object); err != nil || object == nil {
		return fault.New(fault.Invalid, "the value of secret %.100q is not a JSON object", name) // the cause may repeat the value
	}
	sealed, err := s.Ring.Seal(secret.Value, bound(name))
	if err != nil {
		return failed("set", name, err)
	}
	err = pg.Tx(ctx, s.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.dropExpired(ctx, tx, name); err != nil {
			return err
		}
		if check != nil {
			if err := check(ctx, tx); err != nil {
				return err
			}
		}
		action := Updated
		var created bool
		if err := tx.QueryRow(ctx, setSQL.Text, name, sealed, secret.Expires).Scan(&created); err != nil {
			return err
		}
		if created {
			action = Created
		}
		return s.Audit(ctx, tx, name, clientID, action)
	})
	return failed("set", name, err)
}

// Get is Read for a client of which no more is known.
func (s *Secrets) Get(ctx context.Context, clientID, name string) (Secret, error) {
	return s.Read(ctx, Reader{ClientID: clientID}, name)
}

// Read returns the secret of a name, and writes down who read it; fault.NotFound when there is none or it
// has expired.
func (s *Secrets) Read(ctx context.Context, by Reader, name string) (Secret, error) {
	var out Secret
	err := pg.Tx(ctx, s.Pool, func(ctx context.Context, tx pgx.Tx) error {
		var sealed []byte
		err := tx.QueryRow(ctx, getSQL.Text, name).Scan(&sealed, &out.Expires)
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.New(fault.NotFound, "There is no secret named %.1100q.", name)
		}
		if err != nil {
			return err
		}
		if out.Value, err = s.Ring.Open(sealed, bound(name)); err != nil {
			return err
		}
		return s.Audit(ctx, tx, name, by.ClientID, Read)
	})
	if err == nil && s.Alarm != nil {
		err = s.Alarm(ctx, by, name)
	}
	if err != nil {
		return Secret{}, failed("get", name, err)
	}
	out.Expires = out.Expires.UTC()
	return out, nil
}

// Remove removes the secret of a name, if there is one.
func (s *Secrets) Remove(ctx context.Context, clientID, name string) error {
	err := pg.Tx(ctx, s.Pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := s.dropExpired(ctx, tx, name); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, removeSQL.Text, name)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return s.Audit(ctx, tx, name, clientID, Deleted)
	})
	return failed("remove", name, err)
}

// List returns up to limit names after the given one, in order.
func (s *Secrets) List(ctx context.Context, after string, limit int) ([]string, error) {
	rows, err := s.Pool.Query(ctx, listSQL.Text, after, limit)
	if err != nil {
		return nil, fmt.Errorf("secrets: list: %w", pg.Classify(err))
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("secrets: list: %w", pg.Classify(err))
	}
	return names, nil
}

func failed(what, name string, err error) error {
	if err == nil || fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Conflict {
		return err
	}
	return fmt.Errorf("secrets: %s %q: %w", what, name, pg.Classify(err))
}

// Sealed is what the room has stored under encryption, for the rotation of keys.
func Sealed() reseal.Table {
	return reseal.Table{
		Name: "secrets", Columns: 1, Page: sealedSQL, Swap: swapSQL,
		Context: func(key []string) []byte { return bound(key[0]) },
	}
}

// Statements are the room's SQL, for the test that prepares each.
func Statements() []pg.Statement {
	return []pg.Statement{aboutSQL, searchSQL, setSQL, getSQL, removeSQL, listSQL, dropExpiredSQL, pruneSQL, sealedSQL, swapSQL}
}

var (
	setSQL = pg.Statement{Name: "secrets.set", Text: `
		INSERT INTO secrets (name, sealed, expires) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, expires = excluded.expires, modified = now()
		RETURNING xmax = 0`}

	getSQL = pg.Statement{Name: "secrets.get", Text: `
		SELECT sealed, expires FROM secrets WHERE name = $1 AND expires > now()`}

	removeSQL = pg.Statement{Name: "secrets.remove", Text: `DELETE FROM secrets WHERE name = $1`}

	listSQL = pg.Statement{Name: "secrets.list", Text: `
		SELECT name FROM secrets WHERE name > $1 AND expires > now() ORDER BY name LIMIT $2`}

	sealedSQL = pg.Statement{Name: "secrets.sealed", Text: `
		SELECT ARRAY[name], sealed FROM secrets WHERE name > ($1::text[])[1] ORDER BY name LIMIT $2`}

	swapSQL = pg.Statement{Name: "secrets.swap", Text: `
		UPDATE secrets SET sealed = $3 WHERE name = ($1::text[])[1] AND sealed = $2`}
)
