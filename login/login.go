// Package login knows the people who use a deployment: it signs them in at a provider, holds what the
// provider vouches for, gives them temporary credentials, and lets them give a part of their rights to
// a program, on the command line or at another site (taskcluster-map 15.2 and 15.3).
//
// A person is no client: a client id under which a person acts is an identity such as
// github/1234|ada, and what a person may do are the scopes assume:<role> of each role that the provider
// gave and assume:login-identity:<identity>. These are worked out at each request, so that a change of
// roles counts at once; the provider is asked again when its word is older than Config.Recheck.
//
// No secret is kept in the clear: grants of providers are sealed, codes and tokens are kept as hashes.
// All methods are safe for concurrent use, on any number of servers.
package login

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/singleflight"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/login/provider"
)

// Issuer is the client that signs the temporary credentials of people.
const Issuer = "static/taskcluster/web-server"

// Sealer encrypts what the database must not show; internal/crypt has one.
type Sealer interface {
	Seal(plaintext, context []byte) ([]byte, error)
	Open(sealed, context []byte) ([]byte, error)
}

// Deps are what login needs. All must be given.
type Deps struct {
	Pool    *pgxpool.Pool
	Auth    *auth.Auth
	Ring    Sealer
	Issuer  hawk.Credentials // of the client Issuer
	RootURL string
	Log     *slog.Logger
}

// Login is the room.
type Login struct {
	deps      Deps
	config    Config
	log       *slog.Logger
	providers map[string]provider.Provider
	asking    singleflight.Group // renewals, one at a time for each person

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes the room from a configuration that has been checked for the server's address.
func New(d Deps, c Config) (*Login, error) {
	if err := c.Check(d.RootURL); err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	l := &Login{deps: d, config: c, log: d.Log.With("room", "login"), providers: map[string]provider.Provider{}}
	for _, p := range c.Providers {
		l.providers[p.Name] = p.make()
	}
	return l, nil
}

// Start begins the daily look at people's clients; Stop ends it.
func (l *Login) Start(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	l.running.Go(func() {
		tick := time.NewTicker(time.Hour)
		defer tick.Stop()
		for {
			l.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}

func (l *Login) look(ctx context.Context) {
	if _, err := l.Scan(ctx); err != nil && ctx.Err() == nil {
		l.log.ErrorContext(ctx, "the look at people's clients failed; it is tried again in an hour", "error", err)
	}
}

// Stop ends what Start began and waits for it.
func (l *Login) Stop() {
	if l.stop != nil {
		l.stop()
	}
	l.running.Wait()
}

// Choice is a provider to sign in at.
type Choice struct{ Name, Title string }

// Choices lists the providers in the order of the configuration.
func (l *Login) Choices() []Choice {
	var out []Choice
	for _, p := range l.config.Providers {
		out = append(out, Choice{p.Name, p.Title})
	}
	return out
}

// SessionLife is how long a person stays signed in.
func (l *Login) SessionLife() time.Duration { return l.config.SessionLife }

func (l *Login) provider(name string) (provider.Provider, error) {
	p, ok := l.providers[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "Nobody signs in here with %.60q.", name)
	}
	return p, nil
}

// IssuerScopes are what the client Issuer must hold for these providers.
func IssuerScopes(c Config) []string {
	var out []string
	for _, p := range c.Providers {
		out = append(out, "assume:login-identity:"+p.Name+"/*", "auth:create-client:"+p.Name+"/*")
		for _, prefix := range p.make().RolePrefixes() {
			out = append(out, "assume:"+prefix+"*")
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// PersonScopes are what we recommend for the role login-identity:*: that people manage the clients
// below their own identity.
func PersonScopes() []string {
	var out []string
	for _, verb := range []string{"create", "update", "delete", "disable", "enable"} {
		out = append(out, "auth:"+verb+"-client:<..>/*")
	}
	return append(out, "auth:reset-access-token:<..>/*")
}

// identityOf returns the identity that a client id is, or stands below, by its provider.
func (l *Login) identityOf(clientID string) (identity string, ok bool) {
	parts := strings.SplitN(clientID, "/", 3)
	if len(parts) < 2 || l.providers[parts[0]] == nil {
		return "", false
	}
	return parts[0] + "/" + parts[1], true
}

// Prune removes codes, tokens and states of signing in whose time is over, in small steps, and returns how many
// rows that were.
func (l *Login) Prune(ctx context.Context) (total int64, err error) {
	for _, s := range []pg.Statement{pruneSpentSQL, pruneTokensSQL, pruneCodesSQL} {
		n, err := pg.Prune(ctx, l.deps.Pool, s, 1000)
		if total += n; err != nil {
			return total, fmt.Errorf("login: %w", err)
		}
	}
	return total, nil
}

var (
	pruneSpentSQL = pg.Statement{Name: "login.prune_spent", Text: `
DELETE FROM login_spent WHERE state_hash IN (SELECT state_hash FROM login_spent WHERE expires < now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
	pruneTokensSQL = pg.Statement{Name: "login.prune_tokens", Text: `
DELETE FROM login_tokens WHERE token_hash IN (SELECT token_hash FROM login_tokens WHERE expires < now() ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
	pruneCodesSQL = pg.Statement{Name: "login.prune_codes", Text: `
DELETE FROM login_codes WHERE code_hash IN (
	SELECT code_hash FROM login_codes WHERE expires < now() - interval '1 hour' ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)

// Statements are the SQL of this package, for the test that prepares each.
var Statements = []pg.Statement{
	pruneSpentSQL, pruneTokensSQL, pruneCodesSQL, spendSQL, signInSQL, supersedeSQL, personSQL, claimCheckSQL, renewedSQL, endPersonSQL,
	addCodeSQL, takeCodeSQL, revokeCodeSQL, addTokenSQL, tokenSQL, madeSQL, claimScanSQL, finishScanSQL, sealedPageSQL, sealedSwapSQL,
}
