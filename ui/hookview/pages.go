package hookview

import (
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/event"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/payload"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/form"
	"github.com/treeline-ci/treeline/ui/live"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

//go:embed html/*.html
var markup embed.FS

// Pages are the pages of hooks. They are safe for concurrent use.
type Pages struct {
	Hooks *hooks.Hooks
	Queue *queue.Queue
	Auth  *auth.Auth
	Feed  *event.Feed
	Live  *live.Live
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /hooks", ps.hookList)
	k.Page("GET /hooks/create", ps.createForm)
	k.Page("POST /hooks/create", func(v *page.Visit) error { return ps.save(v, true) })
	k.Page("GET /hooks/{group}/{id...}", ps.hook)
	k.Page("POST /hooks/{group}/{id...}", ps.change)
	k.Data("POST /ui/api/hooks/check", ps.checkData)
	k.Stream("GET /ui/api/hooks/listen", ps.listen)
	return k.Add(markup)
}

func (ps *Pages) hookVisit(v *page.Visit) *Visit {
	return &Visit{Hooks: ps.Hooks, Statuses: ps.Queue.Statuses, Allow: v.Allow, Words: func(s task.Status) (string, string) {
		state := cell.MoveOf(&s).State
		return state, prose.Word(state)
	}}
}

// hookList lists the hooks by group.
func (ps *Pages) hookList(v *page.Visit) error {
	body, err := ps.hookVisit(v).List(v.R.Context(), v.R.URL.Query())
	if err != nil {
		return err
	}
	return v.Show(http.StatusOK, page.View{Title: "Hooks", Name: "hooks", Body: body}, nil)
}

// hook shows a hook: its page, or one of its tabs.
func (ps *Pages) hook(v *page.Visit) error {
	group, id := v.R.PathValue("group"), v.R.PathValue("id")
	switch v.R.URL.Query().Get("tab") {
	case "edit":
		return ps.editForm(v, group, id)
	case "bindings":
		return ps.listenPage(v, group, id)
	case "audit":
		return ps.auditPage(v, group, id)
	}
	return ps.showHook(v, http.StatusOK, Try{Raw: v.R.FormValue("raw") != ""})
}

// change takes the forms of a hook's page.
func (ps *Pages) change(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 8<<20)
	switch do := v.R.PostFormValue("do"); do {
	case "pause", "resume", "delete":
		return ps.command(v, do)
	case "save", "review", "check":
		return ps.save(v, false)
	}
	return ps.triggerHook(v)
}

func (ps *Pages) showHook(v *page.Visit, status int, t Try) error {
	p, err := ps.hookVisit(v).Page(v.R.Context(), v.R.PathValue("group"), v.R.PathValue("id"), v.R.PostForm, t)
	if err != nil {
		return err
	}
	roles, more, err := ps.triggers(v.R.Context(), p.Group, p.ID)
	if err != nil {
		return err
	}
	why := ""
	if err := v.Allow(modify(p.Group, p.ID)); err != nil {
		why = fault.Message(err)
	}
	return v.Show(status, page.View{
		Title: "Hook " + p.Name(), Name: "hook", Stream: ps.Live.Path(v, url.Values{"hook": {p.Name()}}.Encode()),
		Body: struct {
			*Page
			Description template.HTML
			CSRF        string
			Roles       []string
			MoreRoles   bool
			MayNot      string // why the visitor may not change it
		}{p, prose.Markdown(p.Metadata.Description), v.Session.CSRF(), roles, more, why},
	}, nil)
}

// triggerHook fires a hook for a form.
func (ps *Pages) triggerHook(v *page.Visit) error {
	if err := v.Post(); err != nil {
		return err
	}
	group, id := v.R.PathValue("group"), v.R.PathValue("id")
	if err := ps.hookVisit(v).MayTrigger(group, id); err != nil {
		return err
	}
	h, err := ps.Hooks.Get(v.R.Context(), group, id)
	if err != nil {
		return err
	}
	t := Read(h, v.R.PostForm)
	switch {
	case t.More != "":
		return ps.showHook(v, http.StatusOK, t)
	case len(t.Wrong) > 0:
		return ps.showHook(v, http.StatusBadRequest, t)
	}
	return ps.fireHook(v, h, t)
}

// fireHook fires once for each form that was shown: its key is the task's id.
func (ps *Pages) fireHook(v *page.Visit, h hooks.Hook, t Try) error {
	if !slug.Valid(t.Key) {
		t.Key = slug.Nice()
	} else if _, err := ps.Queue.Status(v.R.Context(), t.Key); err == nil {
		return v.Redirect("/tasks/" + t.Key) // pressed twice
	}
	body, err := json.Marshal(t.Input)
	if err != nil {
		return err
	}
	fired, err := ps.Hooks.Fire(v.R.Context(), hooks.Fire{
		Group: h.Group, ID: h.ID, By: hooks.TriggerHook, ClientID: v.Session.ClientID, Payload: body, TaskID: t.Key,
	})
	misfit, wrong := errors.AsType[*payload.Misfit](err)
	switch kind := fault.KindOf(err); {
	case wrong:
		for _, p := range misfit.Problems {
			t.Wrong = append(t.Wrong, form.Problem{Path: p.Path, Message: p.Message})
		}
		if _, plain := Schema(h); plain { // there are no fields
			t.Problem = fault.Message(err)
		}
		t.Key = ""
		return ps.showHook(v, http.StatusBadRequest, t)
	case err != nil && (kind == fault.Invalid || kind == fault.Forbidden):
		t.Problem, t.Key = fault.Message(err), ""
		return ps.showHook(v, page.StatusOf(err), t)
	case err != nil:
		return err
	case fired.Declined:
		t.Problem, t.Key = "The hook wants no task for this payload: its template declines.", ""
		return ps.showHook(v, http.StatusOK, t)
	}
	return v.Redirect("/tasks/" + fired.TaskID)
}
