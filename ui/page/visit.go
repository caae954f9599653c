package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/ui/session"
)

// Visit is one request to a page, with who makes it.
type Visit struct {
	Kit     *Kit
	W       http.ResponseWriter
	R       *http.Request
	Session session.Session
	Have    scope.Set
	ID      string // of the request, in the log and on error pages

	refused *auth.Watched // a change for want of a second person; nil where nothing can be changed
	signIn  *auth.SignIn  // nil: nobody is signed in
	asked   bool          // to sign in again
}

// View is what the layout shows around a page's own part. Show fills in what pages leave out.
type View struct {
	Title   string
	Name    string // of the page: its template, and its entry in the script
	Main    string // class of main
	Theme   string
	User    string
	CSRF    string
	Repo    string
	Repos   []Repo
	Watched []string // repositories, where a page knows better than the browser; nil: it does not
	Areas   []Area
	Here    string // path and query of this page, to come back to
	Assets  *Assets
	About   string // version
	Stream  string // address of the page's stream of events, by live.Path; "" for none
	Trees   []Tree // that are not open, or have a message
	Waiting int    // changes that wait for the visitor to decide
	Boot    template.JS
	Body    any
}

// Repo is a repository in the menu of the header.
type Repo struct {
	Name    string
	Watched bool
	Other   bool // the first that is not watched, after some that are
}

// watchedFirst puts the repositories that are watched before the others.
func watchedFirst(list []push.Repository, watched []string) []Repo {
	var out, others []Repo
	for _, r := range list {
		if slices.Contains(watched, r.Name) {
			out = append(out, Repo{Name: r.Name, Watched: true})
		} else {
			others = append(others, Repo{Name: r.Name})
		}
	}
	if len(out) > 0 && len(others) > 0 {
		others[0].Other = true
	}
	return append(out, others...)
}

// Watches reports whether the page's repository is one that the visitor watches.
func (w View) Watches() bool { return slices.Contains(w.Watched, w.Repo) }

// Tree is what the header says of a repository.
type Tree struct{ Repository, State, Reason, Message, Href string }

// boot is what the script finds in the page; shell/data.ts describes it.
type boot struct {
	CSRF   string `json:"csrf"`
	User   string `json:"user"`
	Stream string `json:"stream"`
	Worker string `json:"worker"`
	Icons  string `json:"icons"`

	Settings Settings `json:"settings"`
	Data     any      `json:"data"`
}

// Allow returns a fault.Forbidden with what is missing, unless the visitor's scopes satisfy want.
func (v *Visit) Allow(want scope.Expr) error {
	return v.Have.Check(v.Session.ClientID, v.Session.ClientID == "", want)
}

// Caller is the visitor as rooms know callers.
func (v *Visit) Caller() auth.Caller {
	c := auth.Caller{ClientID: v.Session.ClientID, Issuer: v.Session.Issuer, Scopes: v.Session.Scopes, Scheme: "session"}
	if c.ClientID == "" {
		c.Scheme = "none"
	}
	return c
}

// Post reports an error unless the request carries the session's token against forged requests.
func (v *Visit) Post() error {
	given := v.R.Header.Get("X-CSRF")
	if given == "" {
		given = v.R.PostFormValue("csrf")
	}
	if !v.Session.CheckCSRF(given) {
		return fault.New(fault.Forbidden, "This form is too old: you have signed in or out since. Reload the page and try again.")
	}
	return nil
}

// Redirect sends the browser on, after a form with GET.
func (v *Visit) Redirect(to string) error {
	if done, err := v.askAgain(); done {
		return err
	}
	http.Redirect(v.W, v.R, to, http.StatusSeeOther)
	return nil
}

// Answer answers a deed that scripts and plain forms ask for: scripts with JSON, forms with the page at to, or with an
// error page. Its results are those of a handler of Kit.Data.
func (v *Visit) Answer(answer any, err error, to string) (any, error) {
	if strings.Contains(v.R.Header.Get("Accept"), "application/json") {
		return answer, err
	}
	if err != nil {
		v.Fail(err)
		return nil, nil // the error page has been answered
	}
	return nil, v.Redirect(to)
}

// SignedIn sends visitors to the sign-in page, from which they come back; false says that the answer is given.
func (v *Visit) SignedIn() bool {
	if v.Session.ClientID != "" {
		return true
	}
	http.Redirect(v.W, v.R, "/login?"+url.Values{"next": {v.R.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
	return false
}

// Show renders a page: its template inside the layout. data goes to the script, w.Body to the template.
func (v *Visit) Show(status int, w View, data any) error {
	if done, err := v.askAgain(); done {
		return err
	}
	k, r := v.Kit, v.R
	w.Theme, w.User, w.CSRF = themeOf(r), v.Session.ClientID, v.Session.CSRF()
	w.Assets, w.About, w.Here, w.Areas = k.Assets, k.Version, r.URL.RequestURI(), k.Areas(w.Repo)
	if r.Method != http.MethodGet {
		w.Here = "/"
	}
	if v.Allow(SeePushes) == nil {
		repos, err := k.Repositories(r.Context())
		if err != nil {
			return err
		}
		if w.Watched == nil {
			w.Watched = v.Settings().Watched
		}
		w.Repos = watchedFirst(repos, w.Watched)
	}
	for _, f := range k.each {
		if err := f(v, &w); err != nil {
			return err
		}
	}
	script, err := json.Marshal(boot{w.CSRF, w.User, w.Stream, k.Assets.path(k.Assets.Worker), k.Assets.path(k.Assets.Icons), v.Settings(), data})
	if err != nil {
		return fmt.Errorf("ui: data of %s: %w", w.Name, err)
	}
	w.Boot = template.JS(script) // json.Marshal escapes <, > and &
	var out bytes.Buffer
	if err := k.render(&out, &w); err != nil {
		return err
	}
	v.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.W.Header().Set("Cache-Control", "no-store")
	v.W.WriteHeader(status)
	_, _ = v.W.Write(out.Bytes()) // the browser may have gone
	return nil
}

// LocalPath returns a path on this server, "/" for anything else: nobody is sent to another place
// after signing in.
func LocalPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// IsWeb reports whether an address is one of the web, that a page may link to: no script, and none on this server.
func IsWeb(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

// Settings are what somebody has chosen for all pages. The zero value is how pages are for those who have not.
type Settings struct {
	Zone string   `json:"zone"` // "UTC", or "" for that of the browser
	Keys []string `json:"keys"` // that do nothing, as the table of keys has them; "*" for all single letters
	// Watched are the repositories that somebody chose to watch: menus and the first page begin with them.
	Watched []string `json:"watched,omitempty"`
}

// SettingsCookie names the cookie with somebody's settings, as base64 of their JSON.
const SettingsCookie = "treeline_settings"

const maxSettings = 2000 // bytes

// Settings are the visitor's; what cannot be read counts as not chosen.
func (v *Visit) Settings() Settings {
	s := Settings{}
	if c, err := v.R.Cookie(SettingsCookie); err == nil && len(c.Value) < maxSettings {
		if text, err := base64.RawURLEncoding.DecodeString(c.Value); err == nil && json.Unmarshal(text, &s) != nil {
			s = Settings{}
		}
	}
	if s.Keys == nil {
		s.Keys = []string{}
	}
	return s
}

// KeepSettings gives the browser settings to keep.
func (v *Visit) KeepSettings(s Settings) error {
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("ui: settings: %w", err)
	}
	value := base64.RawURLEncoding.EncodeToString(text)
	if len(value) >= maxSettings {
		return fault.New(fault.Invalid, "These are more keys and repositories than a browser can keep: switch off all keys, or watch fewer repositories.")
	}
	http.SetCookie(v.W, &http.Cookie{
		Name: SettingsCookie, Value: value, Path: "/", MaxAge: 365 * 24 * 3600, Secure: v.Kit.Secure(), SameSite: http.SameSiteLaxMode, HttpOnly: true,
	})
	return nil
}

const themeCookie = "treeline_theme"

// themeOf returns "light" or "dark", or "" for what the browser prefers.
func themeOf(r *http.Request) string {
	c, err := r.Cookie(themeCookie)
	if err != nil || c.Value != "light" && c.Value != "dark" {
		return ""
	}
	return c.Value
}

// KeepTheme gives the browser a theme to keep: light, dark, or "" for the system's.
func (v *Visit) KeepTheme(theme string) {
	if theme == "" {
		theme = "system"
	}
	http.SetCookie(v.W, &http.Cookie{
		Name: themeCookie, Value: theme, Path: "/", MaxAge: 365 * 24 * 3600, Secure: v.Kit.Secure(), SameSite: http.SameSiteLaxMode,
	})
}

// NextTheme moves to the next theme, for browsers without script.
func (v *Visit) NextTheme() error {
	next := map[string]string{"": "light", "light": "dark", "dark": "system"}[themeOf(v.R)]
	http.SetCookie(v.W, &http.Cookie{
		Name: themeCookie, Value: next, Path: "/", MaxAge: 365 * 24 * 3600, Secure: v.Kit.Secure(), SameSite: http.SameSiteLaxMode,
	})
	return v.Redirect(LocalPath(v.R.PostFormValue("next")))
}
