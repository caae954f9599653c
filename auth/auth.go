// Package auth knows the clients and roles of a deployment: it tells who makes a request, which scopes
// they hold, and changes clients and roles (taskcluster-map 4).
//
// Scopes themselves are the business of auth/scope, signatures that of auth/hawk; this package joins
// them with the tables auth_clients and auth_roles. Each server keeps a copy of all roles and of the
// clients it met; a version number in the table auth_state, read at most twice a second, tells when
// the copy is old. A change is seen at once by the server that made it and within a second by others;
// its transaction also appends an event to the feed.
//
// Errors carry a fault.Kind. Access tokens are encrypted in the database and appear in no error and no
// log. All methods are safe for concurrent use.
package auth

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/crypt"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Anonymous is the id of the role that everybody has, with credentials or without.
const Anonymous = "anonymous"

// Config says how auth behaves. Log, and Ring or EncryptionKey, are required.
type Config struct {
	// StaticClients come from the configuration and cannot be changed through the API. Those that an
	// earlier configuration had and this one has not are removed.
	StaticClients []StaticClient
	Log           *slog.Logger
	Ring          *crypt.Ring      // seals the access tokens at rest
	EncryptionKey []byte           // 32 bytes; a ring of this key alone, when Ring is nil
	Now           func() time.Time // the clock that signatures are checked by; nil: time.Now
	KeepAudit     time.Duration    // how long audit rows are kept; 0: 30 days
	People        string           // the client that signs the credentials of people who have signed in; "" for none
	Wake          func()           // called after a change, for the feed to look; may be nil
}

// StaticClient is a client that the configuration defines; its id begins with "static/".
type StaticClient struct {
	ClientID, AccessToken string
	Scopes                []string
	Description           string
	// Overlap is how long the token that it had before holds when the configuration has another one, such as of a client
	// that signs credentials which others still use.
	Overlap time.Duration
}

// Auth answers questions about clients and roles, and changes them.
type Auth struct {
	pool      *pgxpool.Pool
	log       *slog.Logger
	vault     vault
	now       func() time.Time
	keepAudit time.Duration
	people    string
	wake      func()
	copies    copies
}

// New checks the configuration, and makes the static clients in the database what it says.
func New(ctx context.Context, pool *pgxpool.Pool, cfg Config) (*Auth, error) {
	v, err := newVault(cfg.Ring, cfg.EncryptionKey)
	if err != nil {
		return nil, err
	}
	a := &Auth{pool: pool, log: cfg.Log, vault: v, now: cfg.Now, keepAudit: cfg.KeepAudit, people: cfg.People, wake: cfg.Wake}
	if a.now == nil {
		a.now = time.Now
	}
	if a.keepAudit <= 0 {
		a.keepAudit = 30 * 24 * time.Hour
	}
	if err := a.syncStatic(ctx, cfg.StaticClients); err != nil {
		return nil, fmt.Errorf("auth: static clients: %w", err)
	}
	return a, nil
}

// Expand returns the normalized closure of scopes under the roles.
func (a *Auth) Expand(ctx context.Context, scopes []string) ([]string, error) {
	r, err := a.roles(ctx)
	if err != nil {
		return nil, fmt.Errorf("auth: expand: %w", err)
	}
	return r.expand(scopes)
}

// AnonymousScopes is what we recommend that everybody may do: read what is public
// (taskcluster-map 4.9).
func AnonymousScopes() []string {
	return []string{
		"queue:get-artifact:public/*", "queue:list-artifacts:*", "queue:get-task:*", "queue:status:*", "queue:list-task-group:*",
		"queue:list-dependent-tasks:*", "queue:get-task-group:*", "queue:list-task-groups", "queue:pending-count:*", "queue:claimed-count:*",
		"queue:pending-list:*", "queue:claimed-list:*", "queue:list-provisioners", "queue:get-provisioner:*", "queue:list-task-queues:*",
		"queue:get-task-queue:*", "queue:list-worker-types:*", "queue:get-worker-type:*", "queue:list-workers:*", "queue:get-worker:*",
		"auth:list-clients", "auth:get-client:*", "auth:list-roles", "auth:get-role:*", "auth:expand-scopes", "auth:current-scopes",
		"hooks:list-hooks:*", "hooks:get:*", "hooks:status:*", "hooks:list-last-fires:*",
		"index:find-task:*", "index:list-tasks:*", "index:list-namespaces:*",
		"object:download:public/*", "events:read", "cron:list", "pushlog:read:*", "secrets:list-secrets",
		"purge-cache:purge-requests::*", "purge-cache:all-purge-requests",
		"worker-manager:list-providers", "worker-manager:list-worker-pools", "worker-manager:get-worker-pool:*", "worker-manager:list-workers:*",
		"worker-manager:get-worker:*", "worker-manager:list-worker-pool-errors:*", "worker-manager:list-worker-pool-launch-configs:*",
		"github:list-builds", "github:get-badge:*", "github:get-repository:*", "github:latest-status:*", "web:read-pulse",
	}
}

var (
	clientIDPattern = regexp.MustCompile(`^[A-Za-z0-9!@/:.+|_-]+$`)
	tokenPattern    = regexp.MustCompile(`^[a-zA-Z0-9_-]{22,66}$`)
)

const (
	maxDescription = 10240
	maxName        = 4096 // client and role ids; the peer has no limit, a database index does
)

func checkClientID(id string) error {
	if len(id) > maxName || !clientIDPattern.MatchString(id) {
		return fault.New(fault.Invalid, "client id %.100q must match %s", id, clientIDPattern)
	}
	return nil
}

func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if !scope.Valid(s) {
			return fault.New(fault.Invalid, "scope %q must be printable ASCII, not empty and must not end in **", s)
		}
	}
	return nil
}

func checkDescription(text string) error {
	if len(text) > 4*maxDescription || len([]rune(text)) > maxDescription {
		return fault.New(fault.Invalid, "the description has more than %d characters", maxDescription)
	}
	return nil
}
