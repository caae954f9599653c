// Package webtest gives the tests of doors a caller.
package webtest

import (
	"context"
	"time"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
)

// As authenticates every request as one client with the given, expanded, scopes; "" is an anonymous
// caller. A request with the header "Authorization: bad" is refused.
func As(clientID string, scopes ...string) web.Authenticator {
	scheme := "hawk"
	if clientID == "" {
		scheme = "none"
	}
	return fixed{web.Caller{ClientID: clientID, Scopes: scopes, Scheme: scheme, Expires: time.Now().Add(time.Hour)}}
}

type fixed struct{ caller web.Caller }

// Authenticate implements web.Authenticator.
func (f fixed) Authenticate(_ context.Context, r web.AuthRequest) (web.AuthResult, error) {
	if r.Authorization == "bad" {
		return web.AuthResult{}, fault.New(fault.Unauthenticated, "bad credentials")
	}
	return web.AuthResult{Caller: f.caller}, nil
}
