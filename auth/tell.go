package auth

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/event"
)

// The kinds of events that changes append to the feed; their bodies are those of the peer's messages
// (taskcluster-map appendix C).
const (
	clientCreated = "client-created"
	clientUpdated = "client-updated"
	clientDeleted = "client-deleted"
	roleCreated   = "role-created"
	roleUpdated   = "role-updated"
	roleDeleted   = "role-deleted"
)

// tellClient appends an event about a client in the transaction of its change.
func tellClient(ctx context.Context, tx pgx.Tx, kind string, ids ...string) error {
	events := make([]event.Event, len(ids))
	for i, id := range ids {
		body, err := json.Marshal(struct {
			Version  int    `json:"version"`
			ClientID string `json:"clientId"`
		}{1, id})
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, id, err)
		}
		events[i] = event.Event{Kind: kind, Payload: body}
	}
	return event.Append(ctx, tx, events...)
}

// tellRole appends an event about a role in the transaction of its change.
func tellRole(ctx context.Context, tx pgx.Tx, kind, id string) error {
	body, err := json.Marshal(struct {
		Version int    `json:"version"`
		RoleID  string `json:"roleId"`
	}{1, id})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, id, err)
	}
	return event.Append(ctx, tx, event.Event{Kind: kind, Payload: body})
}

// Approvals is the kind of the feed's event about a proposed change: it was made, approved or refused. It has no body:
// not everybody who reads the feed may see the change.
const Approvals = "approval-changed"

func tellApproval(ctx context.Context, tx pgx.Tx, p Approval) error {
	return event.Append(ctx, tx, event.Event{Kind: Approvals, Payload: json.RawMessage(`{"approvalId":"` + p.ID + `"}`)})
}

// changed is called after a change was committed, or not: this server asks for the versions again,
// and the feed looks for the change's event.
func (a *Auth) changed() {
	a.forget()
	if a.wake != nil {
		a.wake()
	}
}
