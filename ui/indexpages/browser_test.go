package indexpages_test

import (
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// hostile tries to read what is ours, and tells its frame's parent what it got.
const hostile = `<!doctype html><h1>Report</h1><script>
const got = {};
const tell = (what, f) => { try { got[what] = String(f()); } catch (e) { got[what] = "refused"; } };
tell("cookie", () => document.cookie);
tell("storage", () => localStorage.length);
tell("parent", () => parent.document.title);
tell("top", () => { top.location.href = "/profile?stolen"; return "asked"; });
tell("form", () => { const f = document.createElement("form"); f.action = "/logout"; f.method = "post"; document.body.append(f); f.submit(); return "sent"; });
(async () => {
  for (const [what, url] of [["api", "/api/auth/v1/scopes/current"], ["page", "/profile"], ["data", "/ui/api/stream"], ["elsewhere", "https://evil.example.com/"]]) {
    try { got[what] = (await (await fetch(url, {credentials: "include"})).text()).slice(0, 20); } catch (e) { got[what] = "refused"; }
  }
  const image = new Image();
  image.onload = () => got.image = "loaded";
  image.onerror = () => got.image = "refused";
  image.src = "/ui/assets/none.png";
  try { new Worker("/tasks/x"); got.worker = "made"; } catch (e) { got.worker = "refused"; }
  got.origin = self.origin;
  setTimeout(() => parent.postMessage(got, "*"), 200);
})();
</script>`

func TestAHostileReport(t *testing.T) {
	site := uitest.New(t)
	id := site.Task(t, task.Running)
	site.Publish(t, id, "public/report.html", "text/html", strings.NewReader(hostile))
	site.Publish(t, id, "public/alone.html", "text/html", strings.NewReader(`<script>try { document.title = "read " + document.cookie } catch { document.title = "refused " + self.origin }</script>`))
	site.Publish(t, id, "public/data.json", "application/json", strings.NewReader(`{"suites": [{"name": "mochitest", "passed": 120, "failed": 0}], "ok": true}`))
	for i, path := range []string{"web.v1.latest.linux", "web.v1.latest.mac", "web.v1.revision.abc.linux", "api.v2.x"} {
		put(t, site, path, id, float64(i))
	}
	tab := site.Tab(t)
	for _, complaint := range []string{"sandboxed", "Content Security Policy", "violates", "Refused", "Blocked", "Unsafe attempt", "SecurityError", "foreign request: about:", "foreign request: https://evil.example.com/"} {
		tab.Expect(complaint)
	}
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	t.Run("can neither read nor ask for anything", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id)
		uitest.Eval[bool](t, tab, `addEventListener("message", e => globalThis.got = e.data), (() => {
			const f = document.createElement("iframe"); f.sandbox = "allow-scripts"; f.src = "/ui/artifact/`+id+`/0/public/report.html"; document.body.append(f); return true })()`)
		tab.Wait(t, `globalThis.got !== undefined`)
		for _, what := range []string{"cookie", "storage", "parent", "api", "page", "data", "elsewhere", "image", "worker"} {
			if got := uitest.Eval[string](t, tab, `globalThis.got["`+what+`"]`); got != "refused" {
				t.Errorf("%s: %q", what, got)
			}
		}
		if got := uitest.Eval[string](t, tab, `globalThis.got.origin + " " + location.pathname`); got != "null /tasks/"+id {
			t.Errorf("the report is of origin and the page at %q", got)
		}
	})
	t.Run("not even in a tab of its own", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `location.href = "/ui/artifact/`+id+`/0/public/alone.html", true`)
		tab.Wait(t, `document.title === "refused null"`)
	})
	t.Run("its page", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"/artifacts/public/report.html")
		tab.Shot(t, "artifact-report")
		if got := tab.Count(t, "#user"); got != 1 {
			t.Error("the report signed somebody out")
		}
	})
	t.Run("a document as a tree", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"/artifacts/public/data.json")
		if got := tab.Text(t, "#preview"); !strings.Contains(got, "suites") {
			t.Errorf("got %q", got)
		}
		tab.Inspect(t, "artifact-json")
	})
	t.Run("arrows move through the columns", func(t *testing.T) {
		tab.Go(t, "/tasks/index/web.v1")
		tab.Inspect(t, "index")
		tab.Keys(t, "j")
		tab.Wait(t, `document.activeElement.textContent.startsWith("latest")`)
		tab.Keys(t, "j")
		tab.Wait(t, `document.activeElement.textContent.startsWith("revision")`)
		tab.Keys(t, "l")
		tab.Wait(t, `decodeURIComponent(location.pathname) === "/tasks/index/web.v1.revision" && document.body.dataset.ready === "true"`)
	})
	t.Run("an entry", func(t *testing.T) {
		tab.Go(t, "/tasks/index/web.v1.latest/linux")
		tab.Inspect(t, "index-entry")
	})
}
