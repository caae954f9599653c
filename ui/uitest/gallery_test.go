package uitest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestEveryPage looks at the pages as Inspect does; none complains (see Tab).
func TestEveryPage(t *testing.T) {
	s := uitest.New(t)
	empty := s.Tab(t)
	empty.Go(t, "/")
	empty.Shot(t, "first-run")
	group, ids := sample(t, s)
	log := s.Log(t, ids["test-macosx64-unit-1"])
	log.Write(t, "\x1b[1;31mFAIL\x1b[0m \x1b[38;5;208morange\x1b[0m \x1b[44;97m blue \x1b[0m "+strings.Repeat("a long line ", 60)+"\n\x1b[38;2;120;200;80mgreen\x1b[0m\n")
	s.Repository(t, "a-repository-with-quite-a-long-name-and-no-push")
	pages := []struct{ name, path string }{
		{"home", "/"},
		{"task", "/tasks/" + ids["test-linux64-unit-2"]},
		{"task-log", "/tasks/" + ids["test-macosx64-unit-1"] + "?tab=log"},
		{"task-artifacts", "/tasks/" + ids["test-macosx64-unit-1"] + "?tab=artifacts"},
		{"task-definition", "/tasks/" + ids["test-linux64-unit-2"] + "?tab=definition"},
		{"task-deps", "/tasks/" + ids["test-linux64-unit-2"] + "?tab=deps"},
		{"log", "/tasks/" + ids["test-macosx64-unit-1"] + "/runs/0/logs/public/logs/live.log"},
		{"group", "/tasks/groups/" + group},
		{"timeline", "/tasks/groups/" + group + "?view=timeline"},
		{"groups", "/tasks/groups"},
		{"login", "/login"},
		{"missing", "/tasks/" + slug.New()},
	}
	tab := s.Tab(t)
	tab.Expect("404 (Not Found)") // the page that is missing
	for _, p := range pages {
		t.Run(p.name, func(t *testing.T) {
			tab.Go(t, p.path)
			if p.name == "log" || p.name == "task-log" {
				tab.Wait(t, `document.querySelectorAll(".ln").length === 2`)
			}
			tab.Inspect(t, p.name)
		})
	}
}

func TestTheme(t *testing.T) {
	s := uitest.New(t)
	tab := s.Tab(t)
	background := `getComputedStyle(document.documentElement).backgroundColor`
	tab.Go(t, "/")
	tab.Click(t, ".theme-form button") // light
	tab.Click(t, ".theme-form button") // dark
	tab.Wait(t, background+` === "rgb(18, 21, 23)"`)
	t.Run("the next page comes dark from the server", func(t *testing.T) {
		tab.Go(t, "/login")
		if got := uitest.Eval[string](t, tab, `document.documentElement.dataset.theme + " " + `+background); got != "dark rgb(18, 21, 23)" {
			t.Errorf("got %s", got)
		}
	})
	tab.Click(t, ".theme-form button") // as the system
	tab.Wait(t, background+` === "rgb(247, 247, 245)"`)
}

func TestKeys(t *testing.T) {
	s := uitest.New(t)
	_, ids := sample(t, s)
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=sample")
	t.Run("? shows the keys of this page, and closes again", func(t *testing.T) {
		tab.Keys(t, "?")
		tab.Wait(t, `document.querySelector("dialog").open`)
		if got := tab.Text(t, "dialog"); !strings.Contains(got, "next unclassified failure") || !strings.Contains(got, "search") {
			t.Errorf("got %q", got)
		}
		tab.Shot(t, "keys")
		tab.Keys(t, "?")
		tab.Wait(t, `!document.querySelector("dialog").open`)
		tab.Keys(t, "?")
		tab.Wait(t, `document.querySelector("dialog").open`)
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `!document.querySelector("dialog").open`)
	})
	t.Run("letters in a field are letters", func(t *testing.T) {
		tab.Keys(t, "/"+"rjug")
		tab.Wait(t, `document.querySelector("[data-find]").value === "rjug"`)
		if tab.Count(t, ".toast") != 0 || tab.Count(t, ".panel") != 0 {
			t.Error("a letter did something")
		}
		tab.Keys(t, kb.Escape)
	})
	for _, c := range []struct{ keys, path string }{{"gg", "/tasks/groups"}, {"gh", "/hooks"}} {
		t.Run(c.keys+" goes to "+c.path, func(t *testing.T) {
			tab.Keys(t, c.keys)
			tab.Wait(t, fmt.Sprintf(`location.pathname === %q && document.body.dataset.ready === "true"`, c.path))
		})
	}
	t.Run("the search of the header finds a task by its id", func(t *testing.T) {
		tab.Keys(t, "/"+ids["build-linux64"]+"\r")
		tab.Wait(t, fmt.Sprintf(`location.pathname === "/tasks/%s" && document.body.dataset.ready === "true"`, ids["build-linux64"]))
	})
	t.Run("the palette finds a task by its id, areas by letters, and closes again", func(t *testing.T) {
		palette := `document.querySelector("dialog.palette[open]")`
		tab.Chord(t, "k")
		tab.Wait(t, palette+` !== null`)
		tab.Keys(t, ids["build-macosx64"])
		tab.Wait(t, palette+`?.querySelector("[aria-selected=true] .title")?.innerText === "build-macosx64"`)
		tab.Inspect(t, "palette")
		tab.Keys(t, "\r")
		tab.Wait(t, fmt.Sprintf(`location.pathname === "/tasks/%s" && document.body.dataset.ready === "true"`, ids["build-macosx64"]))
		tab.Chord(t, "k")
		tab.Wait(t, palette+` !== null`)
		tab.Keys(t, "tskgr")
		tab.Wait(t, palette+`?.querySelector("[aria-selected=true] .title")?.innerText === "Task groups"`)
		tab.Keys(t, kb.Escape)
		tab.Wait(t, palette+` === null`)
		tab.Chord(t, "k")
		tab.Wait(t, palette+`?.querySelector("[aria-selected=true] .kind")?.innerText === "recent"`)
		tab.Chord(t, "k")
		tab.Wait(t, palette+` === null`)
	})
	t.Run("gp goes back to the pushes of this repository", func(t *testing.T) {
		tab.Keys(t, "gp")
		tab.Wait(t, `location.pathname + location.search === "/jobs?repo=sample"`)
	})
}

// TestTabsShareOneStream opens more tabs than a browser opens connections to a server: all load, there is one stream,
// and what happens reaches each page that it belongs to, also after other tabs have gone.
func TestTabsShareOneStream(t *testing.T) {
	s := uitest.New(t)
	group, ids := sample(t, s)
	other, _ := s.Decide(t, s.Record(t, push.Push{Repository: "sample"}), uitest.Job{State: task.Running, Name: "elsewhere"})
	first := s.Tab(t)
	paths := []string{
		"/jobs?repo=sample", "/", "/tasks/groups/" + group, "/tasks/groups/" + other, "/tasks/groups", "/tasks/" + ids["test-macosx64-unit-1"], "/tasks/" + ids["build-linux64"],
	}
	tabs := []*uitest.Tab{first}
	for range paths[1:] {
		tabs = append(tabs, first.Beside(t))
	}
	const live = `document.querySelector("#live").dataset.live === "live"`
	for i, tab := range tabs {
		began := time.Now()
		tab.Go(t, paths[i])
		tab.Wait(t, live)
		t.Logf("%s is live after %v", paths[i], time.Since(began).Round(time.Millisecond))
	}
	if got := s.Streams(); got != 1 {
		t.Errorf("%d streams are open", got)
	}
	id := ids["test-macosx64-unit-1"]
	if _, err := s.Queue.ReportException(t.Context(), id, 0, task.ReasonWorkerShutdown); err != nil {
		t.Fatal(err)
	}
	tabs[0].Wait(t, fmt.Sprintf(`document.querySelector('b.c[data-id=%q]').classList.contains("pending")`, id))
	tabs[5].Wait(t, `document.querySelector("h1 ~ .status, .task-head .status, .status").classList.contains("st-pending")`)
	t.Run("tabs that close take nothing along", func(t *testing.T) {
		for _, tab := range tabs[1:] {
			tab.Close(t)
		}
		if _, err := s.Queue.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		tabs[0].Wait(t, fmt.Sprintf(`document.querySelector('b.c[data-id=%q]').classList.contains("cancelled")`, id))
	})
}

// TestTabsTellWhoSignedIn: a tab whose page was made for somebody else says so, when it is seen.
func TestTabsTellWhoSignedIn(t *testing.T) {
	s := uitest.New(t)
	sample(t, s)
	first := s.Tab(t)
	first.Go(t, "/jobs?repo=sample")
	second := first.Beside(t)
	second.Go(t, "/")
	second.SignIn(t, uitest.Admin, uitest.AdminToken)
	const told = `[...document.querySelectorAll(".toast")].some((t) => t.innerText.includes(%q))`
	first.Wait(t, fmt.Sprintf(told, "You signed in as "+uitest.Admin+" in another tab."))
	first.Shot(t, "told")
	first.Click(t, ".toast button")
	first.Wait(t, `document.querySelector("#user") !== null`)
	second.Click(t, "#user summary")
	second.Click(t, "#sign-out")
	first.Wait(t, fmt.Sprintf(told, "You signed out in another tab."))
	if got := second.Count(t, ".toast"); got != 0 {
		t.Errorf("%d messages in the tab where it happened", got)
	}
	t.Run("also where what follows is not for everybody", func(t *testing.T) {
		second.SignIn(t, uitest.Admin, uitest.AdminToken)
		first.Go(t, "/jobs?repo=sample")
		second.Expect("status of 403")
		second.Go(t, "/notify/denylist")
		second.Click(t, "#user summary")
		second.Click(t, "#sign-out")
		second.Wait(t, `document.querySelector(".error-page .button.primary") !== null`)
		first.Wait(t, fmt.Sprintf(told, "You signed out in another tab."))
	})
}

// TestReconnect takes the server away from a page: it says so, comes back by itself, and has missed
// nothing.
func TestReconnect(t *testing.T) {
	s := uitest.New(t)
	_, ids := sample(t, s)
	tab := s.Tab(t)
	tab.Expect("net::ERR_")
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	s.Down(true)
	tab.Wait(t, `document.querySelector("#live").innerText.startsWith("offline since")`)
	tab.Shot(t, "offline")
	id := ids["test-macosx64-unit-1"]
	if _, err := s.Queue.ReportCompleted(t.Context(), id, 0); err != nil {
		t.Fatal(err)
	}
	s.Down(false)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	tab.Wait(t, fmt.Sprintf(`document.querySelector('b.c[data-id=%q]').classList.contains("passed")`, id))
	if got := tab.Count(t, ".toast"); got != 0 {
		t.Errorf("%d messages were shown", got)
	}
}

// TestAPartThatIsLost drops a page's own part of the script: the page asks for it again, and says so when it does not come.
func TestAPartThatIsLost(t *testing.T) {
	s := uitest.New(t)
	sample(t, s)
	parts := ownParts(t, s.Tab(t), "/jobs?repo=sample")
	const notice = `document.querySelector("main > .notice[role=alert]")`
	tab := s.Tab(t) // which has none of them yet
	tab.Expect("net::ERR_")
	tab.Expect("Failed to fetch dynamically imported module")

	s.Lose(parts...)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, notice+`?.innerText.includes("could not be loaded")`)
	tab.Keys(t, "?") // what every page has is there
	tab.Wait(t, `document.querySelector("dialog[open]") !== null`)
	tab.Keys(t, "?")
	tab.Shot(t, "part-lost")
	s.Lose()
	tab.Click(t, "main > .notice button")
	tab.Wait(t, `document.querySelector("b.c") !== null && `+notice+` === null`)

	late := s.Tab(t)
	late.Expect("net::ERR_")
	s.Lose(parts...)
	back := time.AfterFunc(700*time.Millisecond, func() { s.Lose() })
	defer back.Stop()
	late.Go(t, "/jobs?repo=sample")
	late.Wait(t, `document.querySelector("b.c") !== null`)
	if uitest.Eval[bool](t, late, notice+` !== null`) {
		t.Error("the page says that a part is lost which came a little later")
	}
}

// ownParts are the parts of the script that a page loads and the one for signing in does not.
func ownParts(t *testing.T, tab *uitest.Tab, page string) []string {
	t.Helper()
	loaded := func(page string) []string {
		tab.Go(t, page)
		return uitest.Eval[[]string](t, tab, `performance.getEntriesByType("resource").map((e) => new URL(e.name).pathname).filter((p) => p.startsWith("/ui/assets/part."))`)
	}
	all := loaded("/login")
	own := slices.DeleteFunc(loaded(page), func(p string) bool { return slices.Contains(all, p) })
	if len(own) == 0 {
		t.Fatalf("%s has no part of its own", page)
	}
	return own
}
