// Package authapi is the HTTP door of auth: clients, roles, scopes, authentication, and credentials
// of other systems, as in taskcluster-map 4 and appendix A.
package authapi

import (
	"embed"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/cloud"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct {
	auth  *auth.Auth
	cloud *cloud.Cloud
}

// Option changes what Service makes.
type Option func(*door)

// WithCloud hands out credentials of other systems; without it, each such endpoint answers that it is
// not configured.
func WithCloud(c *cloud.Cloud) Option { return func(d *door) { d.cloud = c } }

// smallBody is room enough for what needs no more, and what everybody may send.
const smallBody = 1 << 20

// Service is the table of endpoints of the service auth.
func Service(a *auth.Auth, options ...Option) web.Service {
	d := door{auth: a, cloud: &cloud.Cloud{}}
	for _, option := range options {
		option(&d)
	}
	s := web.Service{
		Name: "auth", Version: "v1", Title: "Auth",
		Description: "Who may do what: clients with their access tokens, roles, and the scopes that both give.",
		Schemas:     schemas,
		Params: map[string]string{
			"clientId":   `^[A-Za-z0-9!@/:.+|_-]+$`,
			"roleId":     `^[\x20-\x7e]+$`,
			"entityType": `^[a-zA-Z0-9_-]{1,64}$`,
			"entityId":   `^[\x20-\x7e]+$`,

			"approvalId": `^[A-Za-z0-9_-]{22}$`,

			"level":  `^(read-write|read-only)$`,
			"bucket": `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`,
			"prefix": `^[\x20-\x7e]*$`,

			"account":   `^[a-z0-9]{3,24}$`,
			"table":     `^[A-Za-z][A-Za-z0-9]{2,62}$`,
			"container": `^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`,

			"project":        `^[a-zA-Z0-9_-]{1,64}$`,
			"wstAudience":    `^[a-zA-Z0-9_-]{1,38}$`,
			"wstClient":      `^[a-zA-Z0-9_~.%-]+$`,
			"projectId":      `^[\x21-\x7e]{1,256}$`,
			"serviceAccount": `^[\x21-\x7e]{1,256}$`,
			"appName":        `^[a-zA-Z0-9_-]+$`,
			"owner":          `^[A-Za-z0-9._-]+$`,
		},
	}
	for _, list := range [][]web.Endpoint{
		d.clients(), d.clientChanges(), d.audit(), d.approvals(), d.roles(), d.scopes(), d.credentials(), d.azure(), d.github(), d.authentication(),
	} {
		s.Endpoints = append(s.Endpoints, list...)
	}
	return s
}

// given are the scopes that a caller must hold to give them.
func given(list string) scope.Template {
	return scope.For{Each: "scope", In: list, Body: scope.Text("<scope>")}
}

func pages(more ...string) map[string]string {
	query := map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern}
	for _, name := range more {
		query[name] = `^[\x20-\x7e]*$`
	}
	return query
}

func stable(category string, list ...web.Endpoint) []web.Endpoint {
	for i := range list {
		list[i].Category, list[i].Stability = category, "stable"
	}
	return list
}
