package authapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
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
		web.Endpoint{
			Name: "auditLog", Method: "GET", Route: "/audit", Query: auditQuery(), Scopes: scope.Text("auth:audit-log"),
			Output: "audit-log-response.json", Handle: d.auditLog, Title: "Audit log",
			Description: "What anybody did to anything in the last thirty days, with what it changed, newest first. `entityPrefix` begins the ids of " +
				"entities; `from` and `to` are times.",
		},
	)
}

func auditQuery() map[string]string {
	q := pages("entityType", "entityId", "entityPrefix", "clientId")
	q["from"], q["to"] = timePattern, timePattern
	return q
}

const timePattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,}(Z|[+-][0-9]{2}:[0-9]{2})$`

func (d door) auditLog(ctx context.Context, r *web.Request) (any, error) {
	q := auth.AuditQuery{EntityType: r.Query("entityType"), EntityID: r.Query("entityId"), EntityPrefix: r.Query("entityPrefix"), ClientID: r.Query("clientId")}
	for name, at := range map[string]*time.Time{"from": &q.From, "to": &q.To} {
		if text := r.Query(name); text != "" {
			var err error
			if *at, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, fault.New(fault.BadArguments, "%s=%q is no time such as 2026-01-31T09:00:00Z", name, text)
			}
		}
	}
	return history(r, true, func(before int64, limit int) ([]auth.Record, error) {
		q.Before, q.Limit = before, limit
		return d.auth.AuditLog(ctx, q)
	})
}

func (d door) entityHistory(ctx context.Context, r *web.Request) (any, error) {
	return history(r, false, func(before int64, limit int) ([]auth.Record, error) {
		return d.auth.EntityHistory(ctx, r.Params["entityType"], r.Params["entityId"], before, limit)
	})
}

func (d door) clientHistory(ctx context.Context, r *web.Request) (any, error) {
	return history(r, false, func(before int64, limit int) ([]auth.Record, error) {
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

	Change     json.RawMessage `json:"change,omitempty"` // these three in the audit log only
	ApprovedBy string          `json:"approvedBy,omitempty"`
	Proved     *task.Time      `json:"proved,omitempty"`
}

func history(r *web.Request, whole bool, read func(before int64, limit int) ([]auth.Record, error)) (any, error) {
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
		b := recordBody{ClientID: rec.ClientID, ActionType: rec.Action, Created: task.At(rec.Created), EntityID: rec.EntityID, EntityType: rec.EntityType}
		if whole {
			b.Change, b.ApprovedBy = rec.Change, rec.ApprovedBy
			if !rec.Proved.IsZero() {
				at := task.At(rec.Proved)
				b.Proved = &at
			}
		}
		out.AuditHistory = append(out.AuditHistory, b)
	}
	return out, nil
}
