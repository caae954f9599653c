package client

import (
	"context"
	"net/http"
)

const authService = "auth"

type scopeList struct {
	Scopes []string `json:"scopes"`
}

// CurrentScopes returns the scopes that the client's credentials have, roles expanded.
func (c *Client) CurrentScopes(ctx context.Context) ([]string, error) {
	var out scopeList
	err := c.Call(ctx, authService, http.MethodGet, "/scopes/current", nil, nil, &out)
	return out.Scopes, err
}

// ExpandScopes returns the given scopes with the roles they assume expanded.
func (c *Client) ExpandScopes(ctx context.Context, scopes []string) ([]string, error) {
	var out scopeList
	err := c.Call(ctx, authService, http.MethodPost, "/scopes/expand", nil, scopeList{scopes}, &out)
	return out.Scopes, err
}
