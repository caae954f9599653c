// Package ghpage is the face of the double of GitHub for people: a small site on which a browser opens pull requests,
// presses the buttons of check runs, and causes outages, each as one of three people. It shows what an App told as
// GitHub shows it, and nothing besides.
//
// It is meant for one developer on one machine: whoever reaches it may do everything.
package ghpage

import (
	"bytes"
	"embed"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/treeline-ci/treeline/internal/ghfake"
)

//go:embed site
var files embed.FS

// Person is one of those who act.
type Person struct{ Login, Role, Says string }

// People are who a visitor may be: the first may write to the repositories of the double.
func People() []Person {
	return []Person{
		{"ada", "write", "may write"}, {"rita", "read", "may only read"}, {"stranger", "none", "is an outsider, with a fork"},
	}
}

const personCookie = "person"

// Site is the site of a double. It is safe for concurrent use.
type Site struct {
	gh    *ghfake.Server
	log   *slog.Logger
	pages *template.Template
	style []byte
	code  []byte

	mu     sync.Mutex
	queued map[string]*ghfake.MergeGroup // by repository#number
}

// New returns the site; it is what ghfake.Options.Site wants.
func New(gh *ghfake.Server) http.Handler {
	s := &Site{gh: gh, log: gh.Log, queued: map[string]*ghfake.MergeGroup{}}
	s.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"short": func(sha string) string { return sha[:min(len(sha), 10)] }, "markdown": markdown,
		"subject": func(text string) string { line, _, _ := strings.Cut(text, "\n"); return line },
		"clock":   func(t time.Time) string { return t.Format("15:04:05") },
		"at": func(checks checksView, here string) any {
			return struct {
				Checks checksView
				Here   string
			}{checks, here}
		},
	}).ParseFS(files, "site/*.html"))
	s.style, _ = files.ReadFile("site/style.css") // it is embedded
	s.code, _ = files.ReadFile("site/page.js")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page(s.home))
	mux.HandleFunc("GET /-/style.css", serve("text/css; charset=utf-8", s.style))
	mux.HandleFunc("GET /-/page.js", serve("text/javascript; charset=utf-8", s.code))
	mux.HandleFunc("GET /-/icon.svg", serve("image/svg+xml", []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="#8250df"/><circle cx="8" cy="8" r="3" fill="#fff"/></svg>`)))
	mux.HandleFunc("POST /-/person", s.become)
	mux.HandleFunc("POST /-/trouble", s.act(s.trouble))
	mux.HandleFunc("POST /-/redeliver", s.act(s.redeliver))
	mux.HandleFunc("GET /{owner}/{repo}", s.page(s.repository))
	mux.HandleFunc("GET /{owner}/{repo}/edit/{rest...}", s.page(s.edit))
	mux.HandleFunc("POST /{owner}/{repo}/edit/{rest...}", s.act(s.commit))
	mux.HandleFunc("GET /{owner}/{repo}/blob/{sha}/{file...}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/"+r.PathValue("owner")+"/"+r.PathValue("repo")+"/edit/"+r.PathValue("file")+"?ref="+url.QueryEscape(r.PathValue("sha")), http.StatusSeeOther)
	})
	mux.HandleFunc("GET /{owner}/{repo}/pull/{number}", s.page(s.pull))
	mux.HandleFunc("POST /{owner}/{repo}/pull/{number}", s.act(s.onPull))
	mux.HandleFunc("GET /{owner}/{repo}/commit/{sha}", s.page(s.commitPage))
	mux.HandleFunc("POST /{owner}/{repo}/run/{run}", s.act(s.press))
	mux.HandleFunc("POST /{owner}/{repo}/suite/{sha}", s.act(s.pressAll))
	mux.HandleFunc("POST /{owner}/{repo}/ref", s.act(s.makeRef))
	return http.NewCrossOriginProtection().Handler(guard(mux))
}

func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func serve(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) // the browser may have gone
	}
}

// problem is what a visitor did wrong, or what cannot be done.
type problem struct {
	status int
	text   string
}

func (p problem) Error() string { return p.text }

var errNothing = problem{http.StatusNotFound, "There is nothing at this address. The double shows repositories, files, commits and pull requests."}

// view is what the layout shows around a page.
type view struct {
	Title, Page string
	Me          Person
	People      []Person
	Here        string
	Trouble     trouble
	Body        any
}

type trouble struct {
	Outage  bool
	Slow    time.Duration
	Limited bool
}

func (s *Site) me(r *http.Request) Person {
	if c, err := r.Cookie(personCookie); err == nil {
		if i := slices.IndexFunc(People(), func(p Person) bool { return p.Login == c.Value }); i >= 0 {
			return People()[i]
		}
	}
	return People()[0]
}

// page makes a handler of what gives a page's title, template and content.
func (s *Site) page(of func(r *http.Request) (title, name string, body any, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		title, name, body, err := of(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.show(w, r, http.StatusOK, title, name, body)
	}
}

func (s *Site) show(w http.ResponseWriter, r *http.Request, status int, title, name string, body any) {
	outage, slow, limited := s.gh.Troubles()
	v := view{Title: title, Page: name, Me: s.me(r), People: People(), Here: r.URL.RequestURI(), Trouble: trouble{outage, slow, limited.After(s.gh.Now())}, Body: body}
	if r.Method != http.MethodGet {
		v.Here = "/"
	}
	var out, main bytes.Buffer
	if err := s.pages.ExecuteTemplate(&main, name+".html", v); err != nil {
		s.log.Error("page", "name", name, "err", err)
		http.Error(w, "The page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	whole := struct {
		view
		Main template.HTML
	}{v, template.HTML(main.String())} //nolint:gosec // html/template wrote it
	if err := s.pages.ExecuteTemplate(&out, "layout.html", whole); err != nil {
		s.log.Error("page", "name", name, "err", err)
		http.Error(w, "The page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the browser may have gone
}

func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusUnprocessableEntity
	if p, ok := err.(problem); ok { //nolint:errorlint // never wrapped
		status = p.status
	}
	s.show(w, r, status, "Not done", "problem", err.Error())
}

// act makes a handler of what does something and says where to go then.
func (s *Site) act(do func(r *http.Request, me Person) (next string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		next, err := do(r, s.me(r))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		http.Redirect(w, r, local(next), http.StatusSeeOther)
	}
}

// local is a path on this site, whatever a form says.
func local(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, `\`) {
		return "/"
	}
	return next
}

func (s *Site) become(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: personCookie, Value: r.PostFormValue("person"), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, local(r.PostFormValue("next")), http.StatusSeeOther)
}

func (s *Site) repo(r *http.Request) (*ghfake.Repository, error) {
	if repo := s.gh.Repository(r.PathValue("owner") + "/" + r.PathValue("repo")); repo != nil {
		return repo, nil
	}
	return nil, errNothing
}

func number(r *http.Request) int {
	n, err := strconv.Atoi(r.PathValue("number"))
	if err != nil {
		return 0
	}
	return n
}
