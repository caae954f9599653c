package create

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/scopes"
	"github.com/treeline-ci/treeline/ui/editor"
	"github.com/treeline-ci/treeline/ui/page"
	"github.com/treeline-ci/treeline/ui/prose"
)

// view is the page of a definition under way.
type view struct {
	Text, Key, CSRF, Path, From string
	Report                      *Report
	Checked                     bool // somebody asked for it
	Problem, SignIn             string
	Interactive                 bool
	Plain                       bool
	Help                        []editor.Help
}

// bootData is what the script needs; ui/src/create describes it.
type bootData struct {
	Key     string        `json:"key"`
	From    string        `json:"from"`
	Help    []editor.Help `json:"help"`
	Generic []editor.Help `json:"generic"` // of payloads, by dialect
	Docker  []editor.Help `json:"docker"`
	RootURL string        `json:"rootUrl"`
	Plain   bool          `json:"plain"` // a text area is wanted
	Fresh   bool          `json:"fresh"` // the text is what the page begins with
}

// page shows the editor: empty, or with the definition of a task.
func (ps *Pages) page(v *page.Visit) error {
	q := v.R.URL.Query()
	from, now := q.Get("from"), time.Now()
	text := blank(now)
	if from != "" {
		if !slug.Valid(from) {
			return fault.New(fault.BadArguments, "from must be the id of a task, not %q.", from)
		}
		if err := v.Allow(scope.String("queue:get-task:" + from)); err != nil {
			return err
		}
		d, err := ps.Queue.Task(v.R.Context(), from)
		if err != nil {
			return err
		}
		d.ProvisionerID, d.WorkerType = "", ""
		if text, err = prose.YAML(d); err != nil {
			return err
		}
		if text, err = without(text, "provisionerId", "workerType"); err != nil {
			return err
		}
		if text, err = change(text, toNow, now); err != nil {
			return err
		}
	}
	asked := q.Get("interactive") == "1"
	if asked {
		var err error
		if text, err = change(text, toInteractive, now); err != nil {
			return err
		}
	}
	return ps.show(v, http.StatusOK, view{Text: text, Key: slug.Nice(), From: from, Interactive: asked}, true)
}

func without(text string, keys ...string) (string, error) {
	doc, problems := editor.Parse(text)
	if doc == nil {
		return "", errors.New(problems[0].Message)
	}
	e, err := doc.Edit(text)
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		e.Delete(key)
	}
	return e.Text()
}

func (ps *Pages) show(v *page.Visit, status int, w view, fresh bool) error {
	w.CSRF, w.Path = v.Session.CSRF(), "/tasks/create"
	q := url.Values{}
	if w.From != "" {
		q.Set("from", w.From)
	}
	if w.Interactive {
		q.Set("interactive", "1")
	}
	here := w.Path
	if len(q) > 0 {
		here += "?" + q.Encode()
	}
	w.Plain = v.R.URL.Query().Get("editor") == "plain"
	if w.Report == nil {
		w.Report = ps.check(w.Text, w.Key, v.Have, time.Now())
	}
	if v.Session.ClientID == "" {
		w.SignIn = "/login?" + url.Values{"next": {here}}.Encode()
	}
	w.Help = append(ps.schema.Help(""), ps.payloads[0].Help("payload")...)
	data := bootData{
		Key: w.Key, From: w.From, Help: ps.schema.Help(""), Generic: ps.payloads[0].Help("payload"), Docker: ps.payloads[1].Help("payload"),
		RootURL: ps.RootURL, Plain: w.Plain, Fresh: fresh,
	}
	return v.Show(status, page.View{Title: "Create a task", Name: "create", Main: "wide", Body: w}, data)
}

const maxBody = 2 * editor.MaxBytes

// send takes the form of people without script: it creates, checks, or changes the text.
func (ps *Pages) send(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxBody)
	w := view{Text: v.R.PostFormValue("text"), Key: keyOf(v.R.PostFormValue("key")), From: v.R.PostFormValue("from")}
	w.Interactive = v.R.PostFormValue("interactive") == "1"
	do := v.R.PostFormValue("do")
	if do != "" && do != "create" && do != "check" {
		text, err := change(w.Text, do, time.Now())
		if err != nil {
			w.Problem = fault.Message(err)
			return ps.show(v, http.StatusBadRequest, w, false)
		}
		w.Text, w.Interactive = text, w.Interactive || do == toInteractive
		return ps.show(v, http.StatusOK, w, false)
	}
	w.Report, w.Checked = ps.check(w.Text, w.Key, v.Have, time.Now()), true
	if do == "check" {
		return ps.show(v, http.StatusOK, w, false)
	}
	if err := ps.create(v, w.Report, w.Key); err != nil {
		w.Problem = fault.Message(err)
		return ps.show(v, page.StatusOf(err), w, false)
	}
	return v.Redirect("/tasks/" + w.Key)
}

// create creates the task of a report. The same key and definition again is the same task.
func (ps *Pages) create(v *page.Visit, r *Report, key string) error {
	if err := v.Post(); err != nil {
		return err
	}
	if r.faulty() {
		p := r.Problems[0]
		return fault.New(fault.Invalid, "Nothing was created. Line %d: %s", p.Line, p.Message)
	}
	if err := v.Allow(scopes.Create(r.definition)); err != nil {
		return err
	}
	_, err := ps.Queue.Create(v.R.Context(), key, r.definition)
	return err
}

func (ps *Pages) body(v *page.Visit) (text, key string) {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxBody)
	return v.R.PostFormValue("text"), keyOf(v.R.PostFormValue("key"))
}

// checkData answers the editor while somebody types.
func (ps *Pages) checkData(v *page.Visit) (any, error) {
	text, key := ps.body(v)
	return ps.check(text, key, v.Have, time.Now()), nil
}

func (ps *Pages) changeData(v *page.Visit) (any, error) {
	text, _ := ps.body(v)
	out, err := change(text, v.R.PostFormValue("do"), time.Now())
	return map[string]string{"text": out}, err
}

// createData creates for the script, which keeps the text when this fails.
func (ps *Pages) createData(v *page.Visit) (any, error) {
	text, key := ps.body(v)
	r := ps.check(text, key, v.Have, time.Now())
	if err := ps.create(v, r, key); err != nil {
		return nil, err
	}
	return map[string]string{"taskId": key}, nil
}
