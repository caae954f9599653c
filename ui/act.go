package ui

import (
	"context"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
)

// deed is something to do to a task.
type deed struct {
	name, label, done string
	possible          func(task.State) bool
	scopes            func(task.Status) scope.Expr // the same as at the queue's door
	do                func(*queue.Queue, context.Context, string) (task.Status, error)
}

func deeds() []deed {
	return []deed{
		{"rerun", "Rerun", "runs again", task.State.Resolved, scopes.Rerun, (*queue.Queue).Rerun},
		{"schedule", "Schedule", "is scheduled now", func(s task.State) bool { return s == task.Unscheduled }, scopes.Schedule, (*queue.Queue).Schedule},
		{"cancel", "Cancel", "is cancelled", func(s task.State) bool { return !s.Resolved() }, scopes.Cancel, (*queue.Queue).Cancel},
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

// actsOn lists the deeds, and which scope is missing for those that the visitor may not do.
func (v *visit) actsOn(s task.Status) []actJSON {
	var list []actJSON
	for _, d := range deeds() {
		a := actJSON{Name: d.name, Label: d.label, Possible: d.possible(s.State), Allowed: true}
		want := d.scopes(s)
		if v.allow(want) != nil {
			a.Allowed = false
			// Any of several scopes would do; the first is the plain one.
			a.Why = "needs " + want.Scopes()[0] + "."
			if v.session.clientID == "" {
				a.Why = "sign in first; it " + a.Why
			}
		}
		list = append(list, a)
	}
	return list
}

// act does a deed, for the script and for plain forms.
func (u *UI) act(v *visit) (any, error) {
	answer, err := u.tryAct(v)
	if strings.Contains(v.r.Header.Get("Accept"), "application/json") {
		return answer, err
	}
	if err != nil {
		u.fail(v, err)
		return nil, nil // the error page has been answered
	}
	http.Redirect(v.w, v.r, "/tasks/"+v.r.PathValue("task"), http.StatusSeeOther)
	return nil, nil // the redirect has been answered
}

func (u *UI) tryAct(v *visit) (any, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, 64<<10)
	if err := v.post(); err != nil {
		return nil, err
	}
	id, name, ctx := v.r.PathValue("task"), v.r.PathValue("act"), v.r.Context()
	for _, d := range deeds() {
		if d.name != name {
			continue
		}
		item, err := u.deps.Queue.Item(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := v.allow(d.scopes(item.Status)); err != nil {
			return nil, err
		}
		if _, err := d.do(u.deps.Queue, ctx, id); err != nil {
			return nil, err
		}
		u.log.InfoContext(ctx, "a person acted on a task", "act", name, "task", id, "client", v.session.clientID)
		return map[string]string{"message": nameOf(item.Task.Metadata.Name, id) + " " + d.done + "."}, nil
	}
	return nil, fault.New(fault.NotFound, "There is no act %q.", name)
}
