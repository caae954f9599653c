package ui

import (
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/hookview"
	"github.com/treeline-ci/treeline/ui/prose"
)

func (u *UI) hookVisit(v *visit) *hookview.Visit {
	return &hookview.Visit{Hooks: u.deps.Hooks, Statuses: u.deps.Queue.Statuses, Allow: v.allow, Words: func(s task.Status) (string, string) {
		state := moveOf(&s).State
		return state, prose.Word(state)
	}}
}

// hookList lists the hooks by group.
func (u *UI) hookList(v *visit) error {
	body, err := u.hookVisit(v).List(v.r.Context(), v.r.URL.Query())
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, view{Title: "Hooks", Name: "hooks", Body: body}, nil)
}

// hook shows a hook.
func (u *UI) hook(v *visit) error {
	return u.showHook(v, http.StatusOK, hookview.Try{Raw: v.r.FormValue("raw") != ""})
}

func (u *UI) showHook(v *visit, status int, t hookview.Try) error {
	p, err := u.hookVisit(v).Page(v.r.Context(), v.r.PathValue("group"), v.r.PathValue("id"), v.r.PostForm, t)
	if err != nil {
		return err
	}
	return v.show(status, view{Title: "Hook " + p.Name(), Name: "hook", Body: struct {
		*hookview.Page
		Description template.HTML
		CSRF        string
	}{p, prose.Markdown(p.Metadata.Description), v.session.csrf()}}, nil)
}

// triggerHook fires a hook for a form.
func (u *UI) triggerHook(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, 1<<20)
	if err := v.post(); err != nil {
		return err
	}
	group, id := v.r.PathValue("group"), v.r.PathValue("id")
	if err := u.hookVisit(v).MayTrigger(group, id); err != nil {
		return err
	}
	h, err := u.deps.Hooks.Get(v.r.Context(), group, id)
	if err != nil {
		return err
	}
	t := hookview.Read(h, v.r.PostForm)
	switch {
	case t.More != "":
		return u.showHook(v, http.StatusOK, t)
	case len(t.Wrong) > 0:
		return u.showHook(v, http.StatusBadRequest, t)
	}
	return u.fireHook(v, h, t)
}

// fireHook fires once for each form that was shown: its key is the task's id.
func (u *UI) fireHook(v *visit, h hooks.Hook, t hookview.Try) error {
	if !slug.Valid(t.Key) {
		t.Key = slug.Nice()
	} else if _, err := u.deps.Queue.Status(v.r.Context(), t.Key); err == nil {
		return v.redirect("/tasks/" + t.Key) // pressed twice
	}
	body, err := json.Marshal(t.Input)
	if err != nil {
		return err
	}
	fired, err := u.deps.Hooks.Fire(v.r.Context(), hooks.Fire{
		Group: h.Group, ID: h.ID, By: hooks.TriggerHook, ClientID: v.session.clientID, Payload: body, TaskID: t.Key,
	})
	switch kind := fault.KindOf(err); {
	case err != nil && (kind == fault.Invalid || kind == fault.Forbidden):
		t.Problem, t.Key = fault.Message(err), ""
		return u.showHook(v, statusOf(err), t)
	case err != nil:
		return err
	case fired.Declined:
		t.Problem, t.Key = "The hook wants no task for this payload: its template declines.", ""
		return u.showHook(v, http.StatusOK, t)
	}
	return v.redirect("/tasks/" + fired.TaskID)
}
