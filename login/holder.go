package login

import (
	"context"
	"fmt"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
)

// Holder is somebody whose rights outlive a request: a person, or a client whose credentials were
// shown. Nothing in it is a secret.
type Holder struct {
	ClientID    string    `json:"clientId"`
	Person      bool      `json:"person,omitempty"`
	Certificate string    `json:"certificate,omitempty"` // of temporary credentials, worth nothing without their token
	Since       time.Time `json:"since"`                 // when the credentials were shown, by the database's clock
}

// Caller returns a holder with the scopes that it has now. One that has lost its rights is a
// fault.Unauthenticated.
func (l *Login) Caller(ctx context.Context, h Holder) (auth.Caller, error) {
	switch {
	case h.Person:
		p, err := l.Person(ctx, h.ClientID)
		if err != nil {
			return auth.Caller{}, err
		}
		scopes, err := l.expand(ctx, p)
		return auth.Caller{ClientID: p.Identity, Issuer: p.Identity, Scopes: scopes, Expires: p.Until}, err
	case h.Certificate != "":
		return l.deps.Auth.TemporaryCallerFor(ctx, h.ClientID, h.Certificate)
	}
	return l.deps.Auth.CallerFor(ctx, h.ClientID, h.Since)
}

// ScopesOf are the scopes that a person has by identity and roles, not expanded.
func ScopesOf(p Person) []string {
	out := []string{"assume:login-identity:" + p.Identity}
	for _, r := range p.Roles {
		out = append(out, "assume:"+r)
	}
	return out
}

func (l *Login) expand(ctx context.Context, p Person) ([]string, error) {
	scopes, err := l.deps.Auth.Expand(ctx, append(ScopesOf(p), "assume:"+auth.Anonymous))
	if err != nil {
		return nil, fmt.Errorf("login: scopes of %s: %w", p.Identity, err)
	}
	return scopes, nil
}

// Credentials are temporary, for scripts of the pages.
type Credentials struct {
	ClientID    string `json:"clientId"`
	AccessToken string `json:"accessToken"`
	Certificate string `json:"certificate"`
}

// Issued are credentials with their end.
type Issued struct {
	Credentials     Credentials `json:"credentials"`
	Expires         time.Time   `json:"expires"`         // of the credentials
	ProviderExpires time.Time   `json:"providerExpires"` // when the provider is asked again
}

const (
	credentialsLife = 15 * time.Minute
	// credentialsSlack is how much earlier they are said to end, so that they are renewed in time.
	credentialsSlack = 30 * time.Second
)

// Credentials gives a person temporary credentials that are named after the identity
// (taskcluster-map 15.2).
func (l *Login) Credentials(ctx context.Context, identity string) (Issued, error) {
	p, err := l.Person(ctx, identity)
	if err != nil {
		return Issued{}, err
	}
	now := time.Now()
	creds, err := hawk.CreateTemporary(l.deps.Issuer, hawk.TempOptions{
		ClientID: p.Identity, Scopes: scope.Normalize(ScopesOf(p)), Start: now, Expiry: now.Add(credentialsLife),
	})
	if err != nil {
		return Issued{}, fmt.Errorf("login: credentials of %s: %w", identity, err)
	}
	return Issued{
		Credentials: Credentials{creds.ClientID, creds.AccessToken, creds.Certificate},
		Expires:     now.Add(credentialsLife - credentialsSlack).UTC(), ProviderExpires: p.Until.UTC(),
	}, nil
}

// Intersect returns the scopes that both sets give.
func Intersect(a, b []string) []string {
	inA, inB := scope.NewSet(a), scope.NewSet(b)
	var out []string
	for _, s := range a {
		if inB.Has(s) {
			out = append(out, s)
		}
	}
	for _, s := range b {
		if inA.Has(s) {
			out = append(out, s)
		}
	}
	return scope.Normalize(out)
}

func validScope(s string) bool { return scope.Valid(s) }

// forbidden is for who asks for more than they have.
func forbidden(format string, args ...any) error { return fault.New(fault.Forbidden, format, args...) }
