package authapi

import (
	"context"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) audit() []web.Endpoint {
	return stable("Audit",
		web.Endpoint{
			Name: "getEntityHistory", Method: "GET", Route: "/audit/<entityType>/<entityId>", Query: pages(), Scopes: scope.Text("auth:audit-history:<entityType>"),
			Output: "get-entity-history-response.json", Handle: d.entityHistory, Title: "History of an entity",
			Description: "What was done to a client, role, secret, hook or worker pool in the last thirty days, newest first.",
		},
		web.Endpoint{
			Name: "listAuditHistory", Method: "GET", Route: "/clients/<clientId>/audit", Query: pages(), Scopes: scope.Text("auth:client-audit-history:<clientId>"),
			Output: "get-entity-history-response.json", Handle: d.clientHistory, Title: "History of a client's doings",
			Description: "What a client did to clients, roles, secrets, hooks and worker pools in the last thirty days, newest first.",
		},
	)
}

func (d door) entityHistory(ctx context.Context, r *web.Request) (any, error) {
	return history(r, func(before int64, limit int) ([]auth.Record, error) {
		return d.auth.EntityHistory(ctx, r.Params["entityType"], r.Params["entityId"], before, limit)
	})
}

func (d door) clientHistory(ctx context.Context, r *web.Request) (any, error) {
	return history(r, func(before int64, limit int) ([]auth.Record, error) {
		return d.auth.ClientHistory(ctx, r.Params["clientId"], before, limit)
	})
}

// recordBody is an audit record on the wire.
type recordBody struct {
	ClientID   string    `json:"clientId"`
	ActionType string    `json:"actionType"`
	Created    task.Time `json:"created"`
	EntityID   string    `json:"entityId"`
	EntityType string    `json:"entityType"`
}

func history(r *web.Request, read func(before int64, limit int) ([]auth.Record, error)) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var before int64
	web.ReadToken(token, &before)
	found, err := read(before, limit+1)
	if err != nil {
		return nil, err
	}
	page, token, err := cut(found, limit, func(r auth.Record) any { return r.ID })
	if err != nil {
		return nil, err
	}
	out := struct {
		AuditHistory      []recordBody `json:"auditHistory"`
		ContinuationToken string       `json:"continuationToken,omitempty"`
	}{make([]recordBody, 0, len(page)), token}
	for _, rec := range page {
		out.AuditHistory = append(out.AuditHistory, recordBody{rec.ClientID, rec.Action, task.At(rec.Created), rec.EntityID, rec.EntityType})
	}
	return out, nil
}
