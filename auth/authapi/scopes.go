package authapi

import (
	"context"
	"errors"

	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

const scopesAndAuth = "Scopes and Auth"

func (d door) scopes() []web.Endpoint {
	return stable(scopesAndAuth,
		web.Endpoint{
			Name: "expandScopes", Method: "POST", Route: "/scopes/expand", Scopes: scope.Text("auth:expand-scopes"),
			Input: "scopeset.json", Output: "scopeset.json", Handle: d.expandScopes, Title: "Expand scopes",
			Description: "The given scopes with all that the roles they assume add, sorted, without those that others cover.",
		},
		web.Endpoint{
			Name: "currentScopes", Method: "GET", Route: "/scopes/current", Scopes: scope.Text("auth:current-scopes"),
			Output: "scopeset.json", Handle: d.currentScopes, Title: "Scopes of the caller",
			Description: "The expanded scopes that this very request has.",
		},
	)
}

func (d door) authentication() []web.Endpoint {
	return stable(scopesAndAuth,
		web.Endpoint{
			Name: "authenticateHawk", Method: "POST", Route: "/authenticate-hawk", Secret: []string{"authorization"}, MaxBody: smallBody,
			Input: "authenticate-hawk-request.json", Output: "authenticate-hawk-response.json", Handle: d.authenticateHawk, Title: "Authenticate a request",
			Description: "Tells who signed a request and which scopes they have, for services that do not know the access tokens themselves.",
		},
		web.Endpoint{
			Name: "testAuthenticate", Method: "POST", Route: "/test-authenticate", MaxBody: smallBody,
			Input: "test-authenticate-request.json", Output: "test-authenticate-response.json", Handle: d.testAuthenticate, Title: "Try out authentication",
			Description: "For tests of client libraries. Sign with the client id `tester` and the access token `no-secret`; " +
				"for this request that client has `clientScopes`, and `requiredScopes` are asked of it.",
		},
		web.Endpoint{
			Name: "testAuthenticateGet", Method: "GET", Route: "/test-authenticate-get/",
			Output: "test-authenticate-response.json", Handle: d.testAuthenticateGet, Title: "Try out authentication with GET",
			Description: "For tests of client libraries, also of signed URLs. Sign with the client id `tester` and the access token `no-secret`; " +
				"it has `test:*` and `auth:create-client:test:*`, and `test:authenticate-get` is asked of it.",
		},
	)
}

type scopeSet struct {
	Scopes []string `json:"scopes"`
}

func (d door) expandScopes(ctx context.Context, r *web.Request) (any, error) {
	var in scopeSet
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	scopes, err := d.auth.Expand(ctx, in.Scopes)
	if err != nil {
		return nil, err
	}
	return scopeSet{scopes}, nil
}

func (d door) currentScopes(ctx context.Context, r *web.Request) (any, error) {
	caller, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return scopeSet{caller.Scopes}, nil
}

func (d door) authenticateHawk(ctx context.Context, r *web.Request) (any, error) {
	var in struct {
		Method, Resource, Host, Authorization, SourceIP string
		Port                                            int
	}
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	result, err := d.auth.Authenticate(ctx, web.AuthRequest{
		Method: in.Method, Resource: in.Resource, Host: in.Host, Port: in.Port, Authorization: in.Authorization, SourceIP: in.SourceIP,
	})
	if errors.Is(err, fault.Unauthenticated) {
		return map[string]string{"status": "auth-failed", "message": fault.Message(err)}, nil
	}
	if err != nil {
		return nil, err
	}
	out := struct {
		Status   string    `json:"status"`
		Scheme   string    `json:"scheme"`
		ClientID string    `json:"clientId,omitempty"`
		Scopes   []string  `json:"scopes"`
		Expires  task.Time `json:"expires"`
		Hash     string    `json:"hash,omitempty"`
	}{"auth-success", result.Scheme, result.ClientID, result.Scopes, task.At(result.Expires), result.Hash}
	if result.Anonymous() {
		out.Status = "no-auth"
	}
	return out, nil
}

func (d door) testAuthenticate(ctx context.Context, r *web.Request) (any, error) {
	var in struct{ ClientScopes, RequiredScopes []string }
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	return d.tryOut(ctx, r, in.ClientScopes, in.RequiredScopes)
}

func (d door) testAuthenticateGet(ctx context.Context, r *web.Request) (any, error) {
	return d.tryOut(ctx, r, []string{"test:*", "auth:create-client:test:*"}, []string{"test:authenticate-get"})
}

func (d door) tryOut(ctx context.Context, r *web.Request, held, required []string) (any, error) {
	result, err := d.auth.TestClient(ctx, r.AuthRequest(), held)
	if err != nil {
		return nil, err
	}
	if err := hawk.VerifyPayload(result.Hash, r.HTTP.Header.Get("Content-Type"), r.Body); err != nil {
		return nil, err
	}
	if err := scope.Check(result.ClientID, result.Anonymous(), result.Scopes, scope.Strings(required...)); err != nil {
		return nil, err
	}
	if result.Anonymous() {
		return nil, fault.New(fault.Unauthenticated, "This endpoint is for trying out credentials, and none were given.")
	}
	return struct {
		ClientID string   `json:"clientId"`
		Scopes   []string `json:"scopes"`
	}{result.ClientID, result.Scopes}, nil
}
