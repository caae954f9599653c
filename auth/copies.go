package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/auth/scope/expand"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
)

const (
	// trustFor is how long a copy is used without asking whether it is old.
	trustFor = 500 * time.Millisecond
	// maxClients and maxMemo bound the memory of the copies; a full one starts afresh. Anybody may ask
	// for expansions, of lists as long as a request's body.
	maxClients = 20_000
	maxMemo    = 32 << 20 // bytes
)

// copies holds what was read from the database, as of two version numbers.
type copies struct {
	mu             sync.Mutex
	checked        time.Time // by the monotonic clock; zero: ask again
	clientsVersion int64
	rolesVersion   int64
	clients        map[string]*clientCopy
	roles          *rolesCopy
}

// rolesCopy is all roles as of one version, with the expansions made from them.
type rolesCopy struct {
	*expand.Resolver
	list    []Role // in no order; not to be changed
	version int64
	mu      sync.Mutex
	memo    map[string][]string
	bytes   int // of memo, about
}

// clientCopy is a client with its token.
type clientCopy struct {
	Client
	token string
	old   string // the token before, while that holds; ""
	mu    sync.Mutex
	under *rolesCopy // what scopes were expanded with
	own   []string   // expansion of the client's scopes
	all   []string   // the same with the anonymous role
}

// forget makes the next question read the version numbers again; called after every change.
func (a *Auth) forget() {
	a.copies.mu.Lock()
	defer a.copies.mu.Unlock()
	a.copies.checked = time.Time{}
}

// refresh reads the version numbers when they are older than trustFor. It must be called with the
// lock held.
func (a *Auth) refresh(ctx context.Context) error {
	c := &a.copies
	if c.clients != nil && time.Since(c.checked) < trustFor && !c.checked.IsZero() {
		return nil
	}
	asked := time.Now()
	var clients, roles int64
	if err := a.pool.QueryRow(ctx, readStateSQL.Text).Scan(&clients, &roles); err != nil {
		return fmt.Errorf("read state: %w", pg.Classify(err))
	}
	if c.clients == nil || clients != c.clientsVersion {
		c.clients, c.clientsVersion = map[string]*clientCopy{}, clients
	}
	c.rolesVersion, c.checked = roles, asked
	return nil
}

// roles returns the current roles.
func (a *Auth) roles(ctx context.Context) (*rolesCopy, error) {
	c := &a.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := a.refresh(ctx); err != nil {
		return nil, err
	}
	if c.roles != nil && c.roles.version == c.rolesVersion {
		return c.roles, nil
	}
	list, err := readRoles(ctx, a.pool)
	if err != nil {
		return nil, err
	}
	c.roles = newRolesCopy(list, c.rolesVersion)
	return c.roles, nil
}

func newRolesCopy(list []Role, version int64) *rolesCopy {
	return &rolesCopy{Resolver: newResolver(list), list: list, version: version, memo: map[string][]string{}}
}

// lockedRoles returns all roles in a transaction that holds the lock, at the version that it saw: from the
// copy, when that is of this version.
func (a *Auth) lockedRoles(ctx context.Context, db querier, version int64) ([]Role, error) {
	a.copies.mu.Lock()
	known := a.copies.roles
	a.copies.mu.Unlock()
	if known != nil && known.version == version {
		return slices.Clone(known.list), nil
	}
	return readRoles(ctx, db)
}

// learn keeps the roles that a change has left behind, so that nobody has to read them all again.
func (a *Auth) learn(list []Role, version int64) {
	a.copies.mu.Lock()
	defer a.copies.mu.Unlock()
	if a.copies.roles == nil || a.copies.roles.version < version {
		a.copies.roles = newRolesCopy(list, version)
	}
}

// expand is Resolver.Expand with a memory for sets that assume the same roles.
func (r *rolesCopy) expand(scopes []string) ([]string, error) {
	key := strings.Join(scopes, "\n")
	r.mu.Lock()
	known, ok := r.memo[key]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	out, err := r.Resolver.Expand(scopes)
	if err != nil {
		return nil, err
	}
	r.remember(key, out)
	return out, nil
}

// remember keeps an expansion, unless it alone would take much of the memory.
func (r *rolesCopy) remember(key string, out []string) {
	size := len(key)
	for _, s := range out {
		size += len(s) + 16 // a string's header
	}
	if size > maxMemo/8 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.memo[key]; known {
		return // somebody else was faster
	}
	if r.bytes+size > maxMemo {
		clear(r.memo)
		r.bytes = 0
	}
	r.memo[key] = out
	r.bytes += size
}

// client returns a client by id; one that does not exist is a fault of kind NotFound.
func (a *Auth) client(ctx context.Context, id string) (*clientCopy, error) {
	c := &a.copies
	c.mu.Lock()
	err := a.refresh(ctx)
	known, version := c.clients[id], c.clientsVersion
	c.mu.Unlock()
	if err != nil || known != nil {
		return known, err
	}
	rows, err := a.pool.Query(ctx, readClientSQL.Text, id)
	if err != nil {
		return nil, fmt.Errorf("read client: %w", pg.Classify(err))
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[clientRow])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "Client ID %s does not exist.", id)
	}
	if err != nil {
		return nil, fmt.Errorf("read client: %w", pg.Classify(err))
	}
	token, err := a.vault.open(id, row.EncryptedToken)
	if err != nil {
		return nil, err
	}
	fresh := &clientCopy{Client: row.client(), token: token}
	if row.OldToken != nil {
		// One that cannot be read any more is as good as ended.
		if fresh.old, err = a.vault.open(id, row.OldToken); err != nil {
			a.log.WarnContext(ctx, "auth: the old access token of a client cannot be read", "client", id, "err", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// The row is at least as new as the version read before it, so it may be kept under that version.
	if c.clientsVersion == version {
		if len(c.clients) >= maxClients {
			clear(c.clients)
		}
		c.clients[id] = fresh
	}
	return fresh, nil
}

// scopes returns the expansion of the client's scopes, without and with the anonymous role.
func (c *clientCopy) scopes(r *rolesCopy) (own, all []string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under == r {
		return c.own, c.all, nil
	}
	if own, err = r.Resolver.Expand(c.Scopes); err != nil {
		return nil, nil, err
	}
	if all, err = r.Resolver.Expand(withAnonymous(own)); err != nil {
		return nil, nil, err
	}
	c.under, c.own, c.all = r, own, all
	return own, all, nil
}

func withAnonymous(scopes []string) []string {
	return append(scopes[:len(scopes):len(scopes)], expand.Assume+Anonymous)
}

var readStateSQL = pg.Statement{Name: "auth.read_state", Text: `SELECT clients_version, roles_version FROM auth_state`}

// lockStateSQL orders changes: whoever holds the row reads clients and roles that nobody else changes.
var lockStateSQL = pg.Statement{Name: "auth.lock_state", Text: `SELECT roles_version FROM auth_state FOR UPDATE`}

var touchClientsSQL = pg.Statement{Name: "auth.touch_clients", Text: `UPDATE auth_state SET clients_version = clients_version + 1`}

var touchRolesSQL = pg.Statement{Name: "auth.touch_roles", Text: `UPDATE auth_state SET roles_version = roles_version + 1`}
