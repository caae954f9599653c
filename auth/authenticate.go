package auth

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/web"
)

// Caller is who makes a request, with the expansion of the scopes they hold.
type Caller = web.Caller

const (
	schemeHawk = "hawk"
	schemeNone = "none"
	// anonymousFor is how long an answer about an anonymous caller holds (taskcluster-map 4.9).
	anonymousFor = 15 * time.Minute
)

// Authenticate tells who made a request, by its Authorization header or by the bewit of its URL; it
// implements web.Authenticator. A request without either is anonymous; one with credentials that do
// not hold is a fault.Unauthenticated.
func (a *Auth) Authenticate(ctx context.Context, r web.AuthRequest) (web.AuthResult, error) {
	var clients directory = a
	if r.Sparing {
		clients = sparing{a}
	}
	result, err := a.authenticate(ctx, r, clients)
	if err != nil {
		return web.AuthResult{}, fmt.Errorf("auth: authenticate: %w", err)
	}
	return result, nil
}

// directory finds the client that an id stands for, and learns when it proved to be that client.
type directory interface {
	find(ctx context.Context, id string) (*clientCopy, error)
	used(ctx context.Context, c *clientCopy, old bool) // old: by the token before the current one
}

func (a *Auth) authenticate(ctx context.Context, r web.AuthRequest, clients directory) (web.AuthResult, error) {
	req := hawk.Request{Method: r.Method, Resource: r.Resource, Host: r.Host, Port: r.Port}
	signed := hawk.HasBewit(r.Resource)
	switch {
	case r.Authorization != "" && signed:
		return web.AuthResult{}, fault.New(fault.Unauthenticated, "Both an Authorization header and a bewit were given; use one of them.")
	case r.Authorization != "":
		header, err := hawk.ParseAuthorization(r.Authorization)
		if err != nil {
			return web.AuthResult{}, err
		}
		caller, err := a.identify(ctx, clients, header.ID, header.Ext, func(key string) error {
			return header.Verify(key, req, a.now())
		})
		return web.AuthResult{Caller: caller, Hash: header.Hash}, err
	case signed:
		bewit, err := hawk.ParseBewit(r.Resource)
		if err != nil {
			return web.AuthResult{}, err
		}
		caller, err := a.identify(ctx, clients, bewit.ID, bewit.Ext, func(key string) error {
			return bewit.Verify(key, req, a.now())
		})
		return web.AuthResult{Caller: caller}, err
	}
	caller, err := a.AnonymousCaller(ctx)
	return web.AuthResult{Caller: caller}, err
}

// AnonymousCaller is who comes without credentials.
func (a *Auth) AnonymousCaller(ctx context.Context) (Caller, error) {
	r, err := a.roles(ctx)
	if err != nil {
		return Caller{}, err
	}
	scopes, err := r.expand(withAnonymous(nil))
	if err != nil {
		return Caller{}, err
	}
	return Caller{Scopes: scopes, Expires: a.now().Add(anonymousFor), Scheme: schemeNone}, nil
}

// CheckToken tells whom credentials belong to, for signing in. Temporary credentials bring their
// certificate; AuthorizedScopes limit the result.
func (a *Auth) CheckToken(ctx context.Context, creds hawk.Credentials) (Caller, error) {
	ext, err := hawk.Ext(creds)
	if err != nil {
		return Caller{}, fault.Wrap(fault.Unauthenticated, err, "The certificate cannot be read.")
	}
	caller, err := a.identify(ctx, a, creds.ClientID, ext, func(key string) error {
		if subtle.ConstantTimeCompare([]byte(key), []byte(creds.AccessToken)) != 1 {
			return fault.New(fault.Unauthenticated, "The access token is not that of client ID %s.", creds.ClientID)
		}
		return nil
	})
	if err != nil {
		return Caller{}, fmt.Errorf("auth: check token: %w", err)
	}
	return caller, nil
}

// identify finds the client behind an id and ext, has verify check the key that they must have signed
// with, and works out their scopes (taskcluster-map 4.6 to 4.8).
func (a *Auth) identify(ctx context.Context, clients directory, id, ext string, verify func(key string) error) (Caller, error) {
	extension, err := hawk.ParseExt(ext)
	if err != nil {
		return Caller{}, err
	}
	cert := extension.Certificate
	owner := id
	if cert != nil {
		owner = cert.IssuerOf(id)
	}
	client, err := clients.find(ctx, owner)
	if err != nil {
		return Caller{}, err
	}
	token, err := client.shown(a.now(), func(token string) error {
		if cert != nil {
			token = cert.AccessToken(token)
		}
		return verify(token)
	})
	if err != nil {
		return Caller{}, err
	}
	clients.used(ctx, client, token != client.token)
	roles, err := a.roles(ctx)
	if err != nil {
		return Caller{}, err
	}
	own, all, err := client.scopes(roles)
	if err != nil {
		return Caller{}, err
	}
	caller := Caller{ClientID: id, Issuer: owner, Scopes: all, Expires: client.Expires, Scheme: schemeHawk}
	if cert != nil {
		if err := a.checkCertificate(*cert, id, client, token, own); err != nil {
			return Caller{}, err
		}
		if end := time.UnixMilli(cert.Expiry); end.Before(caller.Expires) {
			caller.Expires = end
		}
		caller.Since = time.UnixMilli(cert.Start)
		if caller.Scopes, err = roles.expand(withAnonymous(cert.Scopes)); err != nil {
			return Caller{}, err
		}
	}
	if extension.AuthorizedScopes != nil {
		caller.Scopes, err = limit(roles, caller, extension.AuthorizedScopes)
	}
	return caller, err
}

// limit returns the scopes of a caller who asked for no more than some of them; what everybody has
// cannot be given away (taskcluster-map 4.8).
func limit(roles *rolesCopy, caller Caller, to []string) ([]string, error) {
	if err := scope.Check(caller.ClientID, false, caller.Scopes, scope.Strings(to...)); err != nil {
		return nil, fault.New(fault.Unauthenticated, "The authorizedScopes go beyond what the credentials hold. %s", fault.Message(err))
	}
	return roles.expand(withAnonymous(to))
}

// checkCertificate checks temporary credentials against their issuer and what the issuer may give.
func (a *Auth) checkCertificate(cert hawk.Certificate, id string, issuer *clientCopy, token string, held []string) error {
	if err := cert.Verify(id, token, a.now()); err != nil {
		return err
	}
	want := scope.Strings(cert.Scopes...)
	if cert.Named() {
		if err := checkClientID(id); err != nil {
			return fault.New(fault.Unauthenticated, "%s", fault.Message(err))
		}
		want = scope.AllOf(scope.String("auth:create-client:"+id), want)
	}
	if err := scope.NewSet(held).Check(issuer.ID, false, want); err != nil {
		return fault.New(fault.Unauthenticated, "The issuer of the temporary credentials does not hold what it gave. %s", fault.Message(err))
	}
	return nil
}

// find implements directory: a client that may sign, its use noted.
func (a *Auth) find(ctx context.Context, id string) (*clientCopy, error) {
	c, err := a.client(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return nil, fault.New(fault.Unauthenticated, "%s", fault.Message(err))
	}
	if err != nil {
		return nil, err
	}
	switch {
	case c.Disabled:
		return nil, fault.New(fault.Unauthenticated, "Client ID %s is disabled.", id)
	case c.Expires.Before(a.now()):
		return nil, fault.New(fault.Unauthenticated, "Client ID %s expired at %s.", id, c.Expires.UTC().Format(time.RFC3339))
	}
	return c, nil
}

// sparing is the directory of clients that this server has met and holds a copy of: it reads no rows of others.
type sparing struct{ *Auth }

func (s sparing) find(ctx context.Context, id string) (*clientCopy, error) {
	s.copies.mu.Lock()
	known := s.copies.clients[id] != nil
	s.copies.mu.Unlock()
	if !known {
		return nil, fault.New(fault.Limited, "Client ID %s is not known here yet, and too many credentials from this address were bad.", id)
	}
	return s.Auth.find(ctx, id)
}

// lastUsedEvery is how much a client's LastUsed may lag.
const lastUsedEvery = 6 * time.Hour

// oldUsedEvery is how much the time of the last use of an old token may lag: who changes tokens waits for it.
const oldUsedEvery = time.Minute

// shown tells by which of a client's access tokens a check holds: the current one, or while that is good, the one before.
func (c *clientCopy) shown(now time.Time, check func(token string) error) (string, error) {
	err := check(c.token)
	if err == nil || c.old == "" || !now.Before(c.OldUntil) {
		return c.token, err
	}
	if check(c.old) == nil {
		return c.old, nil
	}
	return "", err
}

// used implements directory: it writes that a client was used, at most once in six hours. A failure is logged only: it must
// not keep anybody out.
func (a *Auth) used(ctx context.Context, c *clientCopy, old bool) {
	c.mu.Lock()
	due, statement := a.now().Sub(c.LastUsed) > lastUsedEvery, noteUseSQL.Text
	if due {
		c.LastUsed = a.now()
	}
	if old {
		if due, statement = a.now().Sub(c.OldUsed) > oldUsedEvery, noteOldUseSQL.Text; due {
			c.OldUsed = a.now()
		}
	}
	c.mu.Unlock()
	if !due {
		return
	}
	if _, err := a.pool.Exec(ctx, statement, c.ID); err != nil {
		a.log.WarnContext(ctx, "auth: the time of a client's use was not written", "client", c.ID, "err", pg.Classify(err))
	}
}

// TestClient authenticates a request signed by the client "tester" with the token "no-secret", which
// holds the given scopes and exists for trying out client libraries only (taskcluster-map 4.10).
func (a *Auth) TestClient(ctx context.Context, r web.AuthRequest, scopes []string) (web.AuthResult, error) {
	result, err := a.authenticate(ctx, r, tester(scopes))
	if err != nil {
		return web.AuthResult{}, fmt.Errorf("auth: test: %w", err)
	}
	return result, nil
}

// tester is a directory with one client, which holds these scopes.
type tester []string

func (tester) used(context.Context, *clientCopy, bool) {}

func (t tester) find(_ context.Context, id string) (*clientCopy, error) {
	if id != "tester" {
		return nil, fault.New(fault.Unauthenticated, "Client ID %s does not exist; this endpoint knows only the client ID tester.", id)
	}
	farAway := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	return &clientCopy{Client: Client{ID: id, Scopes: slices.Clone(t), Expires: farAway, LastUsed: farAway}, token: "no-secret"}, nil
}

var noteUseSQL = pg.Statement{Name: "auth.note_use", Text: `
UPDATE auth_clients SET last_used = now() WHERE client_id = $1 AND last_used < now() - interval '6 hours'`}

var noteOldUseSQL = pg.Statement{Name: "auth.note_old_use", Text: `
UPDATE auth_clients SET old_token_used = now(), last_used = greatest(last_used, now() - interval '6 hours') WHERE client_id = $1 AND old_token_until > now()`}
