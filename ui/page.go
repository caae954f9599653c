package ui

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/prose"
)

//go:embed html/*.html
var markup embed.FS

// visit is one request to a page, with who makes it.
type visit struct {
	ui      *UI
	w       http.ResponseWriter
	r       *http.Request
	session session
	have    scope.Set
}

// view is what the layout shows around a page's own part.
type view struct {
	Title  string
	Name   string // of the page, for the script
	Main   string // class of main
	Theme  string
	User   string
	CSRF   string
	Repo   string
	Repos  []push.Repository
	Query  string
	Here   string // path and query of this page, to come back to
	Assets assets
	About  string // version
	Stream string
	Boot   template.JS
	Body   any
}

// boot is what the script finds in the page; shell/data.ts describes it.
type boot struct {
	CSRF   string `json:"csrf"`
	User   string `json:"user"`
	Stream string `json:"stream"`
	Icons  string `json:"icons"`
	Data   any    `json:"data"`
}

var errNoPage = fault.New(fault.NotFound, "There is no page at this address.")

// begin finds out who asks.
func (u *UI) begin(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{ui: u, w: w, r: r}
	var err error
	if v.session, err = u.sessionOf(r); err != nil {
		return v, err
	}
	v.have = scope.NewSet(v.session.scopes)
	return v, nil
}

// page makes a handler of one that shows a page; an error becomes an error page.
func (u *UI) page(h func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := u.begin(w, r)
		if err == nil {
			err = h(v)
		}
		if err != nil {
			u.fail(v, err)
		}
	})
}

// data makes a handler of one that answers the script; it answers nil by itself.
func (u *UI) data(h func(*visit) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := u.begin(w, r)
		var answer any
		if err == nil {
			answer, err = h(v)
		}
		if err != nil {
			u.failData(v, err)
			return
		}
		if answer != nil {
			u.writeJSON(v, http.StatusOK, answer)
		}
	})
}

func (u *UI) writeJSON(v *visit, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		u.log.ErrorContext(v.r.Context(), "an answer cannot be written", "path", v.r.URL.Path, "error", err)
		http.Error(v.w, `{"message":"Internal error."}`, http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body) // the browser may have gone
}

// allow returns a fault.Forbidden with what is missing, unless the visitor's scopes satisfy want.
func (v *visit) allow(want scope.Expr) error {
	return v.have.Check(v.session.clientID, v.session.clientID == "", want)
}

// post reports an error unless the request carries the session's token against forged requests.
func (v *visit) post() error {
	given := v.r.Header.Get("X-CSRF")
	if given == "" {
		given = v.r.PostFormValue("csrf")
	}
	if !v.session.checkCSRF(given) {
		return fault.New(fault.Forbidden, "This form is too old: you have signed in or out since. Reload the page and try again.")
	}
	return nil
}

// redirect sends the browser on, after a form with GET.
func (v *visit) redirect(to string) error {
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// show renders a page: its template inside the layout. data goes to the script, body to the template.
func (v *visit) show(status int, w view, data any) error {
	u, r := v.ui, v.r
	w.Theme, w.User, w.CSRF = themeOf(r), v.session.clientID, v.session.csrf()
	w.Assets, w.About, w.Here = u.assets, u.deps.Version, r.URL.RequestURI()
	if r.Method != http.MethodGet {
		w.Here = "/"
	}
	if v.allow(seePushes) == nil {
		repos, err := u.deps.Push.Repositories(r.Context())
		if err != nil {
			return err
		}
		w.Repos = repos
	}
	script, err := json.Marshal(boot{w.CSRF, w.User, w.Stream, "/ui/assets/" + u.assets.Icons, data})
	if err != nil {
		return fmt.Errorf("ui: data of %s: %w", w.Name, err)
	}
	w.Boot = template.JS(script) // json.Marshal escapes <, > and &
	var out bytes.Buffer
	if err := u.pages[w.Name].ExecuteTemplate(&out, "layout", w); err != nil {
		return fmt.Errorf("ui: page %s: %w", w.Name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Cache-Control", "no-store")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(out.Bytes()) // the browser may have gone
	return nil
}

// parsePages joins the layout with each page.
func parsePages() (map[string]*template.Template, error) {
	files, err := markup.ReadDir("html")
	if err != nil {
		return nil, fmt.Errorf("ui: templates: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), path.Ext(f.Name()))
		if name == "layout" || name == "parts" || name == "fields" {
			continue
		}
		t, err := template.New(name).Funcs(funcs()).ParseFS(markup, "html/layout.html", "html/parts.html", "html/fields.html", "html/"+f.Name())
		if err != nil {
			return nil, fmt.Errorf("ui: templates: %w", err)
		}
		pages[name] = t
	}
	return pages, nil
}

func funcs() template.FuncMap {
	return template.FuncMap{
		"short": func(revision string) string { return revision[:min(10, len(revision))] },
		"subject": func(message string) string {
			line, _, _ := strings.Cut(message, "\n")
			return line
		},
		"when":     when,
		"size":     sizeText,
		"states":   shownStates,
		"word":     prose.Word,
		"passages": passages,
		"acticon": func(name string) string {
			return map[string]string{"rerun": "rerun", "cancel": "stop", "schedule": "play"}[name]
		},
		"icon": func(file, name string, class ...string) iconView {
			return iconView{file, name, strings.Join(class, " ")}
		},
		"mark":   prose.Markdown,
		"has":    func(list []string, s string) bool { return slices.Contains(list, s) },
		"status": func(icons, state, text string) statusView { return statusView{icons, state, text} },
		"counts": func(icons string, list []tally) countsView { return countsView{icons, list} },
		"failure": func(icons string, err *push.Error, state push.State) failureView {
			return failureView{icons, err, state != push.Failed} // what was decided all the same is told, not warned of
		},
	}
}

// What the parts that several pages share are given.
type (
	iconView   struct{ File, Name, Class string }
	statusView struct{ Icons, State, Text string }
	countsView struct {
		Icons  string
		Counts []tally
	}
	failureView struct {
		Icons   string
		Error   *push.Error
		Ignored bool
	}
)

// passage is a part of an error's message; the parts in fences are code.
type passage struct {
	Code bool
	Text string
}

func passages(message string) []passage {
	var out []passage
	for i, text := range strings.Split(message, "```") {
		if text = strings.Trim(text, "\n"); text != "" {
			out = append(out, passage{i%2 == 1, text})
		}
	}
	return out
}

// stamp is an instant for a <time> element.
type stamp struct{ ISO, Text string }

func when(at any) stamp {
	var t time.Time
	switch at := at.(type) {
	case time.Time:
		t = at
	case *time.Time:
		t = *at
	case task.Time:
		t = at.Time
	case int64:
		t = time.UnixMilli(at)
	}
	t = t.UTC()
	return stamp{t.Format(time.RFC3339), t.Format("2 Jan 2006 15:04")}
}

func sizeText(n int64) string {
	if n < 0 {
		return ""
	}
	f := float64(n)
	for _, unit := range []string{"B", "KB", "MB", "GB"} {
		if f < 999.5 {
			if unit == "B" || f >= 10 {
				return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
			}
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		}
		f /= 1000
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " TB"
}

// statusOf is the HTTP status of an error.
func statusOf(err error) int {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Malformed, fault.BadArguments, fault.BadInput:
		return http.StatusBadRequest
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Gone:
		return http.StatusGone
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// problem is what an error page says.
type problem struct {
	Status  int
	Head    string
	Message string
	SignIn  bool // signing in may help
}

func (u *UI) explain(v *visit, err error) problem {
	p := problem{Status: statusOf(err), Message: fault.Message(err)}
	switch p.Status {
	case http.StatusNotFound:
		p.Head = "Not found"
	case http.StatusGone:
		p.Head = "Expired"
	case http.StatusForbidden, http.StatusUnauthorized:
		p.Head, p.SignIn = "Not allowed", v.session.clientID == ""
	case http.StatusInternalServerError:
		p.Head = "Something broke"
		u.log.ErrorContext(v.r.Context(), "a page failed", "path", v.r.URL.Path, "error", err)
	case http.StatusServiceUnavailable:
		p.Head = "Not now"
	default:
		p.Head = "That does not work"
	}
	return p
}

func (u *UI) fail(v *visit, err error) {
	if v.r.Context().Err() != nil && errors.Is(err, v.r.Context().Err()) {
		return // nobody waits for the answer
	}
	p := u.explain(v, err)
	if err := v.show(p.Status, view{Title: p.Head, Name: "error", Main: "narrow", Body: p}, nil); err != nil {
		u.log.ErrorContext(v.r.Context(), "the error page failed", "error", err)
		http.Error(v.w, p.Message, p.Status)
	}
}

func (u *UI) failData(v *visit, err error) {
	if v.r.Context().Err() != nil && errors.Is(err, v.r.Context().Err()) {
		return
	}
	p := u.explain(v, err)
	u.writeJSON(v, p.Status, map[string]string{"message": p.Message})
}
