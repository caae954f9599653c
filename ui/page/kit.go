// Package page is what all pages are made with: who asks, what they may see, the layout around a page's own part, the
// data its script finds, errors, and files that pages refer to. Each area of pages is a package beside this one: it
// brings its templates with Kit.Add and its addresses with Kit.Page, Kit.Data and Kit.Raw.
package page

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/internal/web"
	"github.com/treeline-ci/treeline/internal/web/throttle"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/session"
)

//go:embed html/*.html
var markup embed.FS

// SeePushes is what seeing repositories and pushes asks for: they are the past of the feed.
var SeePushes = scope.String("events:read")

// ErrNoPage is the answer to an address without a page.
var ErrNoPage = fault.New(fault.NotFound, "There is no page at this address.")

// Deps are what every page needs.
type Deps struct {
	Sessions *session.Store
	// Repositories are those of the menu in the header.
	Repositories func(context.Context) ([]push.Repository, error)
	Assets       *Assets
	RootURL      string // as people reach it, such as "http://localhost:8080"
	Version      string // shown in the footer
	Log          *slog.Logger
	Limits       *throttle.Limits // how often somebody may ask; nil: as often as they like
	Fresh        time.Duration    // how long ago who changes the deployment may have signed in; 0: any time
}

// Kit makes handlers of pages. Add, Page, Data and Raw are for the start of the program; its handler is safe for
// concurrent use.
type Kit struct {
	Deps
	each  []func(*Visit, *View) error
	mux   *web.Mux
	known throttle.Set                                  // tokens of sessions that were good
	pages map[string]func() (*template.Template, error) // parsed when they are first shown: together they have 10 MB
	areas func() []Area                                 // those that are served, found at the first look
}

// New returns a kit with the page of errors and the assets.
func New(d Deps) (*Kit, error) {
	k := &Kit{Deps: d, mux: &web.Mux{}, pages: map[string]func() (*template.Template, error){}}
	k.areas = sync.OnceValue(k.served)
	k.mux.Handle("GET /ui/assets/{name}", d.Assets.handler())
	k.Page("/", func(*Visit) error { return ErrNoPage })
	return k, k.Add(markup)
}

// ServeHTTP answers for all pages.
func (k *Kit) ServeHTTP(w http.ResponseWriter, r *http.Request) { k.mux.ServeHTTP(w, r) }

// Add joins the layout with each template of html/ in files; a page's name is its file's. Templates whose names begin
// with an underscore are parts for all the others of files.
func (k *Kit) Add(files fs.FS) error {
	list, err := fs.Glob(files, "html/*.html")
	if err != nil {
		return fmt.Errorf("ui: templates: %w", err)
	}
	parts, err := fs.Glob(files, "html/_*.html")
	if err != nil {
		return fmt.Errorf("ui: templates: %w", err)
	}
	for _, file := range list {
		name := strings.TrimSuffix(path.Base(file), path.Ext(file))
		if strings.HasPrefix(name, "_") {
			continue
		}
		if k.pages[name] != nil {
			return fmt.Errorf("ui: templates: there are two pages called %q", name)
		}
		k.pages[name] = sync.OnceValues(func() (*template.Template, error) {
			t, err := template.New(name).Funcs(funcs()).ParseFS(markup, "html/_*.html")
			if err == nil {
				t, err = t.ParseFS(files, append(slices.Clone(parts), file)...)
			}
			if err != nil {
				return nil, fmt.Errorf("ui: templates: %w", err)
			}
			return t, nil
		})
	}
	return nil
}

// Parse parses the templates of all pages, for tests.
func (k *Kit) Parse() error {
	var errs []error
	for _, parsed := range k.pages {
		_, err := parsed()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// render writes a page.
func (k *Kit) render(out io.Writer, v *View) error {
	parsed, ok := k.pages[v.Name]
	if !ok {
		return fmt.Errorf("ui: there is no page called %q", v.Name)
	}
	t, err := parsed()
	if err != nil {
		return err
	}
	if err := t.ExecuteTemplate(out, "layout", *v); err != nil {
		return fmt.Errorf("ui: page %s: %w", v.Name, err)
	}
	return nil
}

// Page answers a pattern of http.ServeMux with a page that h shows; its error becomes an error page.
func (k *Kit) Page(pattern string, h func(*Visit) error) {
	k.mux.Handle(pattern, gzhttp.GzipHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := k.begin(w, r)
		if err == nil {
			err = h(v)
			v.propose()
		}
		if err != nil {
			v.Fail(err)
		}
	})))
}

// Data answers a pattern with JSON for a page's script; h answers nil when it has written the answer by itself.
func (k *Kit) Data(pattern string, h func(*Visit) (any, error)) {
	k.mux.Handle(pattern, gzhttp.GzipHandler(k.data(h)))
}

// Stream is Data for an answer that goes out piece by piece and is not packed.
func (k *Kit) Stream(pattern string, h func(*Visit) (any, error)) { k.mux.Handle(pattern, k.data(h)) }

// Raw answers a pattern with a handler as it is.
func (k *Kit) Raw(pattern string, h http.Handler) { k.mux.Handle(pattern, h) }

// Each has f look at the view of every page before it is shown.
func (k *Kit) Each(f func(*Visit, *View) error) { k.each = append(k.each, f) }

// Mux is for rooms that bring addresses of their own.
func (k *Kit) Mux() *web.Mux { return k.mux }

// Secure reports whether people come by https, which cookies say.
func (k *Kit) Secure() bool { return strings.HasPrefix(k.RootURL, "https:") }

func (k *Kit) data(h func(*Visit) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := k.begin(w, r)
		var answer any
		if err == nil {
			answer, err = h(v)
			v.propose()
		}
		if problem := v.signIn.Refused(); problem != nil && (err != nil || answer != nil) {
			err = problem // whatever became of it on its way
		}
		if err != nil {
			v.failData(err)
			return
		}
		if answer != nil {
			v.writeJSON(http.StatusOK, answer)
		}
	})
}

// begin finds out who asks.
func (k *Kit) begin(w http.ResponseWriter, r *http.Request) (*Visit, error) {
	// The id that the log has, where the server gave one.
	v := &Visit{Kit: k, W: w, R: r, ID: cmp.Or(w.Header().Get("X-For-Request-Id"), slug.New())}
	w.Header().Set("X-Request-Id", v.ID)
	if err := k.admit(v); err != nil {
		return v, err
	}
	v.Have = scope.NewSet(v.Session.Scopes)
	v.signedIn()
	if r.Method == http.MethodPost {
		ctx, refused := auth.Watch(v.R.Context())
		v.R, v.refused = v.R.WithContext(ctx), refused
	}
	return v, v.checkForm()
}

func (v *Visit) writeJSON(status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		v.Kit.Log.ErrorContext(v.R.Context(), "an answer cannot be written", "path", v.R.URL.Path, "request", v.ID, "error", err)
		http.Error(v.W, `{"message":"Internal error."}`, http.StatusInternalServerError)
		return
	}
	v.W.Header().Set("Content-Type", "application/json; charset=utf-8")
	v.W.Header().Set("Cache-Control", "no-store")
	v.W.WriteHeader(status)
	_, _ = v.W.Write(body) // the browser may have gone
}
