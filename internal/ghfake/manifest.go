package ghfake

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/treeline-ci/treeline/internal/ghfake/manifest"
)

// asked is a manifest that somebody confirmed or has yet to confirm.
type asked struct {
	manifest.Manifest
	owner, state string
	app          *App // once confirmed; taken out by the exchange of its code
}

// askForApp answers the form with a manifest: a page with a button, as GitHub shows one.
func (s *Server) askForApp(w http.ResponseWriter, r *http.Request) {
	a := &asked{owner: r.PathValue("org"), state: r.URL.Query().Get("state")}
	if a.owner == "" {
		a.owner = "somebody"
	}
	view := struct{ Problem, Owner, Name, Hook, Code string }{Owner: a.owner}
	if err := json.Unmarshal([]byte(r.FormValue("manifest")), &a.Manifest); err != nil {
		view.Problem = "The manifest is not JSON: " + err.Error()
	} else {
		view.Problem = a.Problem()
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
	_ = manifest.Page.Execute(w, view) // the browser may have gone
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
	o["client_id"], o["client_secret"], o["webhook_secret"], o["pem"] = fmt.Sprintf("Iv1.%016x", a.app.ID), rand.Text(), a.app.hook.secret, string(a.app.newestKey())
	c.status = http.StatusCreated
	return o, nil
}

func (c *call) hookConfig() (any, error) {
	return obj{"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": c.app.hook.url}, nil
}
