package access_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/idptest"
	"github.com/treeline-ci/treeline/queue/roster"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// watchful is a town whose operators sign in within the hour before they change something. Ada is one.
func watchful(t *testing.T) *town {
	t.Helper()
	w := newTown(t, uitest.FreshSignIn(time.Hour))
	w.idp.Groups("ada", "readers", "keepers")
	if err := w.Auth.EnsureRole(t.Context(), "example-group:keepers", []string{"auth:*", "queue:*", "worker-manager:*"}, "of a test"); err != nil {
		t.Fatal(err)
	}
	return w
}

// age has all sessions be two hours old.
func (w *town) age(t *testing.T) {
	t.Helper()
	if _, err := w.Pool.Exec(t.Context(), `UPDATE ui_sessions SET proved = now() - interval '2 hours'`); err != nil {
		t.Fatal(err)
	}
}

// signInAgain follows the button in a tab of its own, to the end of the way.
func (w *town) signInAgain(t *testing.T, tab *uitest.Tab) {
	t.Helper()
	to := uitest.Eval[string](t, tab, `document.querySelector("#sign-in-again").getAttribute("href")`)
	other := tab.Beside(t)
	for _, text := range []string{"foreign request: " + w.idp.URL, "favicon.ico", "404 (Not Found)"} {
		other.Expect(text)
	}
	other.Go(t, "/")
	uitest.Eval[bool](t, other, `location.assign(`+strconv.Quote(to)+`), true`)
	other.Wait(t, `document.title === "Example Identity"`)
	other.Type(t, "input[name=name]", "ada")
	other.Type(t, "input[name=password]", "correct horse\r")
	other.Wait(t, `document.querySelector("#again-done[data-fresh=true]") !== null && document.body.dataset.ready === "true"`)
	other.Close(t)
}

func (w *town) newest(t *testing.T) auth.Record {
	t.Helper()
	list, err := w.Auth.AuditLog(t.Context(), auth.AuditQuery{Limit: 1})
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	return list[0]
}

// A change from a session whose person signed in too long ago waits for them to do so, with all that they typed.
func TestAStaleSessionChangesNothing(t *testing.T) {
	w := watchful(t)
	tab := w.tab(t)
	tab.Expect("403 (Forbidden)")
	w.signInAtIDP(t, tab)
	t.Run("what is typed into a form waits for the sign-in", func(t *testing.T) {
		tab.Go(t, "/auth/new-role")
		w.age(t)
		tab.Type(t, "input[name=id]", "repo:github.com/acme/web:*")
		tab.Type(t, "textarea[name=scopes]", "queue:rerun-task:*\rqueue:cancel-task:*")
		tab.Click(t, "#save")
		tab.Wait(t, `document.querySelector("#send-again") !== null && document.body.dataset.ready === "true"`)
		if _, err := w.Auth.Role(t.Context(), "repo:github.com/acme/web:*"); err == nil {
			t.Error("the role is there")
		}
		if got := tab.Text(t, "#again"); !strings.Contains(got, "it takes a sign-in of the last 1 h") {
			t.Errorf("the page says %q", got)
		}
		tab.Inspect(t, "sign-in-again")
		w.signInAgain(t, tab)
		tab.Wait(t, `document.querySelector("#again-said").textContent === "You have signed in again." && document.activeElement.id === "send-again"`)
		tab.Keys(t, kb.Enter)
		tab.Wait(t, `location.pathname.startsWith("/auth/roles/") && document.body.dataset.ready === "true"`)
		r, err := w.Auth.Role(t.Context(), "repo:github.com/acme/web:*")
		if err != nil || strings.Join(r.Scopes, " ") != "queue:cancel-task:* queue:rerun-task:*" {
			t.Errorf("got %+v, %v", r, err)
		}
		if r := w.newest(t); r.ClientID != "example/ada-1|ada" || time.Since(r.Proved) > 10*time.Minute {
			t.Errorf("the audit log has %s, who signed in at %v", r.ClientID, r.Proved)
		}
		tab.Go(t, "/audit")
		if got := tab.Text(t, ".history tbody tr"); !strings.Contains(got, "signed in") {
			t.Errorf("the audit log says %q", got)
		}
	})
	t.Run("what a script sends waits in a dialog, and pages that were open before go on", func(t *testing.T) {
		w.WorkerPool(t, "p/linux", "static", `{}`)
		if _, err := w.Pool.Exec(t.Context(), `INSERT INTO queue_workers (task_queue_id, worker_group, worker_id) VALUES ('p/linux', 'rack', 'one')`); err != nil {
			t.Fatal(err)
		}
		tab.Go(t, "/worker-manager/p%2Flinux?tab=workers")
		w.age(t)
		tab.Wait(t, `document.querySelectorAll(".v-row").length === 1`)
		tab.Keys(t, "jq")
		tab.Wait(t, `document.querySelector("#hold")?.contains(document.activeElement)`)
		tab.Type(t, "#hold [name=reason]", "it smokes")
		tab.Click(t, "#hold button[value=quarantine]")
		tab.Wait(t, `document.querySelector("#again-dialog[open]") !== null && document.activeElement.id === "sign-in-again"`)
		tab.Inspect(t, "sign-in-again-dialog")
		w.signInAgain(t, tab)
		tab.Wait(t, `document.activeElement.id === "send-again"`)
		tab.Keys(t, kb.Enter)
		tab.Wait(t, `document.querySelector("#again-dialog") === null`)
		k := roster.Key{TaskQueueID: "p/linux", WorkerGroup: "rack", WorkerID: "one"}
		tab.Wait(t, `document.querySelectorAll("#results li .good").length === 1`)
		if held, err := w.Queue.Roster().Quarantined(t.Context(), k); err != nil || !held {
			t.Errorf("it is not held: %v", err)
		}
	})
	t.Run("who lets it be is told what was not done", func(t *testing.T) {
		tab.Go(t, "/worker-manager/p%2Flinux?tab=workers")
		w.age(t)
		tab.Wait(t, `document.querySelectorAll(".v-row").length === 1`)
		tab.Keys(t, "jq")
		tab.Wait(t, `document.querySelector("#hold")?.contains(document.activeElement)`)
		tab.Click(t, "#hold button[value=lift]")
		tab.Wait(t, `document.querySelector("#again-dialog[open]") !== null`)
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `document.querySelector("#again-dialog") === null && document.querySelector(".toast.bad, .notice.danger") !== null`)
	})
	t.Run("a program gets no credentials, until then", func(t *testing.T) {
		tab.Go(t, w.signin())
		w.age(t)
		tab.Click(t, "button[value=allow]")
		tab.Wait(t, `document.querySelector("#send-again") !== null && document.body.dataset.ready === "true"`)
		w.signInAgain(t, tab)
		tab.Wait(t, `document.activeElement.id === "send-again"`)
		tab.Keys(t, kb.Enter)
		tab.Wait(t, `document.querySelector("#arrived") !== null`)
		if q := <-w.visits; q.Get("accessToken") == "" {
			t.Errorf("the program is told %v", q)
		}
	})
	t.Run("a provider that asks nobody anew does not help", func(t *testing.T) {
		w.idp.Misbehave(idptest.Faults{Signed: 3 * time.Hour})
		defer w.idp.Misbehave(idptest.Faults{})
		tab.Go(t, "/")
		uitest.Eval[bool](t, tab, `location.assign("/login/again?next=%2Flogin%2Fagain%2Fdone"), true`)
		tab.Wait(t, `document.title === "Example Identity"`)
		tab.Type(t, "input[name=name]", "ada")
		tab.Type(t, "input[name=password]", "correct horse\r")
		tab.Wait(t, `document.querySelector("#again-done[data-fresh=false]") !== null && document.body.dataset.ready === "true"`)
		tab.Inspect(t, "signed-in-too-long-ago")
	})
}

// Without a script, and for clients that signed in with credentials of their own, the way is the same.
func TestAStaleSessionWithoutAScript(t *testing.T) {
	w := watchful(t)
	b := w.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	form := func(path string) url.Values {
		page := b.Get(t, path)
		out := url.Values{}
		for _, field := range page.Find("form.editor input") {
			out.Set(uitest.Attr(field, "name"), uitest.Attr(field, "value"))
		}
		return out
	}
	f := form("/auth/new-role")
	f.Set("id", "one")
	f.Set("scopes", "a\nb")
	f.Set("description", `<b>"quoted"</b> & more`)
	w.age(t)
	t.Run("reviewing changes nothing, and is not asked", func(t *testing.T) {
		f.Set("act", "review")
		if page := b.Post(t, "/auth/new-role", f); page.Status != http.StatusOK || len(page.Find("#review")) != 1 {
			t.Errorf("status %d", page.Status)
		}
	})
	t.Run("all that was sent is on the page, to be sent once more after the sign-in", func(t *testing.T) {
		f.Set("act", "save")
		page := b.Post(t, "/auth/new-role", f)
		if page.Status != http.StatusForbidden {
			t.Fatalf("status %d", page.Status)
		}
		kept := url.Values{}
		for _, field := range page.Find("#again form input") {
			kept.Add(uitest.Attr(field, "name"), uitest.Attr(field, "value"))
		}
		if kept.Encode() != f.Encode() {
			t.Errorf("it keeps %v\nof %v", kept, f)
		}
		link := uitest.Attr(page.Find("#sign-in-again")[0], "href")
		signIn := b.Get(t, link)
		if id := signIn.Find("input[name=clientId]"); len(id) != 1 || uitest.Attr(id[0], "value") != uitest.Admin {
			t.Errorf("%s asks for other credentials", link)
		}
		b.SignIn(t, uitest.Admin, uitest.AdminToken)
		if page := b.Post(t, "/auth/new-role", kept); page.Status != http.StatusOK {
			t.Errorf("status %d", page.Status)
		}
		if r, err := w.Auth.Role(t.Context(), "one"); err != nil || r.Description != f.Get("description") {
			t.Errorf("got %+v, %v", r, err)
		}
	})
	t.Run("forms of before are worth nothing to somebody else", func(t *testing.T) {
		f := form("/auth/new-role")
		b.SignIn(t, uitest.Dev, uitest.DevToken)
		f.Set("id", "two")
		f.Set("act", "save")
		b.Post(t, "/auth/new-role", f)
		b.SignIn(t, uitest.Admin, uitest.AdminToken)
		if page := b.Post(t, "/auth/new-role", f); page.Status == http.StatusOK && len(page.Find("#ended")) == 0 {
			t.Errorf("status %d", page.Status)
		}
		if _, err := w.Auth.Role(t.Context(), "two"); err == nil {
			t.Error("the role is there")
		}
	})
	t.Run("the sign-in ends the session that it renews", func(t *testing.T) {
		copied := b.Copy(t)
		if page := copied.Get(t, "/profile"); len(page.Find("#identity")) != 1 {
			t.Fatal("the copy is not signed in")
		}
		b.SignIn(t, uitest.Admin, uitest.AdminToken)
		if page := copied.Get(t, "/profile"); len(page.Find("#identity")) != 0 {
			t.Error("the copy is signed in still")
		}
	})
	t.Run("temporary credentials are not for the taking", func(t *testing.T) {
		w.age(t)
		page := b.Post(t, "/login/credentials", form("/auth/new-role"))
		if page.Status != http.StatusConflict && page.Status != http.StatusForbidden {
			t.Errorf("status %d", page.Status)
		}
	})
}
