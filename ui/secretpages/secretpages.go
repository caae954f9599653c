// Package secretpages is the pages of secrets. A value stands in no page before somebody asks for it, and is gone from
// it after a minute.
package secretpages

import (
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/internal/fault"
	"github.com/treeline-ci/treeline/login"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui/page"
)

//go:embed html/*.html
var markup embed.FS

// Pages are these pages. They are safe for concurrent use.
type Pages struct {
	Secrets *secrets.Secrets
}

// Register adds the pages to a kit.
func (ps *Pages) Register(k *page.Kit) error {
	k.Page("GET /secrets", ps.list)
	k.Page("GET /secrets/{name...}", ps.secret)
	k.Page("POST /secrets/{name...}", ps.change)
	return k.Add(markup)
}

const perPage = 200

type listView struct {
	Names        []entry
	Filter, Next string
}

type entry struct{ Name, Href string }

func pathOf(name string) string { return "/secrets/" + url.PathEscape(name) }

func (ps *Pages) list(v *page.Visit) error {
	if name := strings.TrimSpace(v.R.FormValue("name")); name != "" {
		return v.Redirect(pathOf(name))
	}
	if err := v.Allow(scope.String("secrets:list-secrets")); err != nil {
		return err
	}
	l := listView{Filter: strings.TrimSpace(v.R.FormValue("q"))}
	names, err := ps.Secrets.Search(v.R.Context(), l.Filter, v.R.FormValue("after"), perPage+1)
	if err != nil {
		return err
	}
	if len(names) > perPage {
		names = names[:perPage]
		l.Next = names[perPage-1]
	}
	for _, n := range names {
		l.Names = append(l.Names, entry{n, pathOf(n)})
	}
	return v.Show(http.StatusOK, page.View{Title: "Secrets", Name: "secrets", Body: l}, nil)
}

// shownFor is how long a value stays on the page, in seconds.
const shownFor = 60

// secretView is the page of a secret.
type secretView struct {
	Name, Action string
	There        bool // whether there is one, as far as the visitor may know
	About        secrets.About
	MayGet       bool
	MaySet       bool
	Value        string // "" until it is asked for
	Shown        bool
	Seconds      int
	Editing      bool
	Ended        bool // the session is over: the text is kept
	Text, Until  string
	Seen         string
	Problem      string
	Changes      []string // names of members that saving would change, with what happens to them
	Reviewed     bool
}

// look finds out what a visitor may know. Who may neither read, set nor list learns nothing, whether or not there is
// a secret of the name.
func (ps *Pages) look(v *page.Visit) (secretView, error) {
	s := secretView{Name: v.R.PathValue("name"), Seconds: shownFor, Until: "1 year"}
	s.Action = pathOf(s.Name)
	s.MayGet, s.MaySet = v.Have.Has("secrets:get:"+s.Name), v.Have.Has("secrets:set:"+s.Name)
	if !s.MayGet && !s.MaySet {
		return s, v.Allow(scope.String("secrets:get:" + s.Name))
	}
	if !s.MayGet && !v.Have.Has("secrets:list-secrets") {
		return s, nil
	}
	about, err := ps.Secrets.About(v.R.Context(), s.Name)
	if err != nil && !errors.Is(err, fault.NotFound) {
		return s, err
	}
	if s.There = err == nil; s.There {
		s.About, s.Until = about, about.Expires.Format("2006-01-02 15:04")+" UTC"
		s.Seen = about.Modified.Format(time.RFC3339Nano)
	} else if !s.MaySet {
		return s, err
	}
	return s, nil
}

func (ps *Pages) show(v *page.Visit, status int, s secretView) error {
	if s.Shown || s.Editing {
		v.W.Header().Set("Referrer-Policy", "no-referrer")
	}
	if s.Shown {
		v.W.Header().Set("Refresh", "60; url="+s.Action)
	}
	return v.Show(status, page.View{Title: s.Name, Name: "secret", Main: "narrow", Body: s}, nil)
}

func (ps *Pages) secret(v *page.Visit) error {
	if v.R.PathValue("name") == "" {
		return v.Redirect("/secrets")
	}
	s, err := ps.look(v)
	if err != nil {
		return err
	}
	s.Editing = !s.There && s.MaySet
	return ps.show(v, http.StatusOK, s)
}

// maxForm bounds the form: a value may have a megabyte.
const maxForm = 3 << 20

func (ps *Pages) change(v *page.Visit) error {
	v.R.Body = http.MaxBytesReader(v.W, v.R.Body, maxForm)
	act := v.R.PostFormValue("act")
	if (act == "save" || act == "review") && (v.Session.ClientID == "" || v.Post() != nil) {
		name := v.R.PathValue("name")
		s := secretView{Name: name, Action: pathOf(name), Editing: true, Ended: true, MaySet: true, Seconds: shownFor}
		s.Text, s.Until, s.Seen = v.R.PostFormValue("value"), v.R.PostFormValue("expires"), v.R.PostFormValue("seen")
		return ps.show(v, http.StatusUnauthorized, s)
	}
	if err := v.Post(); err != nil {
		return err
	}
	s, err := ps.look(v)
	if err != nil {
		return err
	}
	switch act {
	case "show", "edit":
		return ps.reveal(v, s, act == "edit")
	case "review", "save":
		return ps.save(v, s, act == "review")
	case "delete":
		if err := v.Allow(scope.String("secrets:set:" + s.Name)); err != nil {
			return err
		}
		if err := ps.Secrets.Remove(v.R.Context(), v.Session.ClientID, s.Name); err != nil {
			return err
		}
		return v.Redirect("/secrets")
	}
	return fault.New(fault.Invalid, "The form is damaged; load the page again.")
}

// reveal shows the value, to be read or to be changed.
func (ps *Pages) reveal(v *page.Visit, s secretView, edit bool) error {
	need := []string{"secrets:get:" + s.Name}
	if edit {
		need = append(need, "secrets:set:"+s.Name)
		if !s.MayGet {
			need = need[1:] // it is replaced unseen
		}
	}
	if err := v.Allow(scope.Strings(need...)); err != nil {
		return err
	}
	if s.MayGet {
		secret, err := ps.Secrets.Get(v.R.Context(), v.Session.ClientID, s.Name)
		if err != nil {
			return err
		}
		if s.Value, err = asYAML(secret.Value); err != nil {
			return err
		}
	}
	if s.Editing = edit; edit {
		s.Text, s.Value = s.Value, ""
	} else {
		s.Shown = true
	}
	return ps.show(v, http.StatusOK, s)
}

func asYAML(value json.RawMessage) (string, error) {
	var node yaml.Node // keeps the order of keys
	if err := yaml.Unmarshal(value, &node); err != nil {
		return "", fault.New(fault.Internal, "The value cannot be written as YAML.")
	}
	plain(&node)
	out, err := yaml.Marshal(&node)
	return string(out), err
}

// plain takes the style of JSON off, so that lines of text are lines.
func plain(n *yaml.Node) {
	n.Style = 0
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "\n") {
		n.Style = yaml.LiteralStyle
	}
	for _, c := range n.Content {
		plain(c)
	}
}

// parse reads what somebody wrote. Its errors repeat nothing of it.
func parse(text string) (json.RawMessage, error) {
	var object map[string]any
	err := yaml.Unmarshal([]byte(text), &object)
	if err != nil || object == nil {
		return nil, fault.New(fault.Invalid, "The value must be an object in YAML or JSON, such as \"token: abc\".")
	}
	value, err := json.Marshal(object)
	if err != nil {
		return nil, fault.New(fault.Invalid, "The value has something in it that JSON does not have, such as a key that is no text.")
	}
	return value, nil
}

func expiry(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSuffix(strings.TrimSpace(text), " UTC")); err == nil {
			return t, nil
		}
	}
	span, err := login.ParseSpan(text)
	return time.Now().Add(span), err
}

// save writes the value, or says which of its members that would change: their values are not told again.
func (ps *Pages) save(v *page.Visit, s secretView, review bool) error {
	f := v.R.PostForm
	now := s.Seen
	s.Editing, s.Text, s.Until, s.Seen = true, f.Get("value"), f.Get("expires"), f.Get("seen")
	if err := v.Allow(scope.String("secrets:set:" + s.Name)); err != nil {
		return err
	}
	var seen time.Time
	value, err := parse(s.Text)
	if err == nil && s.Seen != "" {
		seen, err = time.Parse(time.RFC3339Nano, s.Seen)
	}
	var expires time.Time
	if err == nil {
		expires, err = expiry(s.Until)
	}
	if err == nil && review {
		if s.Reviewed = true; s.MayGet && s.There {
			old, err := ps.Secrets.Get(v.R.Context(), v.Session.ClientID, s.Name)
			if err != nil {
				return err
			}
			s.Changes = differences(old.Value, value)
		} else {
			s.Changes = differences(nil, value)
		}
		return ps.show(v, http.StatusOK, s)
	}
	if err == nil && s.Seen == "" && s.There && s.MayGet {
		err = fault.New(fault.Conflict, "There is a secret of this name already.")
	}
	if err == nil {
		secret := secrets.Secret{Value: value, Expires: expires}
		if s.Seen == "" && !s.MayGet && !v.Have.Has("secrets:list-secrets") {
			err = ps.Secrets.Set(v.R.Context(), v.Session.ClientID, s.Name, secret) // whether there was one is not theirs to know
		} else {
			err = ps.Secrets.Replace(v.R.Context(), v.Session.ClientID, s.Name, secret, seen)
		}
	}
	switch fault.KindOf(err) {
	case fault.Invalid:
		s.Problem = fault.Message(err)
		return ps.show(v, http.StatusBadRequest, s)
	case fault.Conflict:
		s.Problem = fault.Message(err) + " Nothing is saved yet. Saving once more replaces what stands there now."
		s.Seen = now
		return ps.show(v, http.StatusConflict, s)
	}
	if err != nil {
		return err
	}
	return v.Redirect(s.Action)
}

// differences names the members that differ, in words.
func differences(before, after json.RawMessage) []string {
	var was, is map[string]json.RawMessage
	if len(before) > 0 && json.Unmarshal(before, &was) != nil || json.Unmarshal(after, &is) != nil {
		return nil
	}
	var out []string
	for name, value := range is {
		if old, had := was[name]; !had {
			out = append(out, "+ "+name+" (new)")
		} else if same, err := compact(old, value); err != nil || !same {
			out = append(out, "± "+name+" (another value)")
		}
	}
	for name := range was {
		if _, has := is[name]; !has {
			out = append(out, "− "+name+" (removed)")
		}
	}
	slices.Sort(out)
	return out
}

// compact tells whether two JSON values are the same but for white space and the order of keys.
func compact(a, b json.RawMessage) (same bool, err error) {
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, &y); err != nil {
		return false, err
	}
	one, err := json.Marshal(x)
	if err != nil {
		return false, err
	}
	other, err := json.Marshal(y)
	return string(one) == string(other), err
}
