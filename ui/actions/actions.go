package actions

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/cell"
	"github.com/treeline-ci/treeline/ui/form"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// Actions is what people may do with the tasks of a push. It answers with kinds of internal/fault.
type Actions interface {
	// Offered lists the actions on a task of a group, or with taskID "" on the group, in order.
	Offered(ctx context.Context, caller auth.Caller, groupID, taskID string) ([]Offer, error)
	// StartAction starts one and answers with the action task, or with what is wrong with the input.
	StartAction(ctx context.Context, caller auth.Caller, start Start) (taskID string, wrong []form.Problem, err error)
}

// Offer is an action, and whether the caller may start it.
type Offer struct {
	Name, Title, Description, Permission string
	Schema                               map[string]any // of the input; nil: there is none
	Allowed                              bool
	Why                                  string // why not
}

// Start is an action that somebody wants started.
type Start struct {
	GroupID, Name, TaskID string
	Input                 any
	Key                   string // the same from the same caller starts it once
}

// See is what one needs to see what is offered.
var See = scope.String("queue:get-artifact:public/actions.json")

// actionJSON is an action in a menu; shell/data.ts describes it.
type actionJSON struct {
	Name    string `json:"name"`
	Title   string `json:"title"`
	Href    string `json:"href"`
	Plain   bool   `json:"plain"`   // takes no input: one press starts it
	Grave   bool   `json:"grave"`   // asks before
	Allowed bool   `json:"allowed"` // by the visitor
	Why     string `json:"why"`

	DescriptionHTML template.HTML `json:"-"`
}

// aim is what an action is for.
type aim struct{ group, task string }

// aimOf reads a group from the path and a task from the query or the form.
func aimOf(v *page.Visit) (aim, error) {
	a := aim{v.R.PathValue("group"), v.R.FormValue("task")}
	if !slug.Valid(a.group) || a.task != "" && !slug.Valid(a.task) {
		return a, page.ErrNoPage
	}
	return a, nil
}

// path is the address of the page of an action, or with "" of the list.
func (a aim) path(name string) string {
	p := "/actions/" + a.group
	if name != "" {
		p += "/" + url.PathEscape(name)
	}
	if a.task != "" {
		p += "?task=" + a.task
	}
	return p
}

// back is the page of what the action is for.
func (a aim) back() string {
	if a.task != "" {
		return "/tasks/" + a.task
	}
	return "/tasks/groups/" + a.group
}

func (ps *Pages) offers(v *page.Visit, a aim) ([]Offer, error) {
	want := []string{"queue:get-artifact:public/actions.json"}
	if a.task != "" {
		want = append(want, "queue:get-task:"+a.task)
	}
	if err := v.Allow(scope.Strings(want...)); err != nil {
		return nil, err
	}
	if ps.Actions == nil {
		return nil, fault.New(fault.NotFound, "This server has no actions.")
	}
	return ps.Actions.Offered(v.R.Context(), v.Caller(), a.group, a.task)
}

// plain reports whether an action asks for nothing.
func (o Offer) plain() bool {
	properties, _ := o.Schema["properties"].(map[string]any)
	return o.Schema == nil || len(properties) == 0 && (o.Schema["type"] == "object" || o.Schema["type"] == nil) && o.Schema["additionalProperties"] == nil
}

// grave reports whether an action ends what others may wait for, or goes out of the house.
func (o Offer) grave() bool {
	return strings.HasPrefix(o.Name, "cancel") || o.Name == "release-promotion" || strings.Contains(o.Permission, "release")
}

func listed(list []Offer, a aim) []actionJSON {
	out := make([]actionJSON, len(list))
	for i, o := range list {
		out[i] = actionJSON{
			Name: o.Name, Title: o.Title, Href: a.path(o.Name), Plain: o.plain(), Grave: o.grave(), Allowed: o.Allowed, Why: o.Why,
			DescriptionHTML: prose.Markdown(o.Description),
		}
	}
	return out
}

// actionsData answers the script with what is offered.
func (ps *Pages) actionsData(v *page.Visit) (any, error) {
	a, err := aimOf(v)
	if err != nil {
		return nil, err
	}
	list, err := ps.offers(v, a)
	if err != nil {
		return nil, err
	}
	return map[string]any{"actions": listed(list, a), "all": a.path("")}, nil
}

// actionsView is a page about actions.
type actionsView struct {
	Aim, Back, BackText string
	Actions             []actionJSON
	Action              actionJSON
	Form                *form.Field
	Raw                 bool
	RawPath, FormPath   string
	Task, Group, Key    string
	CSRF                string
	Problem             string
	Repo                string
}

func (ps *Pages) view(v *page.Visit, a aim) (actionsView, error) {
	view := actionsView{Back: a.back(), BackText: "Task group", Aim: "the task group", Task: a.task, Group: a.group, CSRF: v.Session.CSRF()}
	if v.Allow(page.SeePushes) == nil {
		p, err := ps.Push.ByTaskGroup(v.R.Context(), a.group)
		if err == nil {
			view.Repo = p.Repository
			view.Aim, _, _ = strings.Cut(p.Message, "\n")
		} else if !errors.Is(err, fault.NotFound) {
			return view, err
		}
	}
	if a.task == "" {
		return view, nil
	}
	t, err := ps.Queue.Task(v.R.Context(), a.task)
	if err != nil {
		return view, err
	}
	view.Aim = cell.Name(t.Metadata.Name, a.task)
	view.BackText = view.Aim
	return view, nil
}

// actionList shows what may be done.
func (ps *Pages) actionList(v *page.Visit) error {
	a, err := aimOf(v)
	if err != nil {
		return err
	}
	list, err := ps.offers(v, a)
	if err != nil {
		return err
	}
	body, err := ps.view(v, a)
	if err != nil {
		return err
	}
	body.Actions = listed(list, a)
	return v.Show(http.StatusOK, page.View{Title: "Actions on " + body.Aim, Name: "actions", Main: "narrow", Repo: body.Repo, Body: body}, nil)
}

// find gives the offer of the path.
func (ps *Pages) find(v *page.Visit, a aim) (Offer, error) {
	list, err := ps.offers(v, a)
	if err != nil {
		return Offer{}, err
	}
	name := v.R.PathValue("name")
	if i := slices.IndexFunc(list, func(o Offer) bool { return o.Name == name }); i >= 0 {
		return list[i], nil
	}
	return Offer{}, fault.New(fault.NotFound, "There is no action %q for this.", name)
}

// actionForm shows the form of one action; one that takes no input asks whether it is meant.
func (ps *Pages) actionForm(v *page.Visit) error {
	a, err := aimOf(v)
	if err != nil {
		return err
	}
	o, err := ps.find(v, a)
	if err != nil {
		return err
	}
	return ps.showAction(v, http.StatusOK, a, o, attempt{raw: v.R.FormValue("raw") != "", key: slug.New()})
}

// attempt is how somebody filled a form in.
type attempt struct {
	raw     bool
	key     string
	input   any
	wrong   []form.Problem
	problem string // that belongs to no field
	more    string // the list to which an item is added
}

func (ps *Pages) showAction(v *page.Visit, status int, a aim, o Offer, t attempt) error {
	body, err := ps.view(v, a)
	if err != nil {
		return err
	}
	body.Action, body.Raw, body.Key, body.Problem = listed([]Offer{o}, a)[0], t.raw, t.key, t.problem
	body.FormPath = a.path(o.Name)
	body.RawPath = body.FormPath + "?raw=1"
	if a.task != "" {
		body.RawPath = body.FormPath + "&raw=1"
	}
	switch {
	case o.plain():
	case t.raw:
		body.Form = form.Raw(o.Schema, t.input)
		if text := v.R.PostFormValue(body.Form.Name); text != "" {
			body.Form.Value = text
		}
	default:
		body.Form = form.New(o.Schema, t.input)
		body.Form.Refill(v.R.PostForm)
		body.Form.AddTo(t.more, o.Schema)
	}
	for _, p := range t.wrong {
		if body.Form != nil {
			body.Form.Complain(p.Path, p.Message)
		} else {
			body.Problem = p.Message
		}
	}
	return v.Show(status, page.View{Title: o.Title + ": " + body.Aim, Name: "action", Main: "narrow", Repo: body.Repo, Body: body}, nil)
}

// startAction starts an action, for the script and for forms.
func (ps *Pages) startAction(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 1<<20)
	if err := v.Post(); err != nil {
		return err
	}
	a, err := aimOf(v)
	if err != nil {
		return err
	}
	o, err := ps.find(v, a)
	if err != nil {
		return err
	}
	t := attempt{raw: v.R.PostFormValue("raw") != "", key: v.R.PostFormValue("key"), more: v.R.PostFormValue("more")}
	switch {
	case o.plain():
	case t.raw:
		t.input, t.wrong = form.ReadRaw(v.R.PostForm)
	default:
		t.input, t.wrong = form.Read(o.Schema, v.R.PostForm)
	}
	if t.more != "" { // only another item is wanted
		t.wrong = nil
		return ps.showAction(v, http.StatusOK, a, o, t)
	}
	if len(t.wrong) > 0 {
		return ps.showAction(v, http.StatusBadRequest, a, o, t)
	}
	id, wrong, err := ps.Actions.StartAction(v.R.Context(), v.Caller(), Start{GroupID: a.group, Name: o.Name, TaskID: a.task, Input: t.input, Key: cmp.Or(t.key, slug.New())})
	if len(wrong) > 0 {
		t.wrong = wrong
		return ps.showAction(v, http.StatusBadRequest, a, o, t)
	}
	if err != nil {
		if k := fault.KindOf(err); k == fault.Invalid || k == fault.Conflict || k == fault.BadInput {
			t.problem = fault.Message(err)
			return ps.showAction(v, page.StatusOf(err), a, o, t)
		}
		return err
	}
	return v.Redirect("/tasks/" + id)
}

// startData starts an action without input, for the script.
func (ps *Pages) startData(v *page.Visit) (any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 64<<10)
	if err := v.Post(); err != nil {
		return nil, err
	}
	a, err := aimOf(v)
	if err != nil {
		return nil, err
	}
	o, err := ps.find(v, a)
	if err != nil {
		return nil, err
	}
	if !o.plain() {
		return nil, fault.New(fault.Invalid, "%s takes input: fill in its form.", o.Title)
	}
	id, wrong, err := ps.Actions.StartAction(v.R.Context(), v.Caller(), Start{GroupID: a.group, Name: o.Name, TaskID: a.task, Key: v.R.PostFormValue("key")})
	if len(wrong) > 0 {
		err = fault.New(fault.Invalid, "%s", wrong[0].Message)
	}
	return map[string]string{"taskId": id, "title": o.Title}, err
}
