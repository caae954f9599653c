package authapi

import (
	"context"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) clients() []web.Endpoint {
	return stable("Clients",
		web.Endpoint{
			Name: "listClients", Method: "GET", Route: "/clients/", Query: pages("prefix"), Scopes: scope.Text("auth:list-clients"),
			Output: "list-clients-response.json", Handle: d.listClients, Title: "List clients",
			Description: "A page of all clients, or of those whose id begins with `prefix`, in the order of their ids.",
		},
		web.Endpoint{
			Name: "client", Method: "GET", Route: "/clients/<clientId>", Scopes: scope.Text("auth:get-client:<clientId>"),
			Output: "get-client-response.json", Handle: d.client, Title: "Get a client",
			Description: "One client, without its access token.",
		},
	)
}

func (d door) clientChanges() []web.Endpoint {
	return stable("Clients",
		web.Endpoint{
			Name: "createClient", Method: "PUT", Route: "/clients/<clientId>",
			Scopes: scope.All{scope.Text("auth:create-client:<clientId>"), given("scopes")},
			Input:  "create-client-request.json", Output: "create-client-response.json", Handle: d.createClient, Title: "Create a client",
			Description: "Makes a client. Its access token is in the answer and can never be read again. You must hold every scope that you give. " +
				"A client of that id that exists already is a conflict, even when it is the same.",
		},
		web.Endpoint{
			Name: "resetAccessToken", Method: "POST", Route: "/clients/<clientId>/reset", Scopes: scope.Text("auth:reset-access-token:<clientId>"),
			Query:  map[string]string{"overlapHours": `^[0-9]{1,3}$`},
			Output: "create-client-response.json", Handle: d.resetAccessToken, Title: "Reset an access token",
			Description: "Gives a client a new access token, which is in the answer; the old one stops working, or holds for `overlapHours` more, at most 720. " +
				"Then `oldTokenExpires` says until when, and `oldTokenLastUsed` whether somebody still has it.",
		},
		web.Endpoint{
			Name: "endOldAccessToken", Method: "POST", Route: "/clients/<clientId>/end-old-token", Scopes: scope.Text("auth:reset-access-token:<clientId>"),
			Output: "get-client-response.json", Handle: d.endOldToken, Title: "End an old access token",
			Description: "Makes the access token that a client had before its current one worth nothing at once.",
		},
		web.Endpoint{
			Name: "updateClient", Method: "POST", Route: "/clients/<clientId>",
			Scopes: scope.All{scope.Text("auth:update-client:<clientId>"), given("scopesAdded")},
			Input:  "create-client-request.json", Output: "get-client-response.json", Handle: d.updateClient, Title: "Update a client",
			Description: "Changes a client. You must hold the scopes that you add; scopes left out of the request stay as they are.",
		},
		web.Endpoint{
			Name: "enableClient", Method: "POST", Route: "/clients/<clientId>/enable", Scopes: scope.Text("auth:enable-client:<clientId>"),
			Output: "get-client-response.json", Handle: d.setDisabled(false), Title: "Enable a client",
			Description: "Lets a disabled client authenticate again.",
		},
		web.Endpoint{
			Name: "disableClient", Method: "POST", Route: "/clients/<clientId>/disable", Scopes: scope.Text("auth:disable-client:<clientId>"),
			Output: "get-client-response.json", Handle: d.setDisabled(true), Title: "Disable a client",
			Description: "Keeps a client, and all temporary credentials it issued, from authenticating.",
		},
		web.Endpoint{
			Name: "deleteClient", Method: "DELETE", Route: "/clients/<clientId>", Scopes: scope.Text("auth:delete-client:<clientId>"),
			Handle: d.deleteClient, Title: "Delete a client", Description: "Removes a client; one that does not exist counts as removed.",
		},
	)
}

// clientBody is a client on the wire.
type clientBody struct {
	ClientID           string    `json:"clientId"`
	AccessToken        string    `json:"accessToken,omitempty"`
	Expires            task.Time `json:"expires"`
	Description        string    `json:"description"`
	Created            task.Time `json:"created"`
	LastModified       task.Time `json:"lastModified"`
	LastDateUsed       task.Time `json:"lastDateUsed"`
	LastRotated        task.Time `json:"lastRotated"`
	DeleteOnExpiration bool      `json:"deleteOnExpiration"`
	Scopes             []string  `json:"scopes"`
	ExpandedScopes     []string  `json:"expandedScopes"`
	Disabled           bool      `json:"disabled"`

	OldTokenExpires  *task.Time `json:"oldTokenExpires,omitempty"`
	OldTokenLastUsed *task.Time `json:"oldTokenLastUsed,omitempty"`
}

func toClient(c auth.Client, token string) clientBody {
	at := func(t time.Time) *task.Time {
		if t.IsZero() {
			return nil
		}
		out := task.At(t)
		return &out
	}
	return clientBody{
		OldTokenExpires: at(c.OldUntil), OldTokenLastUsed: at(c.OldUsed),
		ClientID: c.ID, AccessToken: token, Expires: task.At(c.Expires), Description: c.Description, Created: task.At(c.Created),
		LastModified: task.At(c.LastModified), LastDateUsed: task.At(c.LastUsed), LastRotated: task.At(c.LastRotated),
		DeleteOnExpiration: c.DeleteOnExpiration, Scopes: c.Scopes, ExpandedScopes: c.Expanded, Disabled: c.Disabled,
	}
}

// clientRequest is what createClient and updateClient take.
type clientRequest struct {
	Expires            task.Time `json:"expires"`
	Description        string    `json:"description"`
	DeleteOnExpiration bool      `json:"deleteOnExpiration"`
	Scopes             []string  `json:"scopes"`
}

func (c clientRequest) input() auth.ClientInput {
	return auth.ClientInput{Description: c.Description, Expires: c.Expires.Time, DeleteOnExpiration: c.DeleteOnExpiration, Scopes: c.Scopes}
}

func (d door) listClients(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after string
	web.ReadToken(token, &after)
	found, err := d.auth.Clients(ctx, r.Query("prefix"), after, limit+1)
	if err != nil {
		return nil, err
	}
	page, token, err := cut(found, limit, func(c auth.Client) any { return c.ID })
	if err != nil {
		return nil, err
	}
	out := struct {
		Clients           []clientBody `json:"clients"`
		ContinuationToken string       `json:"continuationToken,omitempty"`
	}{make([]clientBody, 0, len(page)), token}
	for _, c := range page {
		out.Clients = append(out.Clients, toClient(c, ""))
	}
	return out, nil
}

// cut shortens a list that was read one entry too long, and makes the token for the rest.
func cut[T any](found []T, limit int, key func(T) any) (page []T, token string, err error) {
	if len(found) <= limit {
		return found, "", nil
	}
	page = found[:limit]
	token, err = web.Token(key(page[limit-1]))
	return page, token, err
}

func (d door) client(ctx context.Context, r *web.Request) (any, error) {
	c, err := d.auth.Client(ctx, r.Params["clientId"])
	if err != nil {
		return nil, err
	}
	return toClient(c, ""), nil
}

func (d door) createClient(ctx context.Context, r *web.Request) (any, error) {
	var in clientRequest
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"scopes": in.Scopes}); err != nil {
		return nil, err
	}
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, token, err := d.auth.CreateClient(ctx, actor.ClientID, r.Params["clientId"], in.input())
	if err != nil {
		return nil, err
	}
	return toClient(c, token), nil
}

func (d door) resetAccessToken(ctx context.Context, r *web.Request) (any, error) {
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	hours, err := strconv.Atoi("0" + r.Query("overlapHours"))
	if err != nil {
		return nil, err // the pattern lets digits through only
	}
	c, token, err := d.auth.ResetAccessToken(ctx, actor.ClientID, r.Params["clientId"], time.Duration(hours)*time.Hour)
	if err != nil {
		return nil, err
	}
	return toClient(c, token), nil
}

func (d door) endOldToken(ctx context.Context, r *web.Request) (any, error) {
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.auth.EndOldToken(ctx, actor.ClientID, r.Params["clientId"])
	if err != nil {
		return nil, err
	}
	return toClient(c, ""), nil
}

func (d door) updateClient(ctx context.Context, r *web.Request) (any, error) {
	var in clientRequest
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	// Nobody learns by this call which clients exist: the right to update comes first.
	if err := r.Authorize(ctx, map[string]any{"scopesAdded": []string{}}); err != nil {
		return nil, err
	}
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := d.auth.UpdateClient(ctx, actor.ClientID, r.Params["clientId"], in.input(), func(added []string) error {
		return r.Authorize(ctx, map[string]any{"scopesAdded": added})
	})
	if err != nil {
		return nil, err
	}
	return toClient(c, ""), nil
}

func (d door) setDisabled(disabled bool) func(context.Context, *web.Request) (any, error) {
	return func(ctx context.Context, r *web.Request) (any, error) {
		actor, err := r.Caller(ctx)
		if err != nil {
			return nil, err
		}
		c, err := d.auth.SetDisabled(ctx, actor.ClientID, r.Params["clientId"], disabled)
		if err != nil {
			return nil, err
		}
		return toClient(c, ""), nil
	}
}

func (d door) deleteClient(ctx context.Context, r *web.Request) (any, error) {
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return nil, d.auth.DeleteClient(ctx, actor.ClientID, r.Params["clientId"])
}
