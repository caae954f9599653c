package create_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// definition is a text whose line 12 is its maxRunTime, for tests that break one line.
func definition(now time.Time) string {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	return `taskQueueId: garden/linux
schedulerId: spring
created: ` + stamp(now) + `
deadline: ` + stamp(now.Add(2*time.Hour)) + `
retries: 2
routes:
  - index.garden.latest
scopes: []
payload:
  command:
    - [sh, -c, make test]
  maxRunTime: 600
metadata:
  name: Test
  description: Tests it.
  owner: ada@example.com
  source: https://example.com/x
`
}

// broken are ten mistakes, the line that is to be marked, and a part of what is said.
var broken = []struct {
	old, with, says string
	line            int
}{
	{"taskQueueId: garden/linux", "taskQueueId: garden", "taskQueueId", 1},
	{"retries: 2", "retries: 80", "retries", 5},
	{"retries: 2", "retires: 2", `"retires" is not known`, 5},
	{"  - index.garden.latest", "  - 7", "routes", 7},
	{"scopes: []", "scopes: [\"a**\"]", "scope", 8},
	{"  maxRunTime: 600", "  maxRunTime: soon", "maxRunTime", 12},
	{"  owner: ada@example.com\n", "", "owner", 13},
	{"metadata:", "metadata: {", "no YAML", 13},
	{"  name: Test", "  name: Test\n  name: Again", "stands here twice", 15},
	{"    - [sh, -c, make test]", "\t- [sh, -c, make test]", "tab", 11},
}

func set(t *testing.T, tab *uitest.Tab, text string) {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	uitest.Eval[bool](t, tab, `(document.body.dataset.checked = "", treelineCreate.editor.setText(`+string(quoted)+`), treelineCreate.lint.soon(0), true)`)
	tab.Wait(t, `document.body.dataset.checked !== ""`)
}

func open(t *testing.T, tab *uitest.Tab, path, kind string) {
	t.Helper()
	tab.Go(t, path)
	tab.Wait(t, fmt.Sprintf(`document.body.dataset.editor === %q && document.body.dataset.checked !== undefined`, kind))
}

func TestCreate(t *testing.T) {
	s := uitest.New(t)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	for kind, query := range map[string]string{"island": "", "plain": "?editor=plain"} { // C1 and C2
		t.Run(kind, func(t *testing.T) {
			open(t, tab, "/tasks/create"+query, kind)
			text := definition(time.Now())
			for _, b := range broken {
				wrong := strings.Replace(text, b.old, b.with, 1)
				if wrong == text {
					t.Fatalf("%q is not in the text", b.old)
				}
				set(t, tab, wrong)
				says := uitest.Eval[string](t, tab, fmt.Sprintf(`document.querySelector('#problems li[data-line="%d"]')?.innerText ?? document.querySelector("#problems").innerText`, b.line))
				if !strings.Contains(says, fmt.Sprintf("Line %d ", b.line)) || !strings.Contains(says, b.says) {
					t.Errorf("%q: want line %d and %q, the page says %q", b.with, b.line, b.says, says)
				}
				if kind == "island" && uitest.Eval[int](t, tab, `document.querySelector(".editor-host").shadowRoot.querySelectorAll(".cm-lintRange, .cm-lint-marker").length`) == 0 {
					t.Errorf("%q: nothing is marked in the editor", b.with)
				}
			}
			set(t, tab, text)
			tab.Wait(t, `!document.querySelector("#create").disabled`)
			tab.Click(t, "#create")
			tab.Wait(t, `/^\/tasks\/[A-Za-z0-9_-]{22}$/.test(location.pathname)`)
			id := strings.TrimPrefix(uitest.Eval[string](t, tab, "location.pathname"), "/tasks/")
			d, err := s.Queue.Task(t.Context(), id)
			if err != nil || d.TaskQueueID != "garden/linux" || d.Metadata.Name != "Test" {
				t.Errorf("%+v %v", d, err)
			}
		})
	}
	t.Run("typing asks once, after a pause, and an older question is given up", func(t *testing.T) {
		open(t, tab, "/tasks/create", "island")
		asked := uitest.Eval[int](t, tab, "treelineCreate.lint.asked")
		uitest.Eval[bool](t, tab, `(treelineCreate.editor.focus(), true)`)
		tab.Keys(t, "# spring")
		tab.Wait(t, fmt.Sprintf("treelineCreate.lint.asked === %d", asked+1))
		uitest.Eval[bool](t, tab, `(document.body.dataset.checked = "", treelineCreate.lint.soon(0), setTimeout(() => treelineCreate.lint.soon(0), 0), true)`)
		tab.Wait(t, `document.body.dataset.checked !== ""`)
	})
	t.Run("keys of the page stay out of the editor, and the help follows the cursor", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(treelineCreate.editor.go(8), true)`)
		tab.Wait(t, `document.querySelector("#place-help").innerText.includes("maxRunTime")`)
		tab.Keys(t, "?/r")
		if tab.Count(t, "dialog[open]") != 0 || uitest.Eval[bool](t, tab, `document.activeElement.id === "search"`) {
			t.Error("typing into the editor did something on the page")
		}
		tab.Keys(t, kb.Escape)
		if uitest.Eval[bool](t, tab, `document.querySelector(".editor-host").shadowRoot.activeElement !== null`) {
			t.Error("escape does not leave the editor")
		}
	})
	t.Run("what could not be created is not lost", func(t *testing.T) { draft(t, s, tab) })
	t.Run("a task for people", func(t *testing.T) { interactive(t, s, tab) })
}

// draft is C5: a session that ended, a refusal, and the text again after signing in.
func draft(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	open(t, tab, "/tasks/create", "island")
	text := strings.Replace(definition(time.Now()), "Tests it.", "Written with care.", 1)
	set(t, tab, text)
	tab.Wait(t, `!document.querySelector("#create").disabled`)
	tab.Expect("403")
	uitest.Eval[bool](t, tab, `(fetch("/logout", {method: "POST", body: new URLSearchParams({csrf: JSON.parse(document.querySelector("#boot").text).csrf, next: "/"})}), true)`)
	tab.Wait(t, `fetch("/ui/api/create/check", {method: "POST", body: new URLSearchParams({text: "a: b"})}).then(() => fetch("/login")).then((r) => r.text()).then((h) => h.includes('id="sign-in"'))`)
	uitest.Eval[bool](t, tab, `(document.querySelector("#create").click(), true)`)
	tab.Wait(t, `location.pathname === "/login" || document.querySelector(".toast.bad") !== null`)
	tab.Go(t, "/login?next=/tasks/create")
	tab.Type(t, "input[name=clientId]", uitest.Admin)
	tab.Type(t, "input[name=accessToken]", uitest.AdminToken+"\r")
	tab.Wait(t, `location.pathname === "/tasks/create" && document.body.dataset.editor === "island"`)
	if got := uitest.Eval[string](t, tab, "treelineCreate.editor.text()"); !strings.Contains(got, "Written with care.") {
		t.Errorf("the draft is gone: %s", got)
	}
	if !strings.Contains(tab.Text(t, "#draft"), "Your draft of") {
		t.Error("nobody says that it is a draft")
	}
	tab.Click(t, "#drop-draft")
	tab.Wait(t, `!treelineCreate.editor.text().includes("care")`)
}

// interactive is C6.
func interactive(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	open(t, tab, "/tasks/create", "island")
	set(t, tab, strings.Replace(definition(time.Now()), "  maxRunTime: 600\n", "  maxRunTime: 600\n  mounts:\n    - {cacheName: garden-level-1, directory: cache}\n    - {directory: in, content: {url: \"https://example.com/a.tar.gz\"}, format: tar.gz}\n", 1))
	tab.Click(t, "#do-interactive")
	tab.Wait(t, `treelineCreate.editor.text().includes("TASKCLUSTER_INTERACTIVE")`)
	text := uitest.Eval[string](t, tab, "treelineCreate.editor.text()")
	for _, want := range []string{"interactive: true", "maxRunTime: 3600", "a.tar.gz"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	for _, gone := range []string{"cacheName", "routes"} {
		if strings.Contains(text, gone) {
			t.Errorf("%q in %s", gone, text)
		}
	}
	tab.Click(t, "#do-interactive")
	tab.Wait(t, `treelineCreate.editor.text().includes("cacheName")`)
	other := s.Tab(t)
	other.SignIn(t, uitest.Dev, uitest.DevToken)
	open(t, other, "/tasks/create?interactive=1", "island")
	other.Wait(t, `document.querySelectorAll("#needs .lacking").length >= 3`)
	if text := other.Text(t, "#needs"); !strings.Contains(text, "queue:scheduler-id:-") || !strings.Contains(text, "you lack it") {
		t.Error(text)
	}
	if other.Count(t, "#create:disabled") != 1 {
		t.Error("who lacks scopes may press the button")
	}
	other.Inspect(t, "create")
}
