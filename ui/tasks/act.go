package tasks

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/actions"
	"github.com/treeline-ci/treeline/ui/again"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/page"
)

// deed is something to do to a task.
type deed struct {
	name, label, done string
	possible          func(task.State) bool
	scopes            func(task.Status) scope.Expr // the same as at the queue's door
	do                func(*queue.Queue, context.Context, string) (task.Status, error)
}

func open(s task.State) bool { return !s.Resolved() }

func deeds() []deed {
	return []deed{
		{"rerun", "Rerun", "runs again", task.State.Resolved, scopes.Rerun, (*queue.Queue).Rerun},
		{"schedule", "Schedule", "is scheduled now", func(s task.State) bool { return s == task.Unscheduled }, scopes.Schedule, (*queue.Queue).Schedule},
		{"cancel", "Cancel", "is cancelled", open, scopes.Cancel, (*queue.Queue).Cancel},
	}
}

// actJSON is a deed as a button shows it; shell/data.ts describes it.
type actJSON struct {
	Name     string `json:"name"`
	Label    string `json:"label"`
	Allowed  bool   `json:"allowed"`
	Possible bool   `json:"possible"`
	Why      string `json:"why"`
}

// missing says that a visitor lacks a scope.
func missing(v *page.Visit, name string) string {
	if v.Session.ClientID == "" {
		return "sign in first; it needs " + name + "."
	}
	return "needs " + name + "."
}

// actsOn lists the deeds, and which scope is missing for those that the visitor may not do.
func (ps *Pages) actsOn(v *page.Visit, i *queue.Item) ([]actJSON, error) {
	s := i.Status
	var list []actJSON
	add := func(name, label string, possible bool, want scope.Expr) {
		a := actJSON{Name: name, Label: label, Possible: possible, Allowed: true}
		if v.Allow(want) != nil {
			// Any of several scopes would do; the first is the plain one.
			a.Allowed, a.Why = false, missing(v, want.Scopes()[0])
		}
		list = append(list, a)
	}
	for _, d := range deeds() {
		add(d.name, d.label, d.possible(s.State), d.scopes(s))
	}
	add("priority", "Change priority", open(s.State), scopes.Priority(s))
	if caches := cachesOf(i.Task.Payload); len(caches) > 0 && ps.Purge != nil {
		add("purge", "Purge caches", true, purging(s.TaskQueueID, caches[:1]))
	}
	retrigger := actJSON{Name: "retrigger", Label: "Retrigger", Possible: len(s.Runs) > 0, Allowed: true}
	// An action of the tree of the same name is offered in the menu of actions instead.
	own, err := ps.treeHas(v, &s, again.Action)
	if err != nil {
		return nil, err
	}
	if own {
		return list, nil
	}
	if needs := ps.Again.Needs(v, i); needs != "" {
		retrigger.Allowed, retrigger.Why = false, missing(v, needs)
	}
	return append(list, retrigger), nil
}

// treeHas reports whether the tree offers an action of a name on a task.
func (ps *Pages) treeHas(v *page.Visit, s *task.Status, name string) (bool, error) {
	if !ps.Actions.Offers(v) {
		return false, nil
	}
	list, err := ps.Actions.Actions.Offered(v.R.Context(), v.Caller(), s.TaskGroupID, s.TaskID)
	if k := fault.KindOf(err); k == fault.NotFound || k == fault.Invalid || k == fault.Forbidden {
		return false, nil // no actions.json, or none that can be read
	}
	return slices.ContainsFunc(list, func(o actions.Offer) bool { return o.Name == name }), err
}

func purging(pool string, caches []string) scope.Expr {
	want := make([]scope.Expr, len(caches))
	for i, c := range caches {
		want[i] = scope.String("purge-cache:" + pool + ":" + c)
	}
	return scope.AllOf(want...)
}

// act does a deed, for the script and for plain forms.
func (ps *Pages) act(v *page.Visit) (any, error) {
	answer, err := ps.tryAct(v)
	return v.Answer(answer, err, "/tasks/"+url.PathEscape(v.R.PathValue("task")))
}

func (ps *Pages) tryAct(v *page.Visit) (map[string]any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	id, name, ctx := v.R.PathValue("task"), v.R.PathValue("act"), v.R.Context()
	item, err := ps.Queue.Item(ctx, id)
	if err != nil {
		return nil, err
	}
	called := cell.Name(item.Task.Metadata.Name, id)
	answer, err := ps.doAct(ctx, v, name, called, &item)
	if err == nil {
		ps.Log.InfoContext(ctx, "a person acted on a task", "act", name, "task", id, "client", v.Session.ClientID)
	}
	return answer, err
}

func (ps *Pages) doAct(ctx context.Context, v *page.Visit, name, called string, i *queue.Item) (map[string]any, error) {
	id := i.Status.TaskID
	say := func(format string, args ...any) map[string]any {
		return map[string]any{"message": fmt.Sprintf(format, args...)}
	}
	for _, d := range deeds() {
		if d.name != name {
			continue
		}
		if err := v.Allow(d.scopes(i.Status)); err != nil {
			return nil, err
		}
		_, err := d.do(ps.Queue, ctx, id)
		return say("%s %s.", called, d.done), err
	}
	switch name {
	case "priority":
		if err := v.Allow(scopes.Priority(i.Status)); err != nil {
			return nil, err
		}
		to := task.Priority(v.R.PostFormValue("priority"))
		noting := auth.Noting(ctx, auth.Record{EntityType: "task", EntityID: id, ClientID: v.Session.ClientID, Action: "priority changed", After: map[string]any{"priority": to}})
		_, err := ps.Queue.ChangePriority(noting, id, to)
		return say("%s has the priority %s.", called, to), err
	case "purge":
		return ps.purge(ctx, v, i)
	case "retrigger":
		times, err := again.Times(v.R.PostFormValue("times"))
		if err != nil {
			return nil, err
		}
		made, err := ps.Again.Tasks(v, []string{id}, times)
		if err != nil {
			return nil, err
		}
		answer := say("%s is made again: %s.", called, strings.Join(made, ", "))
		answer["tasks"] = made
		return answer, nil
	}
	return nil, fault.New(fault.NotFound, "There is no act %q.", name)
}

// purge has the caches of the task that are chosen dropped, all of them when none is.
func (ps *Pages) purge(ctx context.Context, v *page.Visit, i *queue.Item) (map[string]any, error) {
	known, chosen := cachesOf(i.Task.Payload), v.R.PostForm["cache"]
	if len(chosen) == 0 {
		chosen = known
	}
	for _, c := range chosen {
		if !slices.Contains(known, c) {
			return nil, fault.New(fault.Invalid, "The task has no cache %q.", c)
		}
	}
	if len(chosen) == 0 || ps.Purge == nil {
		return nil, fault.New(fault.Invalid, "The task has no caches to purge.")
	}
	if err := v.Allow(purging(i.Status.TaskQueueID, chosen)); err != nil {
		return nil, err
	}
	for _, c := range chosen {
		if err := ps.Purge(ctx, i.Status.TaskQueueID, c); err != nil {
			return nil, err
		}
	}
	return map[string]any{"message": "Workers of " + i.Status.TaskQueueID + " drop " + strings.Join(chosen, ", ") + " before they use it again."}, nil
}
