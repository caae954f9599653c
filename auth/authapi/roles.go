package authapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) roles() []web.Endpoint {
	return stable("Roles",
		web.Endpoint{
			Name: "listRoles", Method: "GET", Route: "/roles/", Scopes: scope.Text("auth:list-roles"), Output: "list-roles-response.json",
			Handle: d.listRoles, Title: "List all roles", Description: "Every role, in one answer. Where there may be many, `listRoles2` gives pages.",
		},
		web.Endpoint{
			Name: "listRoles2", Method: "GET", Route: "/roles2/", Query: pages(), Scopes: scope.Text("auth:list-roles"), Output: "list-roles2-response.json",
			Handle: d.listRoles2, Title: "List roles", Description: "Roles in the order of their ids; without `limit` all of them.",
		},
		web.Endpoint{
			Name: "listRoleIds", Method: "GET", Route: "/roleids/", Query: pages(), Scopes: scope.Text("auth:list-roles"), Output: "list-role-ids-response.json",
			Handle: d.listRoleIDs, Title: "List the ids of roles", Description: "Only the ids of roles, in order; without `limit` all of them.",
		},
		web.Endpoint{
			Name: "role", Method: "GET", Route: "/roles/<roleId>", Scopes: scope.Text("auth:get-role:<roleId>"), Output: "get-role-response.json",
			Handle: d.role, Title: "Get a role", Description: "One role with its scopes and what they expand to.",
		},
		web.Endpoint{
			Name: "createRole", Method: "PUT", Route: "/roles/<roleId>",
			Scopes: scope.All{scope.Text("auth:create-role:<roleId>"), given("scopes")},
			Input:  "create-role-request.json", Output: "get-role-response.json", Handle: d.createRole, Title: "Create a role",
			Description: "Makes a role. You must hold every scope that you give. Asking again with the same content is fine; " +
				"a role that would lead back to itself is refused.",
		},
		web.Endpoint{
			Name: "updateRole", Method: "POST", Route: "/roles/<roleId>",
			Scopes: scope.All{scope.Text("auth:update-role:<roleId>"), given("scopesAdded")},
			Input:  "create-role-request.json", Output: "get-role-response.json", Handle: d.updateRole, Title: "Update a role",
			Description: "Changes a role. You must hold the scopes that the role did not give before, directly or by other roles.",
		},
		web.Endpoint{
			Name: "deleteRole", Method: "DELETE", Route: "/roles/<roleId>", Scopes: scope.Text("auth:delete-role:<roleId>"),
			Handle: d.deleteRole, Title: "Delete a role", Description: "Removes a role; one that does not exist counts as removed.",
		},
	)
}

// roleBody is a role on the wire.
type roleBody struct {
	RoleID         string    `json:"roleId"`
	Scopes         []string  `json:"scopes"`
	Description    string    `json:"description"`
	Created        task.Time `json:"created"`
	LastModified   task.Time `json:"lastModified"`
	ExpandedScopes []string  `json:"expandedScopes"`
}

func toRole(r auth.Role) roleBody {
	return roleBody{r.ID, r.Scopes, r.Description, task.At(r.Created), task.At(r.LastModified), r.Expanded}
}

func toRoles(list []auth.Role) []roleBody {
	out := make([]roleBody, 0, len(list))
	for _, r := range list {
		out = append(out, toRole(r))
	}
	return out
}

func (d door) listRoles(ctx context.Context, _ *web.Request) (any, error) {
	list, err := d.auth.Roles(ctx, "", 0)
	if err != nil {
		return nil, err
	}
	return toRoles(list), nil
}

// page reads a page of roles. Unlike other listings these have no limit unless the caller sets one.
func (d door) page(ctx context.Context, r *web.Request) ([]auth.Role, string, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, "", err
	}
	var after string
	web.ReadToken(token, &after)
	if !r.HasQuery("limit") {
		list, err := d.auth.Roles(ctx, after, 0)
		return list, "", err
	}
	found, err := d.auth.Roles(ctx, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	return cut(found, limit, func(r auth.Role) any { return r.ID })
}

func (d door) listRoles2(ctx context.Context, r *web.Request) (any, error) {
	page, token, err := d.page(ctx, r)
	if err != nil {
		return nil, err
	}
	return struct {
		Roles             []roleBody `json:"roles"`
		ContinuationToken string     `json:"continuationToken,omitempty"`
	}{toRoles(page), token}, nil
}

func (d door) listRoleIDs(ctx context.Context, r *web.Request) (any, error) {
	page, token, err := d.page(ctx, r)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(page))
	for _, role := range page {
		ids = append(ids, role.ID)
	}
	return struct {
		RoleIDs           []string `json:"roleIds"`
		ContinuationToken string   `json:"continuationToken,omitempty"`
	}{ids, token}, nil
}

func (d door) role(ctx context.Context, r *web.Request) (any, error) {
	role, err := d.auth.Role(ctx, r.Params["roleId"])
	if err != nil {
		return nil, err
	}
	return toRole(role), nil
}

// roleRequest is what createRole and updateRole take.
type roleRequest struct {
	Scopes      []string `json:"scopes"`
	Description string   `json:"description"`
}

func (d door) createRole(ctx context.Context, r *web.Request) (any, error) {
	var in roleRequest
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
	role, err := d.auth.CreateRole(ctx, actor.ClientID, r.Params["roleId"], auth.RoleInput{Scopes: in.Scopes, Description: in.Description})
	if err != nil {
		return nil, err
	}
	return toRole(role), nil
}

func (d door) updateRole(ctx context.Context, r *web.Request) (any, error) {
	var in roleRequest
	if err := r.Decode(&in); err != nil {
		return nil, err
	}
	if err := r.Authorize(ctx, map[string]any{"scopesAdded": []string{}}); err != nil {
		return nil, err
	}
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	role, err := d.auth.UpdateRole(ctx, actor.ClientID, r.Params["roleId"], auth.RoleInput{Scopes: in.Scopes, Description: in.Description}, func(added []string) error {
		return r.Authorize(ctx, map[string]any{"scopesAdded": added})
	})
	if err != nil {
		return nil, err
	}
	return toRole(role), nil
}

func (d door) deleteRole(ctx context.Context, r *web.Request) (any, error) {
	actor, err := r.Caller(ctx)
	if err != nil {
		return nil, err
	}
	return nil, d.auth.DeleteRole(ctx, actor.ClientID, r.Params["roleId"])
}
