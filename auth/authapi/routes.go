// Package authapi is the HTTP door of auth: clients, roles, scopes and authentication, as in
// taskcluster-map 4 and appendix A.
package authapi

import (
	"embed"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
)

//go:embed schemas/*.json
var schemas embed.FS

// door answers the endpoints.
type door struct{ auth *auth.Auth }

// Service is the table of endpoints of the service auth.
func Service(a *auth.Auth) web.Service {
	d := door{a}
	s := web.Service{
		Name: "auth", Version: "v1", Title: "Auth",
		Description: "Who may do what: clients with their access tokens, roles, and the scopes that both give.",
		Schemas:     schemas,
		Params: map[string]string{
			"clientId":   `^[A-Za-z0-9!@/:.+|_-]+$`,
			"roleId":     `^[\x20-\x7e]+$`,
			"entityType": `^[a-zA-Z0-9_-]{1,64}$`,
			"entityId":   `^[\x20-\x7e]+$`,
		},
	}
	for _, list := range [][]web.Endpoint{d.clients(), d.clientChanges(), d.audit(), d.roles(), d.scopes(), d.authentication()} {
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
