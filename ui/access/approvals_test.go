package access_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// guarded is a site where roles of releases need two persons.
func guarded(t *testing.T) *uitest.Site {
	t.Helper()
	site := uitest.New(t)
	var guards []auth.Guard
	for _, text := range []string{"role:release:*", "secret:release/*", "hook:release/*"} {
		g, err := auth.ParseGuard(text)
		if err != nil {
			t.Fatal(err)
		}
		guards = append(guards, g)
	}
	if err := site.Auth.SetGuards(t.Context(), guards); err != nil {
		t.Fatal(err)
	}
	return site
}

// sends sends a form with the token of the browser's session.
func sends(t *testing.T, b *uitest.Browser, path string, form url.Values) *uitest.Document {
	t.Helper()
	for _, n := range b.Get(t, "/profile").Find("[name=csrf]") {
		form.Set("csrf", uitest.Attr(n, "value"))
	}
	return b.Post(t, path, form)
}

func person(t *testing.T, site *uitest.Site, id string, scopes ...string) *uitest.Browser {
	t.Helper()
	token := newClient(t, site, id, scopes...)
	b := site.Browser(t)
	b.SignIn(t, id, token)
	return b
}

func TestApprovals(t *testing.T) {
	site := guarded(t)
	ann, bob := person(t, site, "github/1|ann/laptop", "*"), person(t, site, "github/2|bob/laptop", "*")
	phone, eve := person(t, site, "github/1|ann/phone", "*"), person(t, site, "github/3|eve/laptop", "auth:list-approvals")
	role := func(scopes string) url.Values {
		return url.Values{"act": {"save"}, "id": {"release:x"}, "scopes": {scopes}, "description": {"May deploy."}}
	}
	ask := func(scopes string) string {
		t.Helper()
		if d := sends(t, ann, "/auth/new-role", role(scopes)); d.Status != http.StatusConflict || !strings.Contains(d.Body, "second person") {
			t.Fatalf("ann makes it alone: %d", d.Status)
		}
		open, err := site.Auth.Approvals(t.Context(), "open", "", 10)
		if err != nil || len(open) != 1 {
			t.Fatalf("%v, %v", open, err)
		}
		return open[0].ID
	}
	id := ask("deploy:*")
	t.Run("the page shows who wants what", func(t *testing.T) {
		d := bob.Get(t, "/auth/approvals")
		has(t, d.Text("#open"), "release:x", "github/1|ann/laptop", "deploy:*", "May deploy.", "counts for 3 days more")
		if got := d.Text("#waiting"); got != "1 change waits for you" {
			t.Errorf("the header says %q", got)
		}
		has(t, d.Text("#guards"), "role:release:*")
	})
	t.Run("who asked cannot approve, on no device, and sees why", func(t *testing.T) {
		for _, b := range []*uitest.Browser{ann, phone} {
			d := b.Get(t, "/auth/approvals")
			has(t, d.Text("#open"), "you asked for it: somebody else must approve it")
			if len(d.Find("#waiting")) != 0 || len(d.Find("#open button[value=approve]")) != 0 {
				t.Error("her own change waits for her, or can be approved by her")
			}
			if d := sends(t, b, "/auth/approvals/"+id, url.Values{"act": {"approve"}}); d.Status != http.StatusForbidden || !strings.Contains(d.Text("#problem"), "somebody else must approve it") {
				t.Errorf("%d %s", d.Status, d.Text("#problem"))
			}
		}
	})
	t.Run("who may not decide sees which scope is missing", func(t *testing.T) {
		has(t, eve.Get(t, "/auth/approvals").Text("#open .lack"), "auth:approve-change:role:release:x")
		if d := sends(t, eve, "/auth/approvals/"+id, url.Values{"act": {"approve"}}); d.Status != http.StatusForbidden {
			t.Errorf("%d", d.Status)
		}
		if d := site.Browser(t).Get(t, "/auth/approvals"); d.Status != http.StatusForbidden {
			t.Errorf("a visitor: %d", d.Status)
		}
	})
	t.Run("refused with a reason, which who asked reads", func(t *testing.T) {
		if d := sends(t, bob, "/auth/approvals/"+id, url.Values{"act": {"refuse"}, "reason": {"too wide"}}); d.Status != http.StatusOK {
			t.Fatalf("%d", d.Status)
		}
		has(t, ann.Get(t, "/auth/approvals").Text("#decided"), "refused", "too wide", "github/2|bob/laptop")
		has(t, ann.Get(t, "/audit?entity=role:release:x").Body, "change refused (asked for by github/1|ann/laptop)", "too wide")
	})
	t.Run("two people at their browsers", func(t *testing.T) {
		tab := site.Tab(t)
		tab.SignIn(t, "github/2|bob/laptop", newToken(t, site, "github/2|bob/laptop"))
		tab.Go(t, "/auth/approvals")
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		ask("deploy:x")
		tab.Wait(t, `document.querySelector("#open .proposal")?.textContent.includes("deploy:x")`)
		tab.Inspect(t, "approvals")
		tab.Type(t, "#open [name=reason]", "fine")
		tab.Click(t, "#open button[value=approve]")
		tab.Wait(t, `document.querySelector("#decided")?.textContent.includes("approved, not made yet")`)
		if d := ann.Get(t, "/auth/approvals"); !strings.Contains(d.Text("#decided"), "Make it now") {
			t.Error("ann is not told that she can make it")
		}
		if d := sends(t, ann, "/auth/new-role", role("deploy:x")); d.Status != http.StatusOK {
			t.Fatalf("ann makes it: %d", d.Status)
		}
		has(t, ann.Get(t, "/auth/approvals").Text("#decided"), "approved and made", "fine")
		has(t, ann.Get(t, "/audit?entity=role:release:x").Body, "approved by github/2|bob/laptop")
	})
	t.Run("changes of other pages are proposed as well", func(t *testing.T) {
		sends(t, ann, "/secrets/release%2Fx", url.Values{"act": {"save"}, "value": {`{"key": "hunter2"}`}, "expires": {"2100-01-01"}})
		open, err := site.Auth.Approvals(t.Context(), "open", "", 10)
		if err != nil || len(open) != 1 || open[0].EntityID != "release/x" || open[0].EntityType != "secret" {
			t.Fatalf("%+v, %v", open, err)
		}
		lacks(t, bob.Get(t, "/auth/approvals").Body, "hunter2")
	})
}

func newToken(t *testing.T, site *uitest.Site, id string) string {
	t.Helper()
	_, token, err := site.Auth.ResetAccessToken(t.Context(), uitest.Admin, id, auth.MaxOverlap)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTheAuditLogAsFiles(t *testing.T) {
	site := uitest.New(t)
	admin := site.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	for _, id := range []string{"=one", "two"} {
		newRole(t, site, id, "a")
	}
	d := admin.Get(t, "/audit?entity=role:*")
	if len(d.Find("#csv")) != 1 || len(d.Find("#json")) != 1 {
		t.Error("the page does not offer files")
	}
	rows, err := csv.NewReader(strings.NewReader(admin.Get(t, "/audit/log.csv?entity=role:=one").Body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][5] != "'=one" || !strings.Contains(rows[1][7], `"added"`) {
		t.Errorf("%q, %v", rows, err)
	}
	lines := strings.Split(strings.TrimSpace(admin.Get(t, "/audit/log.json?client="+url.QueryEscape(uitest.Admin)).Body), "\n")
	var last struct{ EntityID, ClientID string }
	if err := json.Unmarshal([]byte(lines[0]), &last); err != nil || last.EntityID != "two" || last.ClientID != uitest.Admin {
		t.Errorf("%s, %v", lines[0], err)
	}
	for path, want := range map[string]int{"/audit/log.xml": http.StatusNotFound, "/audit/log.csv?from=yesterday": http.StatusBadRequest} {
		if got := admin.Get(t, path).Status; got != want {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := site.Browser(t).Get(t, "/audit/log.csv").Status; got != http.StatusForbidden {
		t.Errorf("a visitor: %d", got)
	}
}

func TestTokensOverlapOnThePage(t *testing.T) {
	site := uitest.New(t)
	admin := site.Browser(t)
	admin.SignIn(t, uitest.Admin, uitest.AdminToken)
	old := newClient(t, site, "bot", "a")
	path := "/auth/clients/bot"
	form := url.Values{"act": {"reset"}, "overlap": {"24"}}
	for _, n := range admin.Get(t, path).Find("[name=rotated]") {
		form.Set("rotated", uitest.Attr(n, "value"))
	}
	if d := sends(t, admin, path, form); d.Status != http.StatusOK {
		t.Fatalf("%d", d.Status)
	}
	has(t, admin.Get(t, path).Text("#old-token"), "works until", "not used since the reset")
	site.Browser(t).SignIn(t, "bot", old)
	has(t, admin.Get(t, path).Text("#old-token"), "used last")
	if d := sends(t, admin, path, url.Values{"act": {"end-old"}}); d.Status != http.StatusOK || len(d.Find("#old-token")) != 0 {
		t.Errorf("%d", d.Status)
	}
	if d := site.Browser(t).Post(t, "/login", url.Values{"clientId": {"bot"}, "accessToken": {old}}); d.Status != http.StatusUnauthorized {
		t.Errorf("the old token, ended: %d", d.Status)
	}
}
