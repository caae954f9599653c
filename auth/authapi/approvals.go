package authapi

import (
	"context"
	"encoding/json"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/task"
)

func (d door) approvals() []web.Endpoint {
	query := pages()
	query["state"] = `^(open|approved|refused|used)$`
	reason := map[string]string{"reason": `^[^\x00-\x1f]{0,1000}$`}
	decide := scope.Text("auth:approve-change:<entityType>:<entityId>")
	list := []web.Endpoint{
		{
			Name: "listGuards", Method: "GET", Route: "/guards", Scopes: scope.Text("auth:list-approvals"), Output: "list-guards-response.json",
			Handle: d.listGuards, Title: "What needs two persons", Description: "The entities that nobody changes alone.",
		},
		{
			Name: "listApprovals", Method: "GET", Route: "/approvals", Query: query, Scopes: scope.Text("auth:list-approvals"), Output: "list-approvals-response.json",
			Handle: d.listApprovals, Title: "List proposed changes", Description: "Changes that need a second person, the newest first. They are kept for three days.",
		},
		{
			Name: "approval", Method: "GET", Route: "/approvals/<approvalId>", Scopes: scope.Text("auth:list-approvals"), Output: "approval.json",
			Handle: d.approval, Title: "Get a proposed change", Description: "One proposed change.",
		},
		{
			Name: "approveChange", Method: "POST", Route: "/approvals/<approvalId>/approve", Query: reason, Scopes: decide, Output: "approval.json",
			Handle: d.decide(true), Title: "Approve a change",
			Description: "Lets the client that proposed a change make it, once. Whoever proposed it cannot, nor with another client of the same person, nor with one that the proposer has changed.",
		},
		{
			Name: "refuseChange", Method: "POST", Route: "/approvals/<approvalId>/refuse", Query: reason, Scopes: decide, Output: "approval.json",
			Handle: d.decide(false), Title: "Refuse a change", Description: "Ends a proposal, also one that was approved and not used yet.",
		},
	}
	for i := range list {
		list[i].Category, list[i].Stability = "Approvals", "experimental"
	}
	return list
}

// approvalBody is a proposed change on the wire.
type approvalBody struct {
	ApprovalID string          `json:"approvalId"`
	EntityType string          `json:"entityType"`
	EntityID   string          `json:"entityId"`
	ActionType string          `json:"actionType"`
	Change     json.RawMessage `json:"change,omitempty"`
	Proposer   string          `json:"proposer"`
	State      string          `json:"state"`
	DecidedBy  string          `json:"decidedBy,omitempty"`
	Reason     string          `json:"reason,omitempty"`
	Decided    *task.Time      `json:"decided,omitempty"`
	Created    task.Time       `json:"created"`
	Expires    task.Time       `json:"expires"`
}

func toApproval(p auth.Approval) approvalBody {
	b := approvalBody{
		ApprovalID: p.ID, EntityType: p.EntityType, EntityID: p.EntityID, ActionType: p.Action, Change: p.Change, Proposer: p.Proposer,
		State: p.State, DecidedBy: p.DecidedBy, Reason: p.Reason, Created: task.At(p.Created), Expires: task.At(p.Expires),
	}
	if !p.Decided.IsZero() {
		at := task.At(p.Decided)
		b.Decided = &at
	}
	return b
}

func (d door) listGuards(ctx context.Context, _ *web.Request) (any, error) {
	list, err := d.auth.Guards(ctx)
	if err != nil {
		return nil, err
	}
	type guard struct {
		EntityType string `json:"entityType"`
		Pattern    string `json:"pattern"`
	}
	out := struct {
		Guards []guard `json:"guards"`
	}{make([]guard, 0, len(list))}
	for _, g := range list {
		out.Guards = append(out.Guards, guard(g))
	}
	return out, nil
}

func (d door) listApprovals(ctx context.Context, r *web.Request) (any, error) {
	limit, token, err := r.Page()
	if err != nil {
		return nil, err
	}
	var after string
	web.ReadToken(token, &after)
	found, err := d.auth.Approvals(ctx, r.Query("state"), after, limit+1)
	if err != nil {
		return nil, err
	}
	page, token, err := cut(found, limit, func(p auth.Approval) any { return p.ID })
	if err != nil {
		return nil, err
	}
	out := struct {
		Approvals         []approvalBody `json:"approvals"`
		ContinuationToken string         `json:"continuationToken,omitempty"`
	}{make([]approvalBody, 0, len(page)), token}
	for _, p := range page {
		out.Approvals = append(out.Approvals, toApproval(p))
	}
	return out, nil
}

func (d door) approval(ctx context.Context, r *web.Request) (any, error) {
	p, err := d.auth.Approval(ctx, r.Params["approvalId"])
	if err != nil {
		return nil, err
	}
	return toApproval(p), nil
}

func (d door) decide(approve bool) func(context.Context, *web.Request) (any, error) {
	return func(ctx context.Context, r *web.Request) (any, error) {
		p, err := d.auth.Approval(ctx, r.Params["approvalId"])
		if err != nil {
			return nil, err
		}
		if err := r.Authorize(ctx, map[string]any{"entityType": p.EntityType, "entityId": p.EntityID}); err != nil {
			return nil, err
		}
		actor, err := r.Caller(ctx)
		if err != nil {
			return nil, err
		}
		if p, err = d.auth.Decide(ctx, actor, p.ID, approve, r.Query("reason")); err != nil {
			return nil, err
		}
		return toApproval(p), nil
	}
}
