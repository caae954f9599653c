package ui

import (
	"encoding/json"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/ui/form"
)

const (
	hookFires = 50 // of the strip
	hookTimes = 5  // next ones
)

// hookFire is a fire on a hook's page.
type hookFire struct {
	hooks.LastFire
	Result hookResult
}

// hookRule is a line of the schedule.
type hookRule struct{ Text, Words string }

type hookView struct {
	hooks.Status
	Path        string
	Description template.HTML
	Rules       []hookRule
	Times       []time.Time
	HeldBack    bool // dates are left out because it keeps failing
	Trying      bool // it is tried again at Due
	TaskYAML    string
	SchemaYAML  string
	Role        string
	SeeFires    bool
	Fires       []hookFire
	MayTrigger  bool
	Why         string // why not
	Form        *form.Field
	Raw         bool
	Key, CSRF   string
	Problem     string
}

func hookOf(v *visit) (group, id string) { return v.r.PathValue("group"), v.r.PathValue("id") }

// hook shows a hook.
func (u *UI) hook(v *visit) error {
	return u.showHook(v, http.StatusOK, hookTry{raw: v.r.FormValue("raw") != ""})
}

// hookTry is how somebody filled the form in.
type hookTry struct {
	raw     bool
	key     string
	input   any
	wrong   []form.Problem
	problem string
	more    string
}

func (u *UI) showHook(v *visit, status int, t hookTry) error {
	group, id := hookOf(v)
	if err := v.allow(scope.String("hooks:get:" + group + ":" + id)); err != nil {
		return err
	}
	s, err := u.deps.Hooks.Status(v.r.Context(), group, id)
	if err != nil {
		return err
	}
	b := hookView{
		Status: s, Path: hookPath(group, id), Description: markdownOf(s.Metadata.Description), Role: s.Role(),
		Raw: t.raw, Key: t.key, CSRF: v.session.csrf(), Problem: t.problem,
	}
	if b.Key == "" {
		b.Key = slug.Nice()
	}
	b.times()
	if b.TaskYAML, err = yamlOfJSON(s.Task); err != nil {
		return err
	}
	if b.SchemaYAML, err = yamlOfJSON(s.TriggerSchema); err != nil {
		return err
	}
	if err := u.addFires(v, &b); err != nil {
		return err
	}
	if err := v.allow(triggerScope(group, id)); err != nil {
		b.Why = fault.Message(err)
	} else {
		b.MayTrigger = true
		b.addForm(v, t)
	}
	return v.show(status, view{Title: "Hook " + s.Name(), Name: "hook", Body: &b}, nil)
}

func triggerScope(group, id string) scope.Expr {
	return scope.String("hooks:trigger-hook:" + group + "/" + id)
}

// times fills in when the hook fires next.
func (b *hookView) times() {
	var all []*cron.Schedule
	for _, text := range b.Schedule {
		rule := hookRule{Text: text}
		if s, err := cron.Parse(text); err == nil {
			rule.Words = s.Words()
			all = append(all, s)
		}
		b.Rules = append(b.Rules, rule)
	}
	for at := b.Next; len(b.Times) < hookTimes && !at.IsZero(); at = cron.First(all, at) {
		b.Times = append(b.Times, at)
	}
	b.HeldBack = b.Failures >= hooks.Patience && len(all) > 0
	b.Trying = b.Failures > 0 && b.Due.After(b.Next)
}

// addFires adds the last fires, if the visitor may see them. An overview hides errors from others too.
func (u *UI) addFires(v *visit, b *hookView) error {
	if b.SeeFires = v.allow(seeFires(b.Group, b.ID)) == nil; !b.SeeFires {
		b.Last = nil
		return nil
	}
	list, err := u.deps.Hooks.LastFires(v.r.Context(), b.Group, b.ID, hooks.Mark{}, hookFires)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	ids := make([]string, len(list))
	for i, f := range list {
		ids[i] = f.TaskID
	}
	states, err := u.statusesOf(v, ids)
	if err != nil {
		return err
	}
	for _, f := range list {
		b.Fires = append(b.Fires, hookFire{f, v.resultOf(f, states)})
	}
	return nil
}

// schemaOf is the hook's triggerSchema as forms take it; plain tells that it wants no payload.
func schemaOf(h hooks.Hook) (schema map[string]any, plain bool) {
	if err := json.Unmarshal(h.TriggerSchema, &schema); err != nil {
		return map[string]any{}, false
	}
	properties, _ := schema["properties"].(map[string]any)
	return schema, len(properties) == 0 && schema["additionalProperties"] == false
}

func (b *hookView) addForm(v *visit, t hookTry) {
	schema, plain := schemaOf(b.Hook)
	switch {
	case plain:
		return
	case t.raw:
		b.Form = form.Raw(schema, t.input)
		if text := v.r.PostFormValue(b.Form.Name); text != "" {
			b.Form.Value = text
		}
	default:
		b.Form = form.New(schema, t.input)
		b.Form.Refill(v.r.PostForm)
		b.Form.AddTo(t.more, schema)
	}
	for _, p := range t.wrong {
		b.Form.Complain(p.Path, p.Message)
	}
}

// triggerHook fires a hook for a form.
func (u *UI) triggerHook(v *visit) error {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, 1<<20)
	if err := v.post(); err != nil {
		return err
	}
	group, id := hookOf(v)
	if err := v.allow(triggerScope(group, id)); err != nil {
		return err
	}
	h, err := u.deps.Hooks.Get(v.r.Context(), group, id)
	if err != nil {
		return err
	}
	t := hookTry{raw: v.r.PostFormValue("raw") != "", key: v.r.PostFormValue("key"), more: v.r.PostFormValue("more")}
	schema, plain := schemaOf(h)
	switch {
	case plain:
		t.input = map[string]any{}
	case t.raw:
		t.input, t.wrong = form.ReadRaw(v.r.PostForm)
	default:
		t.input, t.wrong = form.Read(schema, v.r.PostForm)
	}
	if t.more != "" { // only another item is wanted
		t.wrong = nil
		return u.showHook(v, http.StatusOK, t)
	}
	if len(t.wrong) > 0 {
		return u.showHook(v, http.StatusBadRequest, t)
	}
	return u.fireHook(v, h, t)
}

// fireHook fires once for each form that was shown: its key is the task's id.
func (u *UI) fireHook(v *visit, h hooks.Hook, t hookTry) error {
	if !slug.Valid(t.key) {
		t.key = slug.Nice()
	} else if _, err := u.deps.Queue.Status(v.r.Context(), t.key); err == nil {
		return v.redirect("/tasks/" + t.key) // pressed twice
	}
	if t.input == nil {
		t.input = map[string]any{}
	}
	body, err := json.Marshal(t.input)
	if err != nil {
		return err
	}
	fired, err := u.deps.Hooks.Fire(v.r.Context(), hooks.Fire{
		Group: h.Group, ID: h.ID, By: hooks.TriggerHook, ClientID: v.session.clientID, Payload: body, TaskID: t.key,
	})
	switch kind := fault.KindOf(err); {
	case kind == fault.Invalid && err != nil, kind == fault.Forbidden && err != nil:
		t.problem, t.key = fault.Message(err), ""
		return u.showHook(v, statusOf(err), t)
	case err != nil:
		return err
	case fired.Declined:
		t.problem, t.key = "The hook wants no task for this payload: its template declines.", ""
		return u.showHook(v, http.StatusOK, t)
	}
	return v.redirect("/tasks/" + url.PathEscape(fired.TaskID))
}

// yamlOfJSON shows JSON as people write it.
func yamlOfJSON(text json.RawMessage) (string, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return string(text), nil // a template that YAML cannot hold, such as one with odd escapes
	}
	plainStyle(&node)
	out, err := yaml.Marshal(&node)
	return string(out), err
}

// plainStyle takes JSON's braces and quotes away where YAML needs none.
func plainStyle(n *yaml.Node) {
	n.Style = 0
	for _, c := range n.Content {
		plainStyle(c)
	}
}
