package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/pg"
	"github.com/treeline-ci/treeline/internal/slug"
)

// Approval is a change that somebody asked for, and what a second person said of it. Once approved, the
// same client may make the same change, once, until it expires.
type Approval struct {
	ID, EntityType, EntityID, Action string
	Change                           json.RawMessage // as in Record; nil when there is nothing to show
	Proposer                         string
	State                            string // open, approved, refused or used
	DecidedBy                        string
	Reason                           string    // of the decision; "" where none was given
	Decided                          time.Time // zero while it is open
	Created, Expires                 time.Time
}

// maxReason is how many bytes a reason has at most.
const maxReason = 1000

// approvalLasts is how long a proposal, and its approval, may be used.
const approvalLasts = "3 days"

// Propose keeps a change for a second person to see, and returns it. The same change, asked for again by
// the same client, is the same proposal. caller is who asked.
func (a *Auth) Propose(ctx context.Context, caller Caller, g *Guarded) (Approval, error) {
	if err := a.inPerson(caller); err != nil {
		return Approval{}, err
	}
	var out Approval
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, forgetApprovalSQL.Text, g.Digest, g.Proposer); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, proposeSQL.Text, slug.Nice(), g.EntityType, g.EntityID, g.Action, nullText(shortened(g.Change)), g.Digest, g.Proposer, approvalLasts)
		if out, err = oneApproval(rows, err, "propose a change of "+g.EntityID); err != nil {
			return err
		}
		return tellApproval(ctx, tx, out)
	})
	a.changed()
	return out, err
}

// Approvals lists those of a state ("": all) that have not expired, the newest first, from the first
// behind the id given.
func (a *Auth) Approvals(ctx context.Context, state, after string, limit int) ([]Approval, error) {
	rows, err := a.pool.Query(ctx, listApprovalsSQL.Text, state, after, limit)
	if err != nil {
		return nil, fmt.Errorf("auth: approvals: %w", pg.Classify(err))
	}
	list, err := pgx.CollectRows(rows, scanApproval)
	if err != nil {
		return nil, fmt.Errorf("auth: approvals: %w", pg.Classify(err))
	}
	return list, nil
}

// Waiting counts the open proposals of others that a client may decide on, as far as it is in person: allowed tells of
// an entity's type and id whether it may. It looks at no more than a hundred.
func (a *Auth) Waiting(ctx context.Context, clientID string, allowed func(entityType, entityID string) bool) (int, error) {
	list, err := a.Approvals(ctx, "open", "", 100)
	n := 0
	for _, p := range list {
		if person(p.Proposer) != person(clientID) && allowed(p.EntityType, p.EntityID) {
			n++
		}
	}
	return n, err
}

// SamePerson reports whether two clients are those of one person.
func SamePerson(one, other string) bool { return person(one) == person(other) }

// Approval reads one; fault.NotFound when there is none, or it has expired.
func (a *Auth) Approval(ctx context.Context, id string) (Approval, error) {
	rows, err := a.pool.Query(ctx, readApprovalSQL.Text, id)
	return oneApproval(rows, err, "approval "+id)
}

func oneApproval(rows pgx.Rows, err error, what string) (Approval, error) {
	if err != nil {
		return Approval{}, fmt.Errorf("auth: %s: %w", what, pg.Classify(err))
	}
	out, err := pgx.CollectExactlyOneRow(rows, scanApproval)
	if errors.Is(err, pgx.ErrNoRows) {
		return Approval{}, fault.New(fault.NotFound, "There is no such proposal, or it has expired.")
	}
	if err != nil {
		return Approval{}, fmt.Errorf("auth: %s: %w", what, pg.Classify(err))
	}
	return out, nil
}

// Decide approves or refuses an open proposal. Whoever proposed it may refuse it, and not approve it,
// neither with another client of the same person nor with one that the proposer has changed.
func (a *Auth) Decide(ctx context.Context, caller Caller, id string, approve bool, reason string) (Approval, error) {
	if err := a.inPerson(caller); err != nil {
		return Approval{}, err
	}
	if reason = strings.TrimSpace(reason); len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsRune(reason, 0) {
		return Approval{}, fault.New(fault.Invalid, "A reason is a text of at most %d bytes.", maxReason)
	}
	actor := caller.ClientID
	state, action := "refused", "change refused"
	if approve {
		state, action = "approved", "change approved"
	}
	var out Approval
	err := pg.Tx(ctx, a.pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, readApprovalSQL.Text+` FOR UPDATE`, id)
		if out, err = oneApproval(rows, err, "approval "+id); err != nil {
			return err
		}
		if out.State == state && out.DecidedBy == actor {
			return nil
		}
		if out.State != "open" && (approve || out.State != "approved") {
			return fault.New(fault.Conflict, "The proposal is %s already.", out.State)
		}
		if approve {
			if err := second(ctx, tx, out.Proposer, actor); err != nil {
				return err
			}
		}
		if rows, err = tx.Query(ctx, decideSQL.Text, id, state, actor, reason); err != nil {
			return err
		}
		if out, err = pgx.CollectExactlyOneRow(rows, scanApproval); err != nil {
			return err
		}
		said := Record{EntityType: out.EntityType, EntityID: out.EntityID, ClientID: actor, Action: action + " (asked for by " + out.Proposer + ")", Own: true}
		if reason != "" {
			said.After = map[string]string{"reason": reason}
		}
		if err := Audit(ctx, tx, said); err != nil {
			return err
		}
		return tellApproval(ctx, tx, out)
	})
	a.changed()
	if err != nil {
		return Approval{}, fmt.Errorf("auth: decide %s: %w", id, err)
	}
	return out, nil
}

// inPerson refuses temporary credentials in the name of somebody else: whoever may create clients could
// speak with any name. The server's own, for people who have signed in, are those people's.
func (a *Auth) inPerson(c Caller) error {
	if c.ClientID == "" || c.Issuer != c.ClientID && (a.people == "" || c.Issuer != a.people) {
		return fault.New(fault.Forbidden, "What needs two persons is asked for and approved with a client's own credentials, "+
			"or by people who have signed in, not with temporary credentials in another name.")
	}
	return nil
}

// second tells whether a client is another person's than the proposer's.
func second(ctx context.Context, tx pgx.Tx, proposer, actor string) error {
	if person(proposer) == person(actor) {
		return fault.New(fault.Forbidden, "%s asked for this change: somebody else must approve it.", proposer)
	}
	var made bool
	if err := tx.QueryRow(ctx, madeBySQL.Text, actor, person(proposer), person(actor)).Scan(&made); err != nil {
		return err
	}
	if made {
		return fault.New(fault.Forbidden, "%s has made or changed the client %s, and asked for this change: somebody else must approve it.", proposer, actor)
	}
	return nil
}

// person is whose client it is: those that a signed-in person made stand below that person's identity,
// such as github/42|ann. Other clients stand for themselves.
func person(clientID string) string {
	parts := strings.SplitN(clientID, "/", 3)
	if len(parts) == 3 && strings.Contains(parts[1], "|") {
		return parts[0] + "/" + parts[1]
	}
	return clientID
}

func scanApproval(row pgx.CollectableRow) (Approval, error) {
	var p Approval
	var decided *time.Time
	err := row.Scan(&p.ID, &p.EntityType, &p.EntityID, &p.Action, (*[]byte)(&p.Change), &p.Proposer, &p.State, &p.DecidedBy, &p.Reason, &decided, &p.Created, &p.Expires)
	if decided != nil {
		p.Decided = *decided
	}
	return p, err
}

const approvalColumns = `id, entity_type, entity_id, action, change, proposer, state, coalesce(decided_by, ''), coalesce(reason, ''), decided, created, expires`

var (
	forgetApprovalSQL = pg.Statement{Name: "auth.forget_approval", Text: `
DELETE FROM auth_approvals WHERE digest = $1 AND proposer = $2 AND state IN ('open', 'approved') AND expires <= now()`}

	proposeSQL = pg.Statement{Name: "auth.propose", Text: `
INSERT INTO auth_approvals (id, entity_type, entity_id, action, change, digest, proposer, expires)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, now() + $8::text::interval)
ON CONFLICT (digest, proposer) WHERE state IN ('open', 'approved') DO UPDATE SET action = excluded.action
RETURNING ` + approvalColumns}

	listApprovalsSQL = pg.Statement{Name: "auth.list_approvals", Text: `
SELECT ` + approvalColumns + ` FROM auth_approvals WHERE ($1 = '' OR state = $1) AND expires > now()
	AND ($2 = '' OR (created, id) < (SELECT created, id FROM auth_approvals WHERE id = $2))
ORDER BY created DESC, id DESC LIMIT $3`}

	readApprovalSQL = pg.Statement{Name: "auth.read_approval", Text: `
SELECT ` + approvalColumns + ` FROM auth_approvals WHERE id = $1 AND expires > now()`}

	decideSQL = pg.Statement{Name: "auth.decide", Text: `
UPDATE auth_approvals SET state = $2, decided_by = $3, reason = nullif($4, ''), decided = now() WHERE id = $1 RETURNING ` + approvalColumns}

	madeBySQL = pg.Statement{Name: "auth.made_by", Text: `
SELECT EXISTS (SELECT FROM auth_audit WHERE entity_type = 'client' AND entity_id IN ($1, $3)
	AND (client_id = $2 OR starts_with(client_id, $2 || '/')))`}

	pruneApprovalsSQL = pg.Statement{Name: "auth.prune_approvals", Text: `
DELETE FROM auth_approvals WHERE id IN (
	SELECT id FROM auth_approvals WHERE expires < now() - $2::interval ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED)`}
)
