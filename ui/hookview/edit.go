package hookview

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/hooks"
	"github.com/treeline-ci/treeline/hooks/cron"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/editor"
	"github.com/treeline-ci/treeline/ui/page"
)

// Draft is a hook as somebody writes it into the form.
type Draft struct {
	Group, ID, Name, Owner, Description string
	Email                               bool
	Schedule                            string // an expression a line
	Bindings                            string // exchange and pattern, a binding a line
	Task, Schema                        string // YAML
	Sample                              string // payload for the preview, YAML
	By                                  string // what fires it in the preview
}

// draftOf writes a hook for the form.
func draftOf(h hooks.Hook) Draft {
	d := Draft{
		Group: h.Group, ID: h.ID, Name: h.Metadata.Name, Owner: h.Metadata.Owner, Description: h.Metadata.Description, Email: h.Metadata.EmailOnError,
		Schedule: strings.Join(h.Schedule, "\n"), Task: editor.YAML(h.Task), Schema: editor.YAML(h.TriggerSchema), By: string(hooks.TriggerHook),
	}
	for _, b := range h.Bindings {
		d.Bindings += b.Exchange + " " + b.RoutingKeyPattern + "\n"
	}
	return d
}

// blank is what a new hook begins with.
func blank() Draft {
	return Draft{Email: true, By: string(hooks.TriggerHook), Task: `taskQueueId: local/linux
created: {$fromNow: 0 seconds}
deadline: {$fromNow: 2 hours}
payload:
  command:
    - [sh, -c, echo hello]
  maxRunTime: 600
metadata:
  name: A task of a hook
  description: Says hello.
  owner: nobody@example.com
  source: https://example.com
`, Schema: "type: object\nproperties: {}\nadditionalProperties: false\n"}
}

// readDraft reads the form.
func readDraft(f url.Values) Draft {
	text := func(name string) string { return strings.ReplaceAll(f.Get(name), "\r\n", "\n") }
	return Draft{
		Group: strings.TrimSpace(text("group")), ID: strings.TrimSpace(text("id")), Name: text("name"), Owner: strings.TrimSpace(text("owner")),
		Description: text("description"), Email: f.Get("email") != "", Schedule: text("schedule"), Bindings: text("bindings"), Task: text("task"),
		Schema: text("schema"), Sample: text("sample"), By: text("by"),
	}
}

// Complaint is what is wrong with a field of the form.
type Complaint struct {
	Field   string `json:"field"`
	Line    int    `json:"line"`
	Message string `json:"message"`
}

// Report is what there is to say of a draft.
type Report struct {
	Complaints []Complaint `json:"complaints"`
	Rules      []Rule      `json:"rules"`
	Times      []time.Time `json:"times"`
	Preview    string      `json:"preview"`  // the task, in YAML
	Declined   bool        `json:"declined"` // the template wants no task
	Trouble    string      `json:"trouble"`  // why there is no preview
	Diff       []DiffLine  `json:"diff"`
	Changed    bool        `json:"changed"`

	hook hooks.Hook
}

// hook reads a draft; complaints say what is none.
func (d Draft) hook() (h hooks.Hook, list []Complaint) {
	h = hooks.Hook{Group: d.Group, ID: d.ID, Metadata: hooks.Metadata{Name: d.Name, Owner: d.Owner, Description: d.Description, EmailOnError: d.Email}, Schedule: []string{}, Bindings: []hooks.Binding{}}
	for i, line := range strings.Split(d.Schedule, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := cron.Parse(line); err != nil {
			list = append(list, Complaint{"schedule", i + 1, err.Error()})
		}
		h.Schedule = append(h.Schedule, line)
	}
	for i, line := range strings.Split(d.Bindings, "\n") {
		words := strings.Fields(line)
		switch len(words) {
		case 0:
		case 2:
			h.Bindings = append(h.Bindings, hooks.Binding{Exchange: words[0], RoutingKeyPattern: words[1]})
		default:
			list = append(list, Complaint{"bindings", i + 1, "A binding is an exchange and a routing key pattern, with a space between."})
		}
	}
	for _, part := range []struct {
		field, text string
		to          *json.RawMessage
	}{{"task", d.Task, &h.Task}, {"schema", d.Schema, &h.TriggerSchema}} {
		doc, problems := editor.Parse(part.text)
		for _, p := range problems {
			list = append(list, Complaint{part.field, p.Line, p.Message})
		}
		if doc == nil {
			continue
		}
		body, err := doc.JSONText() // in the order of its keys, as it will be shown again
		if err != nil {
			list = append(list, Complaint{part.field, 1, err.Error()})
		}
		*part.to = json.RawMessage(strings.TrimSpace(body))
	}
	return h, list
}

// report checks a draft; old is the hook as it is, nil for a new one.
func (ps *Pages) report(d Draft, old *hooks.Hook, clientID string, now time.Time) *Report {
	r := &Report{Rules: []Rule{}, Times: []time.Time{}, Diff: []DiffLine{}}
	r.hook, r.Complaints = d.hook()
	if r.Complaints == nil {
		r.Complaints = []Complaint{}
	}
	var all []*cron.Schedule
	for _, text := range r.hook.Schedule {
		rule := Rule{Text: text}
		if s, err := cron.Parse(text); err == nil {
			rule.Words = s.Words()
			all = append(all, s)
		}
		r.Rules = append(r.Rules, rule)
	}
	for at := cron.First(all, now); len(r.Times) < maxTimes && !at.IsZero(); at = cron.First(all, at) {
		r.Times = append(r.Times, at.UTC())
	}
	if len(r.Complaints) == 0 {
		if _, err := ps.Hooks.Check(&r.hook, now); err != nil {
			r.Complaints = append(r.Complaints, Complaint{fieldOf(err), 0, fault.Message(err)})
		}
	}
	if len(r.hook.Task) > 0 {
		r.preview(d, clientID, now)
	}
	r.Diff = difference(old, r.hook)
	for _, line := range r.Diff {
		r.Changed = r.Changed || line.Kind != " "
	}
	return r
}

func fieldOf(err error) string {
	text := fault.Message(err)
	for field, word := range map[string]string{
		"group": "hookGroupId", "id": "hookId", "owner": "owner", "name": "name of the hook", "description": "description", "bindings": "inding", "task": "template",
		"schema": "triggerSchema", "schedule": "schedule",
	} {
		if strings.Contains(text, word) {
			return field
		}
	}
	return ""
}

// preview renders the template for the sample.
func (r *Report) preview(d Draft, clientID string, now time.Time) {
	sample := json.RawMessage("{}")
	if strings.TrimSpace(d.Sample) != "" {
		doc, problems := editor.Parse(d.Sample)
		if doc == nil {
			r.Trouble = "The sample payload cannot be read: " + problems[0].Message
			return
		}
		body, err := doc.JSON()
		if err != nil {
			r.Trouble = err.Error()
			return
		}
		sample = body
	}
	made, err := hooks.Preview(r.hook, hooks.FiredBy(d.By), sample, clientID, now)
	switch {
	case err != nil:
		r.Trouble = fault.Message(err)
	case made == nil:
		r.Declined = true
	default:
		r.Preview = editor.YAML(made)
	}
}

// editing is the page with the editor.
type editing struct {
	Draft
	CSRF, Path, Title, Seen string
	New                     bool
	Report                  *Report
	Review                  bool // the difference is shown, to be saved
	Problem                 string
	Conflict                []DiffLine // what somebody else changed meanwhile
	Why                     string     // why they may not
	Back                    string
}

func modify(group, id string) scope.Expr {
	return scope.Strings("hooks:modify-hook:"+group+"/"+id, "assume:hook-id:"+group+"/"+id)
}

// createForm shows the form of a new hook, perhaps with what another one has.
func (ps *Pages) createForm(v *page.Visit) error {
	f := editing{Draft: blank(), New: true}
	if from := v.R.URL.Query().Get("from"); from != "" {
		group, id, _ := strings.Cut(from, "/")
		if err := v.Allow(scope.String("hooks:get:" + group + ":" + id)); err != nil {
			return err
		}
		h, err := ps.Hooks.Get(v.R.Context(), group, id)
		if err != nil {
			return err
		}
		f.Draft = draftOf(h)
		f.ID += "-copy"
	}
	return ps.showForm(v, http.StatusOK, f, nil)
}

// editForm shows the form of a hook.
func (ps *Pages) editForm(v *page.Visit, group, id string) error {
	if err := v.Allow(scope.String("hooks:get:" + group + ":" + id)); err != nil {
		return err
	}
	h, err := ps.Hooks.Get(v.R.Context(), group, id)
	if err != nil {
		return err
	}
	return ps.showForm(v, http.StatusOK, editing{Draft: draftOf(h), Seen: h.Version()}, &h)
}

func (ps *Pages) showForm(v *page.Visit, status int, f editing, old *hooks.Hook) error {
	f.CSRF, f.Path, f.Back = v.Session.CSRF(), "/hooks/create", "/hooks"
	f.Title = "A new hook"
	if !f.New {
		f.Path, f.Back, f.Title = Path(f.Group, f.ID)+"?tab=edit", Path(f.Group, f.ID), "Edit "+f.Group+"/"+f.ID
	}
	if f.Report == nil {
		f.Report = ps.report(f.Draft, old, v.Session.ClientID, time.Now())
	}
	if !f.New || f.Group != "" && f.ID != "" {
		if err := v.Allow(modify(f.Group, f.ID)); err != nil {
			f.Why = fault.Message(err)
		}
	}
	return v.Show(status, page.View{Title: f.Title, Name: "hookedit", Main: "wide", Body: f}, map[string]any{"path": "/ui/api/hooks/check", "name": f.Path, "plain": v.R.URL.Query().Get("editor") == "plain"})
}

// save takes the form: it shows what would change, and then changes it.
func (ps *Pages) save(v *page.Visit, fresh bool) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 8<<20)
	ctx := v.R.Context()
	d := readDraft(postForm(v))
	if !fresh {
		d.Group, d.ID = v.R.PathValue("group"), v.R.PathValue("id")
	}
	f := editing{Draft: d, New: fresh, Seen: v.R.PostFormValue("seen")}
	var old *hooks.Hook
	if !fresh {
		h, err := ps.Hooks.Get(ctx, d.Group, d.ID)
		if err != nil {
			return err
		}
		old = &h
	}
	f.Report = ps.report(d, old, v.Session.ClientID, time.Now())
	switch v.R.PostFormValue("do") {
	case "check":
		return ps.showForm(v, http.StatusOK, f, old)
	case "review":
		f.Review = len(f.Report.Complaints) == 0
		status := http.StatusOK
		if !f.Review {
			status = http.StatusBadRequest
		}
		return ps.showForm(v, status, f, old)
	}
	err := v.Post()
	if err == nil {
		err = v.Allow(modify(d.Group, d.ID))
	}
	if err == nil && len(f.Report.Complaints) > 0 {
		err = fault.New(fault.Invalid, "Nothing was saved: something is wrong with it.")
	}
	if err == nil && fresh {
		_, err = ps.Hooks.Create(ctx, v.Session.ClientID, f.Report.hook)
	} else if err == nil {
		_, err = ps.Hooks.Replace(ctx, v.Session.ClientID, f.Report.hook, f.Seen)
	}
	if err == nil {
		return v.Redirect(Path(d.Group, d.ID))
	}
	f.Problem = fault.Message(err)
	if errors.Is(err, fault.Conflict) && old != nil {
		f.Conflict, f.Seen = f.Report.Diff, old.Version()
	}
	return ps.showForm(v, page.StatusOf(err), f, old)
}

func postForm(v *page.Visit) url.Values {
	_ = v.R.ParseForm() // what cannot be read is missing, and said so
	return v.R.PostForm
}

// checkData answers the script while somebody types.
func (ps *Pages) checkData(v *page.Visit) (any, error) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, 8<<20)
	d := readDraft(postForm(v))
	var old *hooks.Hook
	if v.R.PostFormValue("seen") != "" && v.Allow(scope.String("hooks:get:"+d.Group+":"+d.ID)) == nil {
		h, err := ps.Hooks.Get(v.R.Context(), d.Group, d.ID)
		if err != nil {
			return nil, err
		}
		old = &h
	}
	return ps.report(d, old, v.Session.ClientID, time.Now()), nil
}

// command pauses, resumes and deletes.
func (ps *Pages) command(v *page.Visit, do string) error {
	if err := v.Post(); err != nil {
		return err
	}
	group, id := v.R.PathValue("group"), v.R.PathValue("id")
	if err := v.Allow(modify(group, id)); err != nil {
		return err
	}
	act := map[string]func(ctx context.Context, actor, group, id string) error{"pause": ps.Hooks.Pause, "resume": ps.Hooks.Resume, "delete": ps.Hooks.Remove}[do]
	if err := act(v.R.Context(), v.Session.ClientID, group, id); err != nil {
		return err
	}
	if do == "delete" {
		return v.Redirect("/hooks")
	}
	return v.Redirect(Path(group, id))
}
