package actions_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	"golang.org/x/net/html"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	project "github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/auth/hawk"
	"github.com/treeline-ci/treeline/client"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// every is an action whose form has all kinds of fields.
const every = `
def run(context):
    print(context.input)

action(name = "every", title = "Every field", callback = run, order = 5, permission = "generic", description = "Shows **all** kinds of fields.", schema = {
    "type": "object", "required": ["flavor", "reason"], "additionalProperties": False,
    "properties": {
        "flavor": {"type": "string", "enum": ["promote", "ship"], "title": "Flavor", "description": "Which phase of the release."},
        "reason": {"type": "string", "title": "Reason", "minLength": 5, "maxLength": 80},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "title": "Count"},
        "ratio": {"type": "number", "title": "Ratio"},
        "dry": {"type": "boolean", "default": True, "title": "Only try"},
        "kinds": {"type": "array", "items": {"type": "string"}, "title": "Kinds"},
        "parts": {"type": "array", "items": {"type": "string", "enum": ["a", "b", "c"]}, "title": "Parts"},
        "jobs": {"type": "array", "title": "Jobs", "items": {"type": "object", "properties": {"label": {"type": "string", "title": "Label"}, "times": {"type": "integer", "title": "Times", "maximum": 5}}}},
        "place": {"type": "object", "title": "Place", "properties": {"host": {"type": "string", "title": "Host", "pattern": "^h"}, "port": {"type": "integer", "title": "Port"}}},
        "free": {"type": "object", "title": "Anything", "additionalProperties": {"type": "string"}, "description": "Names and texts."},
    },
})
`

// house is a whole server that watches the sample project.
type house struct {
	*uitest.Site
	root  *client.Client
	group string // of its decision
}

func newHouse(t *testing.T) *house {
	t.Helper()
	dir := t.TempDir()
	repo := filepath.Join(dir, "pebble")
	if _, err := project.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(repo, "taskcluster", "actions.star"), []byte(every), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "--amend", "--no-edit"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = repo
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
	server := apptest.Start(t, func(c *app.Config) {
		c.Repositories = []app.LocalRepository{{Path: repo}}
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.StaticClients = []auth.StaticClient{
			{ClientID: uitest.Admin, AccessToken: uitest.AdminToken, Scopes: []string{"*"}},
			{ClientID: uitest.Dev, AccessToken: uitest.DevToken, Scopes: []string{"hooks:trigger-hook:project-pebble/in-tree-action-3-generic/*"}},
		}
	})
	root, err := client.New(client.Config{RootURL: server.URL, Credentials: hawk.Credentials{ClientID: uitest.Admin, AccessToken: uitest.AdminToken}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{Site: &uitest.Site{URL: server.URL}, root: root}
	h.wait(t, "the push is decided", func() error {
		for g, err := range h.root.Groups(t.Context()) {
			if err != nil {
				return err
			}
			s, err := h.root.Status(t.Context(), g.TaskGroupID)
			if err == nil && s.State == task.Completed {
				h.group = g.TaskGroupID
				return nil
			}
		}
		return errors.New("no decision is completed")
	})
	return h
}

func (h *house) wait(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for err := check(); err != nil; err = check() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// named gives a task of the group by its name.
func (h *house) named(t *testing.T, name string) string {
	t.Helper()
	for item, err := range h.root.GroupTasks(t.Context(), h.group) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Task.Metadata.Name == name {
			return item.Status.TaskID
		}
	}
	t.Fatalf("there is no task %s", name)
	return ""
}

func (h *house) log(t *testing.T, id string) string {
	t.Helper()
	h.wait(t, "the action is done", func() error {
		s, err := h.root.Status(t.Context(), id)
		if err == nil && !s.State.Resolved() {
			err = errors.New(string(s.State))
		}
		return err
	})
	var b strings.Builder
	if _, err := h.root.DownloadArtifact(t.Context(), client.Download{TaskID: id, RunID: client.LatestRun, Name: "public/logs/live.log"}, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const onTask = `/^\/tasks\/[\w-]{22}$/.test(location.pathname)`

// actionTask is the action task whose page the tab shows.
func actionTask(t *testing.T, tab *uitest.Tab) string {
	t.Helper()
	tab.Wait(t, onTask)
	return uitest.Eval[string](t, tab, `location.pathname.slice(7)`)
}

func TestActionsInABrowser(t *testing.T) {
	h := newHouse(t)
	lint := h.named(t, "lint-shell")
	tab := h.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Expect("400 (Bad Request)")

	t.Run("the menu of a task offers what fits it, and a press starts what takes no input", func(t *testing.T) {
		tab.Go(t, "/tasks/"+lint)
		tab.Keys(t, "a")
		tab.Wait(t, `document.querySelector(".action-menu [data-action=cancel]") !== null`)
		tab.Shot(t, "action-menu-task")
		names := uitest.Eval[string](t, tab, `[...document.querySelectorAll(".action-menu [data-action]")].map(e => e.dataset.action).join(" ")`)
		if names != "retrigger rerun cancel" {
			t.Errorf("it offers %s", names)
		}
		tab.Click(t, ".action-menu [data-action=cancel]")
		tab.Wait(t, `document.querySelector(".action-menu [data-action=cancel]").innerText.endsWith(": really?")`)
		tab.Click(t, ".action-menu [data-action=cancel]")
		tab.Wait(t, `location.pathname !== "/tasks/`+lint+`" && document.querySelector(".task-head h1").innerText.startsWith("Action: Cancel")`)
		if log := h.log(t, actionTask(t, tab)); !strings.Contains(log, lint+" lint-shell: canceled") {
			t.Error(log)
		}
		tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "passed"`) // it moves by itself
		tab.Shot(t, "action-task")
	})
	t.Run("retrigger sends what a client of actions.json would send", func(t *testing.T) {
		tab.Go(t, "/tasks/"+lint)
		tab.Keys(t, "a")
		tab.Wait(t, `document.querySelector(".action-menu [data-action=retrigger]") !== null`)
		tab.Click(t, ".action-menu [data-action=retrigger]")
		tab.Wait(t, `document.querySelector("#start") !== null`)
		tab.Click(t, "#start")
		tab.Wait(t, `document.querySelector(".task-head h1")?.innerText.startsWith("Action: Retrigger")`)
		h.sameAsTheHook(t, actionTask(t, tab), "retrigger", lint)
	})
	t.Run("the menu goes by keys", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+h.group)
		tab.Keys(t, "a")
		tab.Wait(t, `document.activeElement.dataset.action === "every"`)
		tab.Shot(t, "action-menu-group")
		tab.Keys(t, kb.ArrowDown)
		first := uitest.Eval[string](t, tab, `document.activeElement.dataset.action`)
		if first != "add-new-jobs" {
			t.Errorf("an arrow leads to %q", first)
		}
		tab.Keys(t, kb.Escape)
		if uitest.Eval[bool](t, tab, `document.querySelector(".action-menu").open`) {
			t.Error("escape leaves it open")
		}
	})
	t.Run("what is wrong stands at its field, and what was right is still there", func(t *testing.T) {
		tab.Go(t, "/actions/"+h.group+"/every")
		tab.Shot(t, "action-form")
		tab.Type(t, `[name="in/reason"]`, "abc")
		uitest.Eval[string](t, tab, `document.querySelector('[name="in/flavor"]').value = "ship"`)
		tab.Type(t, `[name="in/place/host"]`, "elsewhere")
		tab.Type(t, `[name="in/free"]`, "a: 1")
		tab.Type(t, `[name="in/jobs/0/times"]`, "4")
		tab.Click(t, ".add")
		tab.Wait(t, `document.querySelector('[name="in/jobs/1/label"]') !== null`)
		tab.Type(t, `[name="in/jobs/1/label"]`, "second")
		tab.Click(t, "#start")
		tab.Wait(t, `document.querySelectorAll(".field-error").length >= 3`)
		tab.Shot(t, "action-form-faults")
		for field, says := range map[string]string{"in/reason": "must have at least 5 characters, and has 3", "in/place/host": "must match ^h", "in/free": "a: must be string, not number"} {
			got := uitest.Eval[string](t, tab, fmt.Sprintf(`document.querySelector('[name=%q]').closest(".field").querySelector(".field-error")?.innerText ?? ""`, field))
			if !strings.Contains(got, says) {
				t.Errorf("at %s stands %q, not %q", field, got, says)
			}
		}
		for field, want := range map[string]string{"in/reason": "abc", "in/flavor": "ship", "in/jobs/0/times": "4", "in/jobs/1/label": "second", "in/free": "a: 1"} {
			if got := uitest.Eval[string](t, tab, fmt.Sprintf(`document.querySelector('[name=%q]').value`, field)); got != want {
				t.Errorf("%s is %q now", field, got)
			}
		}
	})
	t.Run("and when it is right the action runs with it", func(t *testing.T) {
		for field, value := range map[string]string{"in/reason": "abcdef", "in/place/host": "here", "in/free": "a: x"} {
			uitest.Eval[string](t, tab, fmt.Sprintf(`document.querySelector('[name=%q]').value = %q`, field, value))
		}
		tab.Click(t, `[name="in/dry"]`)
		tab.Click(t, `[name="in/parts"][value=b]`)
		tab.Click(t, "#start")
		tab.Wait(t, `document.querySelector(".task-head h1")?.innerText === "Action: Every field"`)
		log := h.log(t, actionTask(t, tab))
		for _, part := range []string{`"count": 3`, `"dry": False`, `"flavor": "ship"`, `"free": {"a": "x"}`, `"jobs": [{"times": 4}, {"label": "second"}]`, `"parts": ["b"]`, `"host": "here"`, `"reason": "abcdef"`} {
			if !strings.Contains(log, part) {
				t.Errorf("the input lacks %s:\n%s", part, log)
			}
		}
	})
	t.Run("the input can be written as YAML", func(t *testing.T) {
		tab.Go(t, "/actions/"+h.group+"/every?raw=1")
		uitest.Eval[string](t, tab, `document.querySelector('[name="in"]').value = "flavor: ship\nreason: x: y"`)
		tab.Click(t, "#start")
		tab.Wait(t, `document.querySelector(".field-error") !== null`)
		tab.Shot(t, "action-yaml")
		uitest.Eval[string](t, tab, `document.querySelector('[name="in"]').value = "flavor: ship\nreason: by YAML\n"`)
		tab.Click(t, "#start")
		tab.Wait(t, `document.querySelector(".task-head h1")?.innerText === "Action: Every field"`)
		if log := h.log(t, actionTask(t, tab)); !strings.Contains(log, `"reason": "by YAML"`) {
			t.Error(log)
		}
	})
	t.Run("the panel of the grid has the menu, too", func(t *testing.T) {
		tab.Go(t, "/jobs?repo=pebble&selectedTaskRun="+lint+".0")
		tab.Wait(t, `document.querySelector(".panel summary[data-actions]") !== null`)
		tab.Keys(t, "a")
		tab.Wait(t, `document.querySelector(".panel [data-action=rerun]") !== null`)
		tab.Shot(t, "action-menu-panel")
		if names := uitest.Eval[string](t, tab, `[...document.querySelectorAll(".panel .action-menu [data-action]")].map(e => e.dataset.action).join(" ")`); names != "retrigger rerun cancel" {
			t.Errorf("it offers %s", names) // and nothing whose context does not fit the task
		}
		if got := uitest.Eval[bool](t, tab, `[...document.querySelectorAll(".panel .action-menu .drop button, .panel .action-menu .drop a")].every(e => { const r = e.getBoundingClientRect(); return [r.left + 9, r.right - 9].every(x => e.contains(document.elementFromPoint(x, r.top + r.height / 2))); })`); !got {
			t.Error("some of it cannot be pressed")
		}
	})
	t.Run("who may not is told why", func(t *testing.T) {
		other := h.Tab(t)
		other.SignIn(t, uitest.Dev, uitest.DevToken)
		other.Go(t, "/tasks/groups/"+h.group)
		other.Click(t, "summary[data-actions]")
		other.Wait(t, `document.querySelector("[data-action=release-promotion]") !== null`)
		other.Shot(t, "action-menu-forbidden")
		if !uitest.Eval[bool](t, other, `document.querySelector("[data-action=release-promotion]").disabled && !document.querySelector("[data-action=add-new-jobs]").disabled`) {
			t.Error("the wrong actions are offered")
		}
		if text := other.Text(t, ".action-menu .drop"); !strings.Contains(text, "It needs the scope hooks:trigger-hook:project-pebble/in-tree-action-3-release-promotion/") {
			t.Error(text)
		}
		other.Go(t, "/actions/"+h.group+"/release-promotion")
		other.Shot(t, "action-form-forbidden")
		if !uitest.Eval[bool](t, other, `document.querySelector("#start").disabled`) {
			t.Error("the button can be pressed")
		}
	})
	t.Run("every look", func(t *testing.T) {
		for _, look := range []struct {
			name          string
			width, height int64
			dark          bool
		}{{"dark", 1280, 860, true}, {"narrow", 390, 844, false}, {"narrow-dark", 390, 844, true}} {
			tab.Size(t, look.width, look.height)
			tab.Dark(t, look.dark)
			for name, path := range map[string]string{"list": "/actions/" + h.group, "form": "/actions/" + h.group + "/every", "promotion": "/actions/" + h.group + "/release-promotion", "confirm": "/actions/" + h.group + "/cancel-all"} {
				tab.Go(t, path)
				tab.Shot(t, "action-"+name+"-"+look.name)
				if got := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
					t.Errorf("%s %s is %d pixels too wide", look.name, name, got)
				}
			}
			tab.Go(t, "/tasks/groups/"+h.group)
			tab.Click(t, "summary[data-actions]")
			tab.Wait(t, `document.querySelector("[data-action=release-promotion]") !== null`)
			tab.Shot(t, "action-menu-"+look.name)
			if !uitest.Eval[bool](t, tab, `(() => { const r = document.querySelector(".action-menu .drop").getBoundingClientRect(); return r.left >= 0 && r.right <= innerWidth && r.bottom <= innerHeight; })()`) {
				t.Errorf("%s: the menu sticks out", look.name)
			}
		}
	})
}

func TestActionsWithoutScript(t *testing.T) {
	h := newHouse(t)
	b := h.Browser(t)
	b.SignIn(t, uitest.Admin, uitest.AdminToken)
	page := b.Get(t, "/tasks/groups/"+h.group)
	list := slices.DeleteFunc(page.Find(".acts a"), func(a *html.Node) bool { return !strings.HasPrefix(uitest.Attr(a, "href"), "/actions/") })
	if len(list) != 1 {
		t.Fatalf("the group has %d links to actions", len(list))
	}
	page = b.Get(t, uitest.Attr(list[0], "href"))
	var href string
	for _, a := range page.Find(".action-list a") {
		if strings.HasSuffix(uitest.Attr(a, "href"), "/release-promotion") {
			href = uitest.Attr(a, "href")
		}
	}
	page = b.Get(t, href)
	form := map[string][]string{}
	for _, in := range page.Find(".action-form input") {
		if name := uitest.Attr(in, "name"); name != "" {
			form[name] = []string{uitest.Attr(in, "value")}
		}
	}
	form["in/release_promotion_flavor"] = []string{"nothing"}
	page = b.Post(t, href, form)
	if page.Status != http.StatusBadRequest || !strings.Contains(page.Text(".faulty .field-error"), "must be") {
		t.Fatalf("%d: %s", page.Status, page.Text("main"))
	}
	form["in/release_promotion_flavor"] = []string{"publish"}
	first := b.Post(t, href, form)
	again := b.Post(t, href, form) // a double click
	if first.Status != http.StatusOK || first.Text("h1") != "Action: Release Promotion" || again.URL.Path != first.URL.Path {
		t.Errorf("%d %s %s, and then %s", first.Status, first.Text("h1"), first.URL, again.URL)
	}
	form["csrf"] = []string{"forged"}
	if page := b.Post(t, href, form); page.Status != http.StatusForbidden {
		t.Errorf("a forged form: %d", page.Status)
	}
}
