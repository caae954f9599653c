package ghfake

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// manifest is what an App can be made from: a form that a browser posts to the site.
type manifest struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Public bool   `json:"public"`
	Hook   struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`
	Redirect    string            `json:"redirect_url"`
	SetupURL    string            `json:"setup_url"`
	Description string            `json:"description"`
	Permissions map[string]string `json:"default_permissions"`
	Events      []string          `json:"default_events"`
}

// asked is a manifest that somebody confirmed or has yet to confirm.
type asked struct {
	manifest
	owner, state string
	app          *App // once confirmed; taken out by the exchange of its code
}

// Permissions and events that an App can ask for, as far as the double knows them; GitHub has more.
var (
	knownPermissions = []string{
		"actions", "administration", "checks", "contents", "deployments", "issues", "members", "merge_queues", "metadata", "pull_requests", "statuses", "workflows",
	}
	knownEvents = []string{
		"check_run", "check_suite", "create", "delete", "issue_comment", "issues", "member", "membership", "merge_group", "organization", "pull_request",
		"pull_request_review", "push", "release", "repository", "status", "team",
	}
)

// problem says what GitHub would not take; "" when it would.
func (m manifest) problem() string {
	web := func(s string) bool {
		u, err := url.Parse(s)
		return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
	}
	switch {
	case len(m.Name) > 34 || m.Name == "":
		return "Name must have 1 to 34 characters"
	case !web(m.URL):
		return "Url must be a valid URL"
	case !web(m.Hook.URL):
		return "Hook url must be a valid URL"
	case m.Redirect != "" && !web(m.Redirect):
		return "Redirect url must be a valid URL"
	}
	for name, level := range m.Permissions {
		if !slices.Contains(knownPermissions, name) || level != "read" && level != "write" && level != "admin" {
			return fmt.Sprintf("Default permissions: %s: %s is not a permission", name, level)
		}
	}
	for _, e := range m.Events {
		if !slices.Contains(knownEvents, e) {
			return fmt.Sprintf("Default events: %s is not supported", e)
		}
	}
	return ""
}

var confirmPage = template.Must(template.New("confirm").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Create GitHub App</title><style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1rem}button{font:inherit;padding:.4em 1em}</style>
{{if .Problem}}<h1>This manifest is not valid</h1><p id="problem">{{.Problem}}</p>{{else}}<h1>Create GitHub App for {{.Owner}}</h1>
<p><b>{{.Name}}</b> will send webhooks to <code>{{.Hook}}</code>.</p><form action="/settings/apps/confirm" method="post"><input type="hidden" name="code" value="{{.Code}}"><button>Create {{.Name}}</button></form>{{end}}`))

// askForApp answers the form with a manifest: a page with a button, as GitHub shows one.
func (s *Server) askForApp(w http.ResponseWriter, r *http.Request) {
	a := &asked{owner: r.PathValue("org"), state: r.URL.Query().Get("state")}
	if a.owner == "" {
		a.owner = "somebody"
	}
	view := struct{ Problem, Owner, Name, Hook, Code string }{Owner: a.owner}
	if err := json.Unmarshal([]byte(r.FormValue("manifest")), &a.manifest); err != nil {
		view.Problem = "The manifest is not JSON: " + err.Error()
	} else {
		view.Problem = a.problem()
	}
	view.Name, view.Hook, view.Code = a.Name, a.Hook.URL, rand.Text()
	s.mu.Lock()
	if view.Problem == "" {
		s.asked[view.Code] = a
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if view.Problem != "" {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
	_ = confirmPage.Execute(w, view) // the browser may have gone
}

// confirmApp makes the App and leads back with a code.
func (s *Server) confirmApp(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	a := s.asked[r.FormValue("code")]
	s.mu.Unlock()
	if a == nil || a.app != nil {
		http.NotFound(w, r)
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	secret := ""
	if a.Hook.Active == nil || *a.Hook.Active {
		secret = rand.Text()
	}
	slug := strings.Trim(strings.ReplaceAll(strings.ToLower(a.Name), " ", "-"), "-")
	app := s.register(slug, a.Hook.URL, secret, a.owner, key)
	s.mu.Lock()
	app.Name, app.Permissions, app.Events = a.Name, maps.Clone(a.Permissions), slices.Clone(a.Events)
	a.app = app
	s.mu.Unlock()
	back := a.Redirect + "?" + url.Values{"code": {r.FormValue("code")}, "state": {a.state}}.Encode()
	http.Redirect(w, r, back, http.StatusFound)
}

// convert exchanges the code for the App's secrets, once.
func (c *call) convert() (any, error) {
	code := c.r.PathValue("code")
	a := c.s.asked[code]
	if a == nil || a.app == nil {
		return nil, notFound()
	}
	delete(c.s.asked, code)
	o := c.s.appJSON(a.app)
	o["client_id"], o["client_secret"], o["webhook_secret"], o["pem"] = fmt.Sprintf("Iv1.%016x", a.app.ID), rand.Text(), a.app.hook.secret, string(a.app.PrivateKey())
	c.status = http.StatusCreated
	return o, nil
}

func (c *call) hookConfig() (any, error) {
	return obj{"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": c.app.hook.url}, nil
}
