package provider

import (
	"context"
	"net/url"

	"github.com/treeline-ci/treeline/internal/fault"
)

// FixedConfig is the person that everybody is.
type FixedConfig struct {
	Name    string // of the provider; begins the identity
	Subject string
	Groups  []string
}

// Fixed makes whoever comes the same person, without a password. It is for development and tests: a
// configuration has to allow it in words, and only a server that this machine alone can reach takes it.
type Fixed struct{ config FixedConfig }

// NewFixed returns the provider.
func NewFixed(c FixedConfig) *Fixed { return &Fixed{c} }

// RolePrefixes implements Provider.
func (p *Fixed) RolePrefixes() []string { return []string{p.config.Name + "-group:"} }

// Begin implements Provider: the browser comes straight back.
func (p *Fixed) Begin(_ context.Context, f Flow) (string, error) {
	return f.Callback + "?" + url.Values{"state": {f.State}, "code": {"fixed"}}.Encode(), nil
}

// Finish implements Provider.
func (p *Fixed) Finish(_ context.Context, _ Flow, q url.Values) (Person, error) {
	if q.Get("code") != "fixed" {
		return Person{}, fault.New(fault.Unauthenticated, "The sign-in was not begun here.")
	}
	return p.person(), nil
}

// Renew implements Provider.
func (p *Fixed) Renew(context.Context, []byte) (Person, error) { return p.person(), nil }

func (p *Fixed) person() Person {
	return Person{
		Subject: p.config.Subject, Name: p.config.Subject, Identity: identity(p.config.Name, p.config.Subject, p.config.Subject),
		Roles: roles(p.config.Groups, func(g string) string { return p.config.Name + "-group:" + g }), Grant: []byte("fixed"),
	}
}
