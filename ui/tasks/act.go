package tasks

import (
	"context"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/task"
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
func actsOn(v *page.Visit, s task.Status) []actJSON {
	var list []actJSON
	for _, d := range deeds() {
		a := actJSON{Name: d.name, Label: d.label, Possible: d.possible(s.State), Allowed: true}
		want := d.scopes(s)
		if v.Allow(want) != nil {
			a.Allowed = false
			// Any of several scopes would do; the first is the plain one.
			a.Why = "needs " + want.Scopes()[0] + "."
			if v.Session.ClientID == "" {
				a.Why = "sign in first; it " + a.Why
			}
		}
		list = append(list, a)
	}
	return list
}

// act does a deed, for the script and for plain forms.
func (ps *Pages) act(v *page.Visit) (any, error) {
	answer, err := ps.tryAct(v)
	if strings.Contains(v.R.Header.Get("Accept"), "application/json") {
		return answer, err
	}
	if err != nil {
		v.Fail(err)
		return nil, nil // the error page has been answered
	}
	http.Redirect(v.W, v.R, "/tasks/"+v.R.PathValue("task"), http.StatusSeeOther)
	return nil, nil // the redirect has been answered
}

func (ps *Pages) tryAct(v *page.Visit) (any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	id, name, ctx := v.R.PathValue("task"), v.R.PathValue("act"), v.R.Context()
	for _, d := range deeds() {
		if d.name != name {
			continue
		}
		item, err := ps.Queue.Item(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := v.Allow(d.scopes(item.Status)); err != nil {
			return nil, err
		}
		if _, err := d.do(ps.Queue, ctx, id); err != nil {
			return nil, err
		}
		ps.Log.InfoContext(ctx, "a person acted on a task", "act", name, "task", id, "client", v.Session.ClientID)
		return map[string]string{"message": cell.Name(item.Task.Metadata.Name, id) + " " + d.done + "."}, nil
	}
	return nil, fault.New(fault.NotFound, "There is no act %q.", name)
}
