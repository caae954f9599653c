package access_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/auth/scope"
	"github.com/treeline-ci/treeline/ui/access"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// browser is somebody without script.
type browser struct {
	site *uitest.Site
	http http.Client
}

func newBrowser(t *testing.T, site *uitest.Site, client, token string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{site, http.Client{Jar: jar}}
	if client != "" {
		if status, text := b.send(t, "/login", url.Values{"clientId": {client}, "accessToken": {token}}); status != http.StatusOK {
			t.Fatalf("signing in: %d %s", status, text)
		}
	}
	return b
}

func (b *browser) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := b.http.Get(b.site.URL + path)
	return read(t, resp, err)
}

// send sends a form as it is, without a token.
func (b *browser) send(t *testing.T, path string, form url.Values) (int, string) {
	t.Helper()
	resp, err := b.http.PostForm(b.site.URL+path, form)
	return read(t, resp, err)
}

func read(t *testing.T, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(csrf|seen|rotated)" value="([^"]*)">`)

// post opens a page, and sends a form of it with its hidden fields.
func (b *browser) post(t *testing.T, page, action string, form url.Values) (int, string) {
	t.Helper()
	_, text := b.get(t, page)
	for _, m := range hidden.FindAllStringSubmatch(text, -1) {
		if !form.Has(m[1]) {
			form.Set(m[1], strings.ReplaceAll(m[2], "&#43;", "+"))
		}
	}
	return b.send(t, action, form)
}

func has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("the page lacks %q", part)
		}
	}
}

func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("the page has %q", part)
		}
	}
}

func newClient(t *testing.T, s *uitest.Site, id string, scopes ...string) (token string) {
	t.Helper()
	_, token, err := s.Auth.CreateClient(t.Context(), uitest.Admin, id, auth.ClientInput{Description: "of a test", Expires: time.Now().Add(time.Hour), Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func newRole(t *testing.T, s *uitest.Site, id string, scopes ...string) {
	t.Helper()
	if _, err := s.Auth.CreateRole(t.Context(), uitest.Admin, id, auth.RoleInput{Scopes: scopes, Description: "of a test"}); err != nil {
		t.Fatal(err)
	}
}

func TestClientsAndRoles(t *testing.T) {
	site := uitest.New(t)
	admin, visitor := newBrowser(t, site, uitest.Admin, uitest.AdminToken), newBrowser(t, site, "", "")
	token := newClient(t, site, "project/web/bot", "queue:rerun-task:*", "assume:project:web")
	newRole(t, site, "project:*", "secrets:get:project/<..>/*", "queue:create-task:low:proj-<..>/*")
	const bot = "/auth/clients/project%2Fweb%2Fbot"

	t.Run("a list by the beginning of the id", func(t *testing.T) {
		_, text := admin.get(t, "/auth/clients?q=project/")
		has(t, text, "project/web/bot", `href="/auth/clients/project%2Fweb%2Fbot"`)
		lacks(t, text, ">static/dev<")
		if status, _ := visitor.get(t, "/audit"); status != http.StatusForbidden {
			t.Errorf("a visitor gets %d", status)
		}
	})
	t.Run("a change is reviewed, then saved, and told in the history", func(t *testing.T) {
		form := url.Values{"act": {"review"}, "description": {"of a test"}, "scopes": {"assume:project:web\nqueue:cancel-task:*\n"}, "expires": {"30 days"}}
		status, text := admin.post(t, bot, bot, form)
		if status != http.StatusOK {
			t.Fatalf("got %d", status)
		}
		has(t, text, `<span class="sign" aria-label="removed">−</span><code>queue:rerun-task:*</code>`, `<span class="sign" aria-label="added">+</span><code>queue:cancel-task:*</code>`, "expires")
		form.Set("act", "save")
		if status, text = admin.send(t, bot, form); status != http.StatusOK {
			t.Fatalf("got %d %s", status, text)
		}
		c, err := site.Auth.Client(t.Context(), "project/web/bot")
		if err != nil || !strings.Contains(strings.Join(c.Scopes, " "), "queue:cancel-task:*") || strings.Contains(strings.Join(c.Scopes, " "), "rerun") {
			t.Errorf("got %v, %v", c.Scopes, err)
		}
		has(t, text, "client updated", uitest.Admin, "queue:rerun-task:*")
		_, text = admin.get(t, "/audit?entity=client:project/*")
		has(t, text, "client updated", "client created", "queue:cancel-task:*", uitest.Admin)
		_, text = admin.get(t, "/audit?client=nobody")
		has(t, text, "Nothing was changed")
	})
	t.Run("what somebody else changed meanwhile is not overwritten, and the text is kept", func(t *testing.T) {
		c, err := site.Auth.Client(t.Context(), "project/web/bot")
		if err != nil {
			t.Fatal(err)
		}
		seen := c.LastModified.UTC().Format(time.RFC3339Nano)
		if _, err = site.Auth.UpdateClient(t.Context(), "static/dev", "project/web/bot", auth.ClientInput{Description: "theirs", Expires: c.Expires}, func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
		form := url.Values{"act": {"save"}, "seen": {seen}, "description": {"mine"}, "scopes": {"assume:project:web"}, "expires": {"30 days"}}
		status, text := admin.post(t, bot, bot, form)
		if status != http.StatusConflict {
			t.Errorf("got %d", status)
		}
		has(t, text, "static/dev changed it at", "theirs", "mine")
		form.Set("seen", hiddenOf(t, text, "seen"))
		if status, text = admin.send(t, bot, form); status != http.StatusOK {
			t.Errorf("saving again: %d %s", status, text)
		}
	})
	t.Run("a star, or a scope wider than one's own, is refused with the reason", func(t *testing.T) {
		small := newClient(t, site, "project/web/admin", "auth:*", "queue:rerun-task:*")
		owner := newBrowser(t, site, "project/web/admin", small)
		for _, wide := range []string{"*", "queue:*", "secrets:get:x"} {
			form := url.Values{"act": {"review"}, "description": {"mine"}, "scopes": {"assume:project:web\n" + wide}, "expires": {"30 days"}}
			_, text := owner.post(t, bot, bot, form)
			has(t, text, `id="blocked"`, "You do not hold this scope", `<li><code>`+wide+`</code></li>`, `id="save" disabled`)
			form.Set("act", "save")
			if status, text := owner.send(t, bot, form); status != http.StatusForbidden || !strings.Contains(text, "<textarea") {
				t.Errorf("%s: got %d", wide, status)
			}
		}
		_, text := newBrowser(t, site, "project/web/bot", token).get(t, "/profile")
		lacks(t, text, "queue:*")
	})
	t.Run("a new token is shown once, and sending the form again makes no other", func(t *testing.T) {
		status, text := admin.post(t, bot, bot, url.Values{"act": {"reset"}})
		m := regexp.MustCompile(`id="token">([A-Za-z0-9_-]{44})<`).FindStringSubmatch(text)
		if status != http.StatusOK || m == nil {
			t.Fatalf("got %d %s", status, text)
		}
		if _, err := site.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: "project/web/bot", AccessToken: m[1]}); err != nil {
			t.Error(err)
		}
		if _, err := site.Auth.CheckToken(t.Context(), hawk.Credentials{ClientID: "project/web/bot", AccessToken: token}); err == nil {
			t.Error("the old token still works")
		}
		c, err := site.Auth.Client(t.Context(), "project/web/bot")
		if err != nil {
			t.Fatal(err)
		}
		status, text = admin.post(t, bot, bot, url.Values{"act": {"reset"}, "rotated": {c.LastRotated.Add(-time.Minute).Format(time.RFC3339Nano)}})
		if status != http.StatusConflict {
			t.Errorf("sent again: %d", status)
		}
		has(t, text, "shown only once")
		for _, path := range []string{bot, "/auth/clients", "/audit"} {
			_, text := admin.get(t, path)
			lacks(t, text, m[1])
		}
	})
	t.Run("disable, enable, delete, copy", func(t *testing.T) {
		_, text := admin.post(t, bot, bot, url.Values{"act": {"disable"}})
		has(t, text, `id="enable"`, "it cannot authenticate")
		_, text = admin.post(t, bot, bot, url.Values{"act": {"enable"}})
		has(t, text, `id="disable"`)
		_, text = admin.get(t, "/auth/new-client?from=project/web/bot")
		has(t, text, `value="project/web/bot-copy"`, "assume:project:web")
		_, text = admin.post(t, "/auth/new-client", "/auth/new-client", url.Values{"act": {"save"}, "id": {"project/web/two"}, "scopes": {"a:b"}, "expires": {"1 day"}})
		has(t, text, `id="token"`, "project/web/two")
		_, _ = admin.post(t, bot, "/auth/clients/project%2Fweb%2Ftwo", url.Values{"act": {"delete"}})
		if status, _ := admin.get(t, "/auth/clients/project%2Fweb%2Ftwo"); status != http.StatusNotFound {
			t.Errorf("the deleted client: %d", status)
		}
	})
	t.Run("a role: its holders, its change, a circle refused", func(t *testing.T) {
		_, text := admin.get(t, "/auth/roles/project:*")
		has(t, text, "and 1 client assume it", "secrets:get:project/&lt;..&gt;/*")
		status, text := admin.post(t, "/auth/roles/project:*", "/auth/roles/project:*", url.Values{"act": {"save"}, "scopes": {"assume:project:x"}, "description": {"circle"}})
		if status != http.StatusBadRequest {
			t.Errorf("got %d", status)
		}
		has(t, text, "lead back to themselves", "circle")
		_, text = admin.post(t, "/auth/roles/project:*", "/auth/roles/project:*", url.Values{"act": {"save"}, "scopes": {"secrets:get:project/<..>/*"}, "description": {"now less"}})
		has(t, text, "now less", "queue:create-task:low:proj-&lt;..&gt;/*")
		if status, _ := visitor.get(t, "/auth/roles/nothing-here"); status != http.StatusForbidden && status != http.StatusNotFound {
			t.Errorf("a visitor gets %d", status)
		}
	})
	t.Run("a session that ended keeps the text", func(t *testing.T) {
		_, page := admin.get(t, "/auth/roles/project:*")
		form := url.Values{"act": {"save"}, "csrf": {hiddenOf(t, page, "csrf")}, "seen": {hiddenOf(t, page, "seen")}, "scopes": {"written:long"}, "description": {"a long text"}}
		status, text := visitor.send(t, "/auth/roles/project:*", form)
		if status != http.StatusUnauthorized {
			t.Errorf("got %d", status)
		}
		has(t, text, "written:long", "a long text", "Your session has ended; nothing is saved.", "/login?next=")
		form.Set("csrf", hiddenOf(t, text, "csrf"))
		status, text = admin.send(t, "/auth/roles/project:*", form) // signed in meanwhile, in another tab
		if status != http.StatusUnauthorized {
			t.Errorf("got %d", status)
		}
		form.Set("csrf", hiddenOf(t, text, "csrf"))
		if status, text = admin.send(t, "/auth/roles/project:*", form); status != http.StatusOK {
			t.Errorf("saved after signing in: %d", status)
		}
		has(t, text, "written:long")
	})
}

func hiddenOf(t *testing.T, text, name string) string {
	t.Helper()
	for _, m := range hidden.FindAllStringSubmatch(text, -1) {
		if m[1] == name {
			return strings.ReplaceAll(m[2], "&#43;", "+")
		}
	}
	t.Fatalf("the page has no field %s", name)
	return ""
}

// TestExplain holds the explanations of thirty scopes against what the room of clients and roles says.
func TestExplain(t *testing.T) {
	site := uitest.New(t)
	newRole(t, site, "team:web", "assume:project:web", "hooks:trigger-hook:web/*")
	newRole(t, site, "project:*", "secrets:get:project/<..>/*", "queue:create-task:low:proj-<..>/*", "assume:level:1")
	newRole(t, site, "level:1", "queue:scheduler-id:level-1", "index:insert-task:l1.*")
	newRole(t, site, "release", "project:release:*", "queue:create-task:highest:release/x")
	newClient(t, site, "web", "assume:team:web", "queue:rerun-task:abc", "notify:email:*")
	c, err := site.Auth.Client(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	roles, err := site.Auth.Roles(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{
		"assume:team:web", "assume:project:web", "assume:level:1", "assume:release", "assume:team:*", "hooks:trigger-hook:web/a", "hooks:trigger-hook:web/*",
		"hooks:trigger-hook:web", "hooks:trigger-hook:*", "secrets:get:project/web/key", "secrets:get:project/web/*", "secrets:get:project/api/key", "secrets:get:project/web",
		"queue:create-task:low:proj-web/linux", "queue:create-task:high:proj-web/linux", "queue:create-task:low:proj-web/", "queue:create-task:low:proj-webx/y",
		"queue:scheduler-id:level-1", "queue:scheduler-id:level-2", "index:insert-task:l1.a.b", "index:insert-task:l1", "index:insert-task:l1.", "queue:rerun-task:abc",
		"queue:rerun-task:*", "queue:rerun-task:abcd", "notify:email:a@b", "notify:email:", "notify:", "project:release:sign", "queue:create-task:highest:release/x",
	}
	answers, missing := access.Explain(roles, c.Scopes, wanted)
	held, shortest := scope.NewSet(c.Expanded), ""
	for i, want := range wanted {
		if answers[i].Has != held.Has(want) {
			t.Errorf("%s: explained as %v, the room says %v", want, answers[i].Has, held.Has(want))
		}
		if !held.Has(want) && (shortest == "" || len(want) < len(shortest)) {
			shortest = want
		}
	}
	if len(wanted) != 30 || missing != shortest {
		t.Errorf("%d scopes; missing %q, not %q", len(wanted), missing, shortest)
	}

	admin := newBrowser(t, site, uitest.Admin, uitest.AdminToken)
	t.Run("the path through roles", func(t *testing.T) {
		_, text := admin.get(t, "/auth/explain?client=web&scope=secrets:get:project/web/key")
		has(t, text, "may.", "assume:team:web", "assume:project:web", "&lt;..&gt; = web", "secrets:get:project/web/*", "which covers it")
	})
	t.Run("the nearest grant that is missing", func(t *testing.T) {
		_, text := admin.get(t, "/auth/explain?client=web&scope="+url.QueryEscape("queue:create-task:highest:release/x project:release:sign"))
		has(t, text, `<code id="missing">project:release:sign</code> is missing`, `<code>assume:release</code>`, "the scope itself", "queue:create-task:low:proj-web/*")
	})
	t.Run("who has a scope", func(t *testing.T) {
		_, text := admin.get(t, "/auth/scopes?has=secrets:get:project/web/key")
		has(t, text, `/auth/clients/web`, "project:*", "team:web", "through a role", uitest.Admin)
		lacks(t, text, `>release<`)
	})
	t.Run("what scopes come to, as a tree", func(t *testing.T) {
		_, text := admin.get(t, "/auth/scopes/expansions?scopes=assume:team:web")
		has(t, text, "by role", "&lt;..&gt; = web", "index:insert-task:l1.*")
	})
}

func TestCompare(t *testing.T) {
	var a, b []string
	for i := range 2000 {
		a = append(a, fmt.Sprintf("queue:create-task:low:proj-%d/linux", i))
		switch i % 4 {
		case 0:
			b = append(b, a[i])
		case 1:
			b = append(b, fmt.Sprintf("queue:create-task:low:proj-%d/*", i))
		default:
			b = append(b, fmt.Sprintf("other:%d", i))
		}
	}
	site := uitest.New(t)
	visitor := newBrowser(t, site, "", "")
	began := time.Now()
	status, text := visitor.send(t, "/auth/scopes/compare", url.Values{"scopesA": {strings.Join(a, "\n")}, "scopesB": {strings.Join(b, "\n")}})
	took := time.Since(began)
	t.Logf("two sets of 2,000 scopes are compared in %v", took)
	if status != http.StatusOK || took > time.Second { // 500 ms, twice on a shared machine
		t.Errorf("got %d in %v", status, took)
	}
	has(t, text, "500 in both; 1000 of the first that the other lacks; 1500 of the other that the first lacks.", "covered by <code>queue:create-task:low:proj-1/*</code>")
	if got := strings.Count(text, `class="cmp-covered"`); got != 500 {
		t.Errorf("%d are marked as covered", got)
	}
}

// TestEditorInABrowser is the editor with its script, and each page's looks.
func TestEditorInABrowser(t *testing.T) {
	site := uitest.New(t)
	newRole(t, site, "project:web", "queue:create-task:low:proj-web/*", "secrets:get:project/web/*")
	token := newClient(t, site, "owner", "auth:*", "queue:rerun-task:*", "assume:project:web")
	tab := site.Tab(t)
	tab.SignIn(t, "owner", token)
	t.Run("the difference is shown while one types, and what cannot be given blocks saving", func(t *testing.T) {
		tab.Go(t, "/auth/roles/project:web")
		tab.Type(t, "#scopes-text", "queue:rerun-task:x\n")
		tab.Wait(t, `document.querySelectorAll("#live-diff ins").length === 1 && !document.querySelector("#save").disabled`)
		tab.Type(t, "#scopes-text", "*\n")
		tab.Wait(t, `document.querySelector("#blocked-now") !== null && document.querySelector("#save").disabled`)
		if got := tab.Text(t, "#blocked-now"); !strings.Contains(got, "You do not hold *, so you cannot give it.") {
			t.Errorf("got %q", got)
		}
		tab.Inspect(t, "role-editor")
		uitest.Eval[bool](t, tab, `(() => { const a = document.querySelector("#scopes-text"); a.value = "queue:rerun-task:x\nsecrets:get:project/web/*"; a.dispatchEvent(new Event("input", {bubbles: true})); return true })()`)
		tab.Click(t, "#save")
		tab.Wait(t, `document.body.dataset.ready === "true" && document.querySelectorAll("#history tbody tr").length === 2`)
	})
	t.Run("a token is in no address, no storage, and gone after a reload", func(t *testing.T) {
		newClient(t, site, "machine", "queue:rerun-task:x")
		tab.Expect("409 (Conflict)")
		tab.Go(t, "/auth/clients/machine")
		tab.Click(t, "#reset summary")
		tab.Click(t, "#reset button")
		tab.Wait(t, `document.querySelector("#token") !== null && document.body.dataset.ready === "true"`)
		secret := tab.Text(t, "#token")
		if uitest.Eval[bool](t, tab, fmt.Sprintf(`location.href.includes(%[1]q) || JSON.stringify({...localStorage, ...sessionStorage}).includes(%[1]q) || document.cookie.includes(%[1]q)`, secret)) {
			t.Error("the token is kept somewhere")
		}
		uitest.Eval[bool](t, tab, `location.reload(), true`)
		tab.Wait(t, `document.querySelector("#problem") !== null && document.body.dataset.ready === "true"`)
		if got := uitest.Eval[bool](t, tab, fmt.Sprintf(`document.documentElement.outerHTML.includes(%q)`, secret)); got {
			t.Error("the token is still there after a reload")
		}
	})
	for name, path := range map[string]string{
		"clients": "/auth/clients", "roles": "/auth/roles", "client-editor": "/auth/clients/machine", "new-client": "/auth/new-client", "scopes": "/auth/scopes?has=queue:rerun-task:x",
		"explain": "/auth/explain?client=machine&scope=secrets:get:project/web/key", "expansions": "/auth/scopes/expansions?scopes=assume:project:web",
		"scope-compare": "/auth/scopes/compare?scopesA=a:*%0Ab&scopesB=a:c", "audit": "/audit",
	} {
		t.Run(name, func(t *testing.T) {
			tab.Go(t, path)
			tab.Inspect(t, name)
		})
	}
}
