package auth

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

// Role is a named set of scopes that holders of assume:<ID> get. An ID ending in "*" is a prefix role:
// whoever assumes an id that begins so has it, and "<..>" in its scopes stands for the rest.
type Role struct {
	ID           string
	Scopes       []string // sorted, as given
	Description  string
	Created      time.Time
	LastModified time.Time
	Expanded     []string // what assume:<ID> expands to; set in what methods of Auth return
}

// Role returns a role; fault.NotFound when there is none of that id.
func (a *Auth) Role(ctx context.Context, id string) (Role, error) {
	rows, err := a.pool.Query(ctx, readRoleSQL.Text, id)
	if err != nil {
		return Role{}, fmt.Errorf("auth: role %s: %w", id, pg.Classify(err))
	}
	list, err := collectRoles(rows)
	if err != nil {
		return Role{}, fmt.Errorf("auth: role %s: %w", id, err)
	}
	if len(list) == 0 {
		return Role{}, fault.New(fault.NotFound, "Role ID %s does not exist.", id)
	}
	return a.expandedRole(ctx, list[0])
}

// Roles lists roles ordered by id, from the first after the id given; limit 0 lists all.
func (a *Auth) Roles(ctx context.Context, after string, limit int) ([]Role, error) {
	rows, err := a.pool.Query(ctx, listRolesSQL.Text, after, limit)
	if err != nil {
		return nil, fmt.Errorf("auth: list roles: %w", pg.Classify(err))
	}
	list, err := collectRoles(rows)
	if err != nil {
		return nil, fmt.Errorf("auth: list roles: %w", err)
	}
	for i := range list {
		if list[i], err = a.expandedRole(ctx, list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (a *Auth) expandedRole(ctx context.Context, r Role) (Role, error) {
	var err error
	if r.Expanded, err = a.Expand(ctx, []string{expand.Assume + r.ID}); err != nil {
		return Role{}, fmt.Errorf("auth: role %s: %w", r.ID, err)
	}
	return r, nil
}

// RoleInput is what can be said about a role.
type RoleInput struct {
	Scopes      []string
	Description string
	Seen        time.Time // as in ClientInput
}

func checkRole(id string, in RoleInput) error {
	if id == "" || len(id) > maxName || !scope.Printable(id) {
		return fault.New(fault.Invalid, "role id %.100q must be printable ASCII and not empty", id)
	}
	if err := checkDescription(in.Description); err != nil {
		return err
	}
	return checkScopes(in.Scopes)
}

// CreateRole makes a role. One that exists with the same scopes and description is returned as it is;
// with others it is a fault.Conflict. A role that closes a circle is a fault.Invalid. That actor may
// give these scopes is for the caller to check.
func (a *Auth) CreateRole(ctx context.Context, actor, id string, in RoleInput) (Role, error) {
	role := Role{ID: id, Scopes: sortedScopes(in.Scopes), Description: in.Description}
	return a.changeRole(ctx, actor, "created", id, in, func(old *Role, _ []Role) (*Role, error) {
		switch {
		case old == nil:
			return &role, nil
		case slices.Equal(old.Scopes, role.Scopes) && old.Description == role.Description:
			return old, nil
		default:
			return nil, fault.New(fault.Conflict, "Role ID %s already exists with other scopes or another description.", id)
		}
	})
}

// UpdateRole changes a role. allow is asked, before anything is written, whether the scopes that what
// the role expanded to before does not satisfy may be given; its error ends the change.
func (a *Auth) UpdateRole(ctx context.Context, actor, id string, in RoleInput, allow func(added []string) error) (Role, error) {
	return a.changeRole(ctx, actor, "updated", id, in, func(old *Role, all []Role) (*Role, error) {
		if old == nil {
			return nil, fault.New(fault.NotFound, "Role ID %s does not exist.", id)
		}
		if !in.Seen.IsZero() && !in.Seen.Equal(old.LastModified) {
			return nil, fault.New(fault.Conflict, "Role ID %s was changed meanwhile.", id)
		}
		former, err := newResolver(all).Expand(old.Scopes)
		if err != nil {
			return nil, err
		}
		held := scope.NewSet(former)
		scopes := sortedScopes(in.Scopes)
		if err := allow(slices.DeleteFunc(slices.Clone(scopes), held.Has)); err != nil {
			return nil, err
		}
		return &Role{ID: id, Scopes: scopes, Description: in.Description}, nil
	})
}

// AddRole makes a role on behalf of the server itself, unless there is one of that id, whatever it is.
func (a *Auth) AddRole(ctx context.Context, id string, in RoleInput) error {
	_, err := a.changeRole(ctx, itself, "created", id, in, func(old *Role, _ []Role) (*Role, error) {
		if old != nil {
			return old, nil
		}
		return &Role{ID: id, Scopes: sortedScopes(in.Scopes), Description: in.Description}, nil
	})
	return err
}

// EnsureRole makes a role what it is told, whatever it was before. What an operator may have changed
// needs CreateRole instead.
func (a *Auth) EnsureRole(ctx context.Context, id string, scopes []string, description string) error {
	in := RoleInput{Scopes: scopes, Description: description}
	_, err := a.changeRole(ctx, itself, "updated", id, in, func(old *Role, _ []Role) (*Role, error) {
		want := Role{ID: id, Scopes: sortedScopes(scopes), Description: description}
		if old != nil && slices.Equal(old.Scopes, want.Scopes) && old.Description == description {
			return old, nil
		}
		return &want, nil
	})
	return err
}

// DeleteRole removes a role; one that does not exist is removed already.
func (a *Auth) DeleteRole(ctx context.Context, actor, id string) error {
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockStateSQL.Text); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, deleteRoleSQL.Text, id)
		if err != nil {
			return err
		}
		gone, err := collectRoles(rows)
		if err != nil || len(gone) == 0 {
			return err
		}
		old := gone[0]
		if _, err := tx.Exec(ctx, touchRolesSQL.Text); err != nil {
			return err
		}
		if err := Audit(ctx, tx, Record{EntityType: "role", EntityID: id, ClientID: actor, Action: "deleted", Before: told(&old)}); err != nil {
			return err
		}
		return tellRole(ctx, tx, roleDeleted, id)
	})
	a.changed()
	if err != nil {
		return fmt.Errorf("auth: delete role %s: %w", id, err)
	}
	return nil
}

// changeRole asks decide what the role shall be, given what it is (nil: it is not there), under the
// lock; when that differs, all roles are checked together and the role is written.
func (a *Auth) changeRole(ctx context.Context, actor, action, id string, in RoleInput, decide func(old *Role, all []Role) (*Role, error)) (Role, error) {
	if err := checkRole(id, in); err != nil {
		return Role{}, fmt.Errorf("auth: role: %w", err)
	}
	var out Role
	var version int64
	var left []Role // all roles after the change; nil when there is none
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		left = nil
		if err := tx.QueryRow(ctx, lockStateSQL.Text).Scan(&version); err != nil {
			return err
		}
		list, err := a.lockedRoles(ctx, tx, version)
		if err != nil {
			return err
		}
		var old *Role
		at := slices.IndexFunc(list, func(r Role) bool { return r.ID == id })
		if at >= 0 {
			was := list[at]
			old = &was
		}
		want, err := decide(old, list)
		if err != nil {
			return err
		}
		if want == old {
			out = *old
			return nil
		}
		kind := roleCreated
		if at >= 0 {
			list[at], kind = *want, roleUpdated
		} else {
			list = append(list, *want)
		}
		if err := expand.Check(rules(list)); err != nil {
			return err
		}
		if out, err = writeRole(ctx, tx, old, *want, actor, action); err != nil {
			return err
		}
		if at < 0 {
			at = len(list) - 1
		}
		list[at], left = out, list
		return tellRole(ctx, tx, kind, id)
	})
	if err == nil && left != nil {
		a.learn(left, version+1)
	}
	a.changed()
	if err != nil {
		return Role{}, fmt.Errorf("auth: role %s: %w", id, err)
	}
	return a.expandedRole(ctx, out)
}

// rules are roles as what they say about scopes.
func rules(roles []Role) []expand.Role {
	out := make([]expand.Role, len(roles))
	for i, r := range roles {
		out[i] = expand.Role{ID: r.ID, Scopes: r.Scopes}
	}
	return out
}

func newResolver(roles []Role) *expand.Resolver { return expand.New(rules(roles)) }

// told is a role as the audit trail shows it.
func told(r *Role) any {
	if r == nil {
		return nil
	}
	return map[string]any{"scopes": r.Scopes, "description": r.Description}
}

func writeRole(ctx context.Context, tx pgx.Tx, old *Role, want Role, actor, action string) (Role, error) {
	own := actor == itself
	if own {
		actor = configured
	}
	var out Role
	row := tx.QueryRow(ctx, putRoleSQL.Text, want.ID, want.Scopes, want.Description)
	if err := row.Scan(&out.ID, &out.Scopes, &out.Description, &out.Created, &out.LastModified); err != nil {
		return Role{}, err
	}
	if _, err := tx.Exec(ctx, touchRolesSQL.Text); err != nil {
		return Role{}, err
	}
	return out, Audit(ctx, tx, Record{
		EntityType: "role", EntityID: want.ID, ClientID: actor, Action: action, Before: told(old), After: told(&want), Own: own,
	})
}

func readRoles(ctx context.Context, db querier) ([]Role, error) {
	rows, err := db.Query(ctx, listRolesSQL.Text, "", 0)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", pg.Classify(err))
	}
	return collectRoles(rows)
}

func collectRoles(rows pgx.Rows) ([]Role, error) {
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Role, error) {
		var r Role
		err := row.Scan(&r.ID, &r.Scopes, &r.Description, &r.Created, &r.LastModified)
		return r, err
	})
	return list, pg.Classify(err)
}

const roleColumns = `role_id, scopes, description, created, last_modified`

var readRoleSQL = pg.Statement{Name: "auth.read_role", Text: `SELECT ` + roleColumns + ` FROM auth_roles WHERE role_id = $1`}

var listRolesSQL = pg.Statement{Name: "auth.list_roles", Text: `
SELECT ` + roleColumns + ` FROM auth_roles WHERE role_id > $1 ORDER BY role_id LIMIT nullif($2::integer, 0)`}

var putRoleSQL = pg.Statement{Name: "auth.put_role", Text: `
INSERT INTO auth_roles (role_id, scopes, description) VALUES ($1, $2, $3)
ON CONFLICT (role_id) DO UPDATE SET scopes = excluded.scopes, description = excluded.description, last_modified = now()
RETURNING ` + roleColumns}

var deleteRoleSQL = pg.Statement{Name: "auth.delete_role", Text: `DELETE FROM auth_roles WHERE role_id = $1 RETURNING ` + roleColumns}
