package access

import (
	"net/http"
	"strconv"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// approvalsPath is where changes are that need two persons.
const approvalsPath = "/auth/approvals"

var listApprovals = scope.String("auth:list-approvals")

// approvalsView is the changes that were asked for.
type approvalsView struct {
	Open, Decided []proposal
	Guards        []auth.Guard
	Problem       string
}

// proposal is a change as somebody who looks at it may decide on it.
type proposal struct {
	auth.Approval
	Changes []change
	Href    string // page of the entity; "" without one
	Form    string // where its form goes
	Own     bool   // the visitor asked for it
	Missing string // scope without which the visitor cannot decide; "" for none
	Again   string // where whoever asked makes the change, once it is approved
}

func decideScope(entityType, entityID string) scope.Expr {
	return scope.String("auth:approve-change:" + entityType + ":" + entityID)
}

func (ps *Pages) proposalOf(v *page.Visit, a auth.Approval) proposal {
	p := proposal{Approval: a, Changes: changesOf(a.Change), Href: entityPath(a.EntityType, a.EntityID), Form: approvalsPath + "/" + a.ID}
	p.Own = v.Session.ClientID != "" && auth.SamePerson(a.Proposer, v.Session.ClientID)
	if v.Allow(decideScope(a.EntityType, a.EntityID)) != nil {
		p.Missing = "auth:approve-change:" + a.EntityType + ":" + a.EntityID
	}
	if a.Proposer == v.Session.ClientID && a.State == "approved" {
		p.Again = p.Href
	}
	return p
}

func (ps *Pages) approvals(v *page.Visit) error { return ps.showApprovals(v, http.StatusOK, "") }

func (ps *Pages) showApprovals(v *page.Visit, status int, problem string) error {
	if err := v.Allow(listApprovals); err != nil {
		return err
	}
	ctx, a := v.R.Context(), approvalsView{Problem: problem}
	w := page.View{Title: "Approvals", Name: "approvals"}
	if ps.Live != nil {
		w.Stream = ps.Live.Path(v, "approvals=1")
	}
	list, err := ps.Auth.Approvals(ctx, "", "", 200)
	if err != nil {
		return err
	}
	if a.Guards, err = ps.Auth.Guards(ctx); err != nil {
		return err
	}
	for _, one := range list {
		p := ps.proposalOf(v, one)
		if one.State == "open" {
			a.Open = append(a.Open, p)
		} else {
			a.Decided = append(a.Decided, p)
		}
	}
	w.Body = a
	return v.Show(status, w, nil)
}

// decide approves or refuses a change.
func (ps *Pages) decide(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	if !v.SignedIn() {
		return nil
	}
	act := v.R.PostFormValue("act")
	if act != "approve" && act != "refuse" {
		return fault.New(fault.Invalid, "The form is damaged; load the page again.")
	}
	a, err := ps.Auth.Approval(v.R.Context(), v.R.PathValue("id"))
	if err == nil {
		err = v.Allow(decideScope(a.EntityType, a.EntityID))
	}
	if err == nil {
		_, err = ps.Auth.Decide(v.R.Context(), v.Caller(), a.ID, act == "approve", v.R.PostFormValue("reason"))
	}
	switch fault.KindOf(err) {
	case fault.Forbidden, fault.Conflict, fault.NotFound, fault.Invalid:
		if err != nil {
			return ps.showApprovals(v, page.StatusOf(err), fault.Message(err))
		}
	}
	if err != nil {
		return err
	}
	return v.Redirect(approvalsPath)
}

// waiting tells in the header of every page how many changes wait for the visitor to decide.
func (ps *Pages) waiting(v *page.Visit, w *page.View) (err error) {
	if v.Session.ClientID == "" || v.Allow(listApprovals) != nil {
		return nil
	}
	w.Waiting, err = ps.Auth.Waiting(v.R.Context(), v.Session.ClientID, func(kind, id string) bool { return v.Allow(decideScope(kind, id)) == nil })
	return err
}

// Left is how long a proposal counts.
func (p proposal) Left() string {
	left := time.Until(p.Expires).Round(time.Hour)
	switch {
	case left >= 48*time.Hour:
		return plural(int(left/(24*time.Hour)), "day")
	case left >= time.Hour:
		return plural(int(left/time.Hour), "hour")
	}
	return "less than an hour"
}

// Mark is the state of a task that looks like that of a proposal.
func (p proposal) Mark() string {
	return map[string]string{"open": "pending", "approved": "passed", "used": "passed", "refused": "failed"}[p.State]
}

// Word is the state in words.
func (p proposal) Word() string {
	return map[string]string{"open": "waits", "approved": "approved, not made yet", "used": "approved and made", "refused": "refused"}[p.State]
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return strconv.Itoa(n) + " " + word
}
