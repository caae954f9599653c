package auth

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/internal/fault"
)

// CallerFor returns a client with the scopes it holds now, for sessions that outlive a request: since
// is when it proved to be that client, by the database's clock. A client that is unknown, disabled or
// expired, or whose access token was changed after that, is a fault.Unauthenticated.
func (a *Auth) CallerFor(ctx context.Context, clientID string, since time.Time) (Caller, error) {
	client, err := a.find(ctx, clientID)
	if err == nil && client.LastRotated.After(since) && !a.now().Before(client.OldUntil) {
		err = fault.New(fault.Unauthenticated, "The access token of client ID %s was changed since; sign in again.", clientID)
	}
	if err != nil {
		return Caller{}, fmt.Errorf("auth: caller: %w", err)
	}
	return a.proven(ctx, clientID, "")
}

// TemporaryCallerFor is CallerFor for temporary credentials that proved to be good once: their
// certificate is held against its issuer as it is now. When that is gone, disabled or expired, has
// another access token, or lost a scope that it gave, or when the certificate has ended, they are a
// fault.Unauthenticated.
func (a *Auth) TemporaryCallerFor(ctx context.Context, clientID, certificate string) (Caller, error) {
	ext, err := hawk.Ext(hawk.Credentials{ClientID: clientID, Certificate: certificate})
	if err != nil {
		return Caller{}, fault.Wrap(fault.Unauthenticated, err, "The certificate cannot be read.")
	}
	return a.proven(ctx, clientID, ext)
}

// proven is identify for who has shown the key already.
func (a *Auth) proven(ctx context.Context, clientID, ext string) (Caller, error) {
	caller, err := a.identify(ctx, a, clientID, ext, func(string) error { return nil })
	if err != nil {
		return Caller{}, fmt.Errorf("auth: caller: %w", err)
	}
	return caller, nil
}
