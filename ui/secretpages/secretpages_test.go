package secretpages_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/secrets"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const hush = "hush-hush-0815"

// post opens a page and sends a form of it, with its hidden fields.
func post(t *testing.T, b *uitest.Browser, path string, form url.Values) *uitest.Document {
	t.Helper()
	fill(form, b.Get(t, path))
	return b.Post(t, path, form)
}

// fill takes over the hidden fields of a page.
func fill(form url.Values, d *uitest.Document) {
	for _, n := range d.Find("form [type=hidden]") {
		if name := uitest.Attr(n, "name"); name == "csrf" || name == "seen" {
			form.Set(name, uitest.Attr(n, "value"))
		}
	}
}

func TestSecretPages(t *testing.T) {
	site := uitest.New(t)
	set := func(name, value string) {
		t.Helper()
		if err := site.Secrets.Set(t.Context(), uitest.Admin, name, secrets.Secret{Value: json.RawMessage(value), Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	user := func(id string, scopes ...string) *uitest.Browser {
		t.Helper()
		_, token, err := site.Auth.CreateClient(t.Context(), uitest.Admin, id, auth.ClientInput{Expires: time.Now().Add(time.Hour), Scopes: scopes})
		if err != nil {
			t.Fatal(err)
		}
		b := site.Browser(t)
		b.SignIn(t, id, token)
		return b
	}
	set("project/web/key", `{"token": "`+hush+`", "user": "bot"}`)
	set("project/api/key", `{"token": "another"}`)
	admin := site.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	const path = "/secrets/project%2Fweb%2Fkey"

	t.Run("a value is nowhere before it is asked for, and leaves by itself", func(t *testing.T) {
		for _, p := range []string{"/secrets", path, "/audit?entity=secret:project/web/key"} {
			if d := admin.Get(t, p); d.Status != http.StatusOK || strings.Contains(d.Body, hush) {
				t.Errorf("%s: %d, or the value is there", p, d.Status)
			}
		}
		d := post(t, admin, path, url.Values{"act": {"show"}})
		if !strings.Contains(d.Text("#value"), hush) {
			t.Errorf("got %d %q", d.Status, d.Text("main"))
		}
		if got := d.Header.Get("Refresh"); got != "60; url="+path {
			t.Errorf("it is left after %q", got)
		}
		if d.Header.Get("Cache-Control") != "no-store" {
			t.Error("it may be kept")
		}
		if d := admin.Get(t, "/audit?entity=secret:project/web/key"); !strings.Contains(d.Text(".history"), "read") {
			t.Error("the reading is not in the audit log")
		}
	})
	t.Run("who may not read learns nothing, not even whether there is one", func(t *testing.T) {
		other := user("other", "secrets:get:project/api/*")
		there, none := other.Get(t, path), other.Get(t, "/secrets/project%2Fweb%2Fnone")
		if there.Status != http.StatusForbidden || none.Status != http.StatusForbidden || strings.ReplaceAll(there.Text(".error-message"), "web/key", "") != strings.ReplaceAll(none.Text(".error-message"), "web/none", "") {
			t.Errorf("got %d and %d", there.Status, none.Status)
		}
		if d := other.Post(t, path, url.Values{"act": {"show"}, "csrf": {csrf(t, other)}}); d.Status != http.StatusForbidden {
			t.Errorf("showing: %d", d.Status)
		}
		if d := site.Browser(t).Get(t, path); d.Status != http.StatusForbidden || strings.Contains(d.Body, hush) {
			t.Errorf("a visitor: %d", d.Status)
		}
	})
	t.Run("editing: reviewed by name, saved, a conflict told, deleted", func(t *testing.T) {
		d := post(t, admin, path, url.Values{"act": {"edit"}})
		if !strings.Contains(d.Text("textarea"), hush) {
			t.Errorf("got %q", d.Text("textarea"))
		}
		form := url.Values{"act": {"review"}, "value": {"token: new-one\nurl: x\n"}, "expires": {"2 days"}}
		fill(form, d)
		d = admin.Post(t, path, form)
		if got := d.Text("#review li"); got != "+ url (new)\n± token (another value)\n− user (removed)" {
			t.Errorf("got %q", got)
		}
		form.Set("act", "save")
		set("project/web/key", `{"token": "theirs"}`)
		if d = admin.Post(t, path, form); d.Status != http.StatusConflict || !strings.Contains(d.Text("textarea"), "new-one") {
			t.Errorf("a conflict: %d", d.Status)
		}
		fill(form, d)
		if d = admin.Post(t, path, form); d.Status != http.StatusOK {
			t.Errorf("saved: %d %s", d.Status, d.Text("#problem"))
		}
		if s, err := site.Secrets.Get(t.Context(), "test", "project/web/key"); err != nil || string(s.Value) != `{"token":"new-one","url":"x"}` {
			t.Errorf("got %s, %v", s.Value, err)
		}
		if d = post(t, admin, path, url.Values{"act": {"save"}, "value": {"[1"}, "expires": {"2 days"}}); d.Status != http.StatusBadRequest || !strings.Contains(d.Text("textarea"), "[1") {
			t.Errorf("bad YAML: %d", d.Status)
		}
		if d = post(t, admin, path, url.Values{"act": {"delete"}}); d.URL.Path != "/secrets" || strings.Contains(d.Text("table"), "project/web/key") {
			t.Errorf("deleted: %s", d.URL)
		}
	})
	t.Run("who may only set replaces unseen, and the text outlives the session", func(t *testing.T) {
		writer := user("writer", "secrets:set:project/api/*")
		const api = "/secrets/project%2Fapi%2Fkey"
		d := writer.Get(t, api)
		if d.Status != http.StatusOK || strings.Contains(d.Body, "another") {
			t.Errorf("got %d", d.Status)
		}
		form := url.Values{"act": {"save"}, "value": {"token: long text"}, "expires": {"1 day"}}
		if d := site.Browser(t).Post(t, api, form); d.Status != http.StatusUnauthorized || !strings.Contains(d.Text("textarea"), "long text") {
			t.Errorf("without a session: %d", d.Status)
		}
		fill(form, post(t, writer, api, url.Values{"act": {"edit"}}))
		if d := writer.Post(t, api, form); d.Status != http.StatusOK {
			t.Errorf("got %d %s", d.Status, d.Text("main"))
		}
		if s, err := site.Secrets.Get(t.Context(), "test", "project/api/key"); err != nil || string(s.Value) != `{"token":"long text"}` {
			t.Errorf("got %s, %v", s.Value, err)
		}
	})
}

func csrf(t *testing.T, b *uitest.Browser) string {
	t.Helper()
	for _, n := range b.Get(t, "/profile").Find("[name=csrf]") {
		return uitest.Attr(n, "value")
	}
	t.Fatal("no token")
	return ""
}

// TestSecretsInABrowser looks for the value in all that a browser has of the page.
func TestSecretsInABrowser(t *testing.T) {
	site := uitest.New(t)
	if err := site.Secrets.Set(t.Context(), uitest.Admin, "deploy", secrets.Secret{Value: json.RawMessage(`{"token": "` + hush + `"}`), Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	tab := site.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/secrets")
	tab.Inspect(t, "secrets")
	tab.Go(t, "/secrets/deploy")
	const everywhere = `document.documentElement.outerHTML + JSON.stringify({...localStorage, ...sessionStorage}) + location.href + document.cookie`
	if uitest.Eval[bool](t, tab, `(`+everywhere+`).includes("`+hush+`")`) {
		t.Error("the value is in the page before it is shown")
	}
	tab.Inspect(t, "secret")
	tab.Click(t, "#show")
	tab.Wait(t, `document.querySelector("#value pre")?.textContent.includes("`+hush+`") && document.body.dataset.ready === "true"`)
	if uitest.Eval[bool](t, tab, `(JSON.stringify({...localStorage, ...sessionStorage}) + location.href + document.cookie).includes("`+hush+`")`) {
		t.Error("the value is kept outside of the page")
	}
	tab.Inspect(t, "secret-shown")
}
