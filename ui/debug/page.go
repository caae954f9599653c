package debug

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/ui/page"
)

// view is the page.
type view struct {
	Names    []string
	Repo     string
	Bench    *Bench
	Occasion string
	File     string // the one in the text area
	Text     string
	Edited   map[string]string // the others that were edited
	Event    string
	Params   string
	Why      string
	CSRF     string
	Outcome  *Outcome
	Problem  string
}

// bootData is what the script needs; ui/src/debug describes it.
type bootData struct {
	Repository string     `json:"repository"`
	Ref        string     `json:"ref"`
	Occasions  []Occasion `json:"occasions"`
	Files      []string   `json:"files"`
	Occasion   string     `json:"occasion"`
	File       string     `json:"file"`
	Outcome    *Outcome   `json:"outcome"`
	Plain      bool       `json:"plain"`
}

const maxBody = 8 << 20

// see is what reading a repository's files asks for, whatever keeps it.
func see(v *page.Visit, repository string) error {
	return v.Allow(scope.Strings("events:read", "localgit:fetch:"+repository))
}

// page shows the bench of a repository, and for the form of people without script what would come of a try.
func (ps *Pages) page(v *page.Visit) error {
	if ps.Lab == nil {
		return page.ErrNoPage
	}
	if err := v.Allow(page.SeePushes); err != nil {
		return err
	}
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxBody)
	names, err := ps.Repositories(v.R.Context())
	if err != nil {
		return err
	}
	w := view{Names: names, Repo: v.R.FormValue("repo"), CSRF: v.Session.CSRF()}
	if w.Repo == "" {
		return v.Show(http.StatusOK, page.View{Title: "Try a configuration", Name: "debug", Main: "wide", Body: w}, nil)
	}
	if err := see(v, w.Repo); err != nil {
		return err
	}
	if err := ps.fill(v, &w); err != nil {
		return err
	}
	data := bootData{
		Repository: w.Repo, Ref: w.Bench.Ref, Occasions: w.Bench.Occasions, Files: w.Bench.Files, Occasion: w.Occasion, File: w.File, Outcome: w.Outcome,
		Plain: v.R.URL.Query().Get("editor") == "plain",
	}
	return v.Show(http.StatusOK, page.View{Title: "Try the configuration of " + w.Repo, Name: "debug", Main: "wide", Repo: w.Repo, Body: w}, data)
}

// fill reads what the page shows.
func (ps *Pages) fill(v *page.Visit, w *view) error {
	ctx, r := v.R.Context(), v.R
	bench, err := ps.Lab.Bench(ctx, w.Repo, r.FormValue("ref"))
	if err != nil {
		return err
	}
	w.Bench = &bench
	w.Occasion, w.File = r.FormValue("event"), r.FormValue("file")
	if w.Occasion == "" {
		w.Occasion = bench.Occasions[0].ID
	}
	if w.File == "" {
		w.File = ConfigFile
	}
	w.Event, w.Params, w.Why = r.PostFormValue("body"), r.PostFormValue("parameters"), r.FormValue("why")
	w.Edited = map[string]string{}
	if kept := r.PostFormValue("edited"); kept != "" {
		if err := json.Unmarshal([]byte(kept), &w.Edited); err != nil {
			return fault.New(fault.BadArguments, "The edited files of the form cannot be read.")
		}
	}
	if before := r.PostFormValue("before"); before != "" && r.PostForm.Has("text") {
		w.Edited[before] = strings.ReplaceAll(r.PostFormValue("text"), "\r\n", "\n")
	}
	text, edited := w.Edited[w.File]
	if !edited {
		if text, err = ps.Lab.File(ctx, w.Repo, bench.Ref, w.File); err != nil {
			return err
		}
	}
	w.Text = text
	if bench.Starter, err = ps.starter(v, w); err != nil {
		return err
	}
	out, err := ps.Lab.Try(ctx, Request{
		Repository: w.Repo, Ref: bench.Ref, Occasion: w.Occasion, Event: w.Event, TasksFor: r.FormValue("tasksFor"), Files: w.Edited, Parameters: w.Params, Why: w.Why,
	})
	if kind := fault.KindOf(err); kind == fault.Invalid || kind == fault.BadArguments || kind == fault.TooLarge || kind == fault.Unavailable {
		w.Problem = fault.Message(err)
		return nil
	}
	w.Outcome = &out
	return err
}

// starter takes the files of the quickstart in the place of the repository's, if that is wanted.
func (ps *Pages) starter(v *page.Visit, w *view) (map[string]string, error) {
	if v.R.URL.Query().Get("starter") == "" || ps.Starter == nil {
		return nil, nil
	}
	files, err := ps.Starter(v.R.Context(), w.Repo)
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		w.Edited[name] = text
	}
	w.Text = w.Edited[w.File]
	return files, nil
}

// EditedJSON is what a form carries along.
func (w view) EditedJSON() (string, error) {
	text, err := json.Marshal(w.Edited)
	return string(text), err
}

// tryData answers the script.
func (ps *Pages) tryData(v *page.Visit) (any, error) {
	if ps.Lab == nil {
		return nil, page.ErrNoPage
	}
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxBody)
	var r Request
	if err := json.Unmarshal([]byte(v.R.PostFormValue("request")), &r); err != nil {
		return nil, fault.New(fault.BadArguments, "The request cannot be read.")
	}
	if err := see(v, r.Repository); err != nil {
		return nil, err
	}
	return ps.Lab.Try(v.R.Context(), r)
}

func (ps *Pages) eventData(v *page.Visit) (any, error) {
	repo, err := ps.asked(v)
	if err != nil {
		return nil, err
	}
	return ps.Lab.Event(v.R.Context(), repo, v.R.FormValue("ref"), v.R.FormValue("event"))
}

func (ps *Pages) fileData(v *page.Visit) (any, error) {
	repo, err := ps.asked(v)
	if err != nil {
		return nil, err
	}
	text, err := ps.Lab.File(v.R.Context(), repo, v.R.FormValue("ref"), v.R.FormValue("file"))
	return map[string]string{"text": text}, err
}

func (ps *Pages) asked(v *page.Visit) (string, error) {
	repo := v.R.FormValue("repo")
	if ps.Lab == nil {
		return "", page.ErrNoPage
	}
	return repo, see(v, repo)
}
