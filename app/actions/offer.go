package actions

import (
	"context"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/taskgraph/action"
)

// Offer is an action that fits a task or a group, and whether the caller may start it.
type Offer struct {
	Name        string         `json:"name"`
	Title       string         `json:"title"`
	Description string         `json:"description"` // Markdown
	Kind        action.Kind    `json:"kind"`
	OnGroup     bool           `json:"onGroup"`
	Schema      map[string]any `json:"schema,omitempty"` // of the input; without it there is none
	Permission  string         `json:"permission"`
	HookGroupID string         `json:"hookGroupId,omitempty"`
	HookID      string         `json:"hookId,omitempty"`
	Allowed     bool           `json:"allowed"`
	// Why says why the caller may not, for people; "" when it may.
	Why string `json:"why,omitempty"`
	// Scopes are those that the caller lacks.
	Missing []string `json:"missing,omitempty"`
}

// Offered lists the actions that fit a task of a group, or with taskID "" the group itself, in the order in
// which people see them. Of those of one name the first that fits counts. That the caller may read
// public/actions.json and the task is for the door to check.
func (a *Actions) Offered(ctx context.Context, caller auth.Caller, groupID, taskID string) ([]Offer, error) {
	g, err := a.read(ctx, groupID, taskID)
	if err != nil {
		return nil, err
	}
	offers, seen := []Offer{}, map[string]bool{}
	held := scope.NewSet(caller.Scopes)
	for _, e := range g.listing.Actions {
		if seen[e.Name] || !g.fits(e) {
			continue
		}
		seen[e.Name] = true
		o := Offer{
			Name: e.Name, Title: e.Title, Description: e.Description, Kind: e.Kind, OnGroup: len(e.Context) == 0, Schema: e.Schema,
			Permission: e.Extra.Permission, HookGroupID: e.HookGroupID, HookID: e.HookID,
		}
		o.judge(caller, held, g, e)
		offers = append(offers, o)
	}
	return offers, nil
}

func (g *group) fits(e action.Entry) bool {
	if g.taskID == "" {
		return len(e.Context) == 0
	}
	return action.Matches(e.Context, g.tags)
}

// judge says whether the caller may start the action.
func (o *Offer) judge(caller auth.Caller, held scope.Set, g *group, e action.Entry) {
	if trust := e.Scope(); trust != "" && !g.scopes.Has(trust) {
		o.Why = "The decision task does not hold " + trust + ", so its list of actions does not count."
		return
	}
	missing, lacks := held.Missing(needed(g, e))
	if !lacks {
		o.Allowed = true
		return
	}
	if o.Missing = missing.Scopes(); len(o.Missing) == 0 {
		o.Missing = needed(g, e).Scopes()
	}
	o.Why = "It needs the scope " + o.Missing[0]
	switch n := len(o.Missing); {
	case n == 2:
		o.Why += " and another one"
	case n > 2:
		o.Why += " and others"
	}
	o.Why += ", which you do not hold."
	if caller.Anonymous() {
		o.Why = "Sign in first. " + o.Why
	}
}

// needed is what whoever starts an action must hold: the right to trigger its hook; for one of kind task
// all scopes of the decision task, with which the action task is created (taskcluster-map 15.5).
func needed(g *group, e action.Entry) scope.Expr {
	if e.Kind == action.Hook {
		return scope.String("hooks:trigger-hook:" + e.HookGroupID + "/" + e.HookID)
	}
	return scope.Strings(g.decision.Task.Scopes...)
}
