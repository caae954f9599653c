// Package secretsapi is the HTTP door of the secrets (taskcluster-map 8 and appendix A).
package secretsapi

import (
	"context"
	"embed"
	"encoding/json"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/task"
)

//go:embed schemas/*.json
var schemas embed.FS

type door struct{ secrets *secrets.Secrets }

// Service is the table of endpoints of the service secrets.
func Service(s *secrets.Secrets) web.Service {
	d := door{s}
	const category = "Secrets Service"
	set, get := scope.Text("secrets:set:<name>"), scope.Text("secrets:get:<name>")
	return web.Service{
		Name: "secrets", Version: "v1", Title: "Secrets Service",
		Description: "Keeps small secret values by name until they expire. Who may read and set which follows from scopes; every " +
			"reading and change is in the audit trail.",
		Schemas: schemas,
		Params:  map[string]string{"name": `^[\x20-\x7e]+$`},
		Endpoints: []web.Endpoint{
			{
				Name: "set", Method: "PUT", Route: "/secret/<name*>", Category: category, Stability: "stable",
				Scopes: set, Input: "secret.json", Secret: []string{web.AllSecret}, Handle: d.set,
				Title: "Set a secret", Description: "Puts a value at a name, in place of the one that may be there.",
			},
			{
				Name: "remove", Method: "DELETE", Route: "/secret/<name*>", Category: category, Stability: "stable",
				Scopes: set, Secret: []string{web.AllSecret}, Handle: d.remove,
				Title: "Remove a secret", Description: "Removes the value at a name; it is no error when there is none.",
			},
			{
				Name: "get", Method: "GET", Route: "/secret/<name*>", Category: category, Stability: "stable",
				Scopes: get, Output: "secret.json", Secret: []string{web.AllSecret}, Handle: d.get,
				Title: "Read a secret", Description: "The value at a name; 404 when there is none or it has expired. The reading is audited.",
			},
			{
				Name: "list", Method: "GET", Route: "/secrets", Category: category, Stability: "stable",
				Query:  map[string]string{"continuationToken": web.TokenPattern, "limit": web.LimitPattern},
				Scopes: scope.Text("secrets:list-secrets"), Output: "secret-list.json", Handle: d.list,
				Title: "List secrets", Description: "The names of all secrets that have not expired, in order.",
			},
		},
	}
}

// secret is a secret on the wire.
type secret struct {
	Secret  json.RawMessage `json:"secret"`
	Expires task.Time       `json:"expires"`
}

func (d door) set(ctx context.Context, r *web.Request) (any, error) {
	var in secret
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.secrets.Set(ctx, caller.ClientID, r.Params["name"], secrets.Secret{Value: in.Secret, Expires: in.Expires.Time})
}

func (d door) get(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	s, err := d.secrets.Read(ctx, secrets.Reader{ClientID: caller.ClientID, Issuer: caller.Issuer}, r.Params["name"])
	if err != nil {
		return nil, err
	}
	return secret{s.Value, task.At(s.Expires)}, nil
}

func (d door) remove(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return struct{}{}, d.secrets.Remove(ctx, caller.ClientID, r.Params["name"])
}

func (d door) list(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after string
	web.ReadToken(token, &after)
	names, err := d.secrets.List(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	out := struct {
		Secrets           []string `json:"secrets"`
		ContinuationToken string   `json:"continuationToken,omitempty"`
	}{Secrets: names}
	if len(names) > limit {
		out.Secrets = names[:limit]
		out.ContinuationToken, err = web.Token(out.Secrets[limit-1])
	}
	return out, err
}
