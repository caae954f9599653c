package jobs_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/app"
	"github.com/treeline-ci/treeline/app/apptest"
	project "github.com/treeline-ci/treeline/app/sample"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestAddJobs adds jobs to a push of a whole server, which decides it by itself.
func TestAddJobs(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "pebble")
	if _, err := project.Create(t.Context(), repo); err != nil {
		t.Fatal(err)
	}
	// A change of the documentation needs few jobs; what else there is can be added.
	if err := os.WriteFile(filepath.Join(repo, "README.md"), []byte("# Pebble\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := apptest.Start(t, func(c *app.Config) {
		c.Repositories = []app.LocalRepository{{Path: repo}}
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
		c.StaticClients = []auth.StaticClient{
			{ClientID: uitest.Admin, AccessToken: uitest.AdminToken, Scopes: []string{"*"}}, {ClientID: uitest.Dev, AccessToken: uitest.DevToken},
		}
	})
	s := &uitest.Site{URL: server.URL}
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=pebble")
	tab.Wait(t, `document.querySelectorAll("b.c").length > 3`)
	// The decision task has published its graph when it is done.
	tab.Wait(t, `document.querySelector("b.c.passed") !== null`)
	uitest.Eval[bool](t, tab, watchPosts)
	openAdd := func(tab *uitest.Tab) {
		t.Helper()
		uitest.Eval[any](t, tab, `document.querySelector(".push-menu summary").click()`)
		tab.Wait(t, `document.querySelector("[data-menu=add]") !== null`)
		uitest.Eval[any](t, tab, `document.querySelector("[data-menu=add]").click()`)
		tab.Wait(t, `document.querySelectorAll(".job-labels li").length > 3`)
	}
	openAdd(tab)
	tab.Keys(t, "test")
	tab.Wait(t, `document.querySelectorAll(".job-labels mark").length > 3`)
	labels := uitest.Eval[[]string](t, tab, `(() => { const list = [...document.querySelectorAll(".job-labels li")].slice(0, 3); list.forEach(l => l.click()); return list.map(l => l.innerText.replace("✓", "").trim()) })()`)
	tab.Wait(t, fmt.Sprintf(`document.querySelector("[data-trigger]").innerText === "Trigger %d new jobs"`, len(labels)))
	uitest.Eval[any](t, tab, `(() => { const b = document.querySelector("[data-trigger]"); b.click(); b.click() })()`)
	tab.Wait(t, `!document.querySelector("#add-jobs").open`)
	posts := uitest.Eval[[]string](t, tab, `posts`)
	if len(posts) != 1 || !strings.Contains(posts[0], "/ui/api/jobs/add/") || strings.Count(posts[0], "label=") != len(labels) {
		t.Errorf("the page sent %q for %q", posts, labels)
	}
	tab.Wait(t, `[...document.querySelectorAll("b.c")].some(e => e.getAttribute("aria-label").includes("add-new"))`+
		` || [...document.querySelectorAll("b.c")].some(e => /add new jobs|Action/i.test(e.getAttribute("aria-label")))`)

	t.Run("they are added from the grid, with what they take", func(t *testing.T) {
		commit := exec.CommandContext(t.Context(), "git", "commit", "-q", "-a", "-m", "Say less")
		commit.Dir = repo
		if out, err := commit.CombinedOutput(); err != nil {
			t.Fatalf("git commit: %v: %s", err, out)
		}
		tab.Go(t, "/jobs?repo=pebble")
		const newest = `document.querySelectorAll("section.push")[0]`
		patiently(t, tab, `document.querySelectorAll("section.push").length === 2 && `+newest+`.querySelector("b.c.passed") !== null`)
		uitest.Eval[bool](t, tab, watchPosts)
		tab.Keys(t, "+")
		tab.Wait(t, `document.querySelector("b.c.ghost") !== null`)
		before := uitest.Eval[string](t, tab, `document.querySelector("b.c.ghost").getAttribute("aria-label").split(",")[0]`)
		uitest.Eval[any](t, tab, `document.querySelector("b.c.ghost").click()`)
		tab.Wait(t, `document.querySelector("[data-add]").innerText === "Trigger 1 job" && document.querySelector(".estimate").innerText !== ""`)
		uitest.Eval[any](t, tab, `(() => { const b = document.querySelector("[data-add]"); b.click(); b.click() })()`)
		tab.Wait(t, `document.querySelector(".adding") === null && document.querySelector(".toast a")?.innerText === "See the task"`)
		sent := uitest.Eval[[]string](t, tab, `posts.filter(p => p.includes("/ui/api/jobs/add/"))`)
		if len(sent) != 1 || !strings.HasSuffix(sent[0], "label="+before) {
			t.Errorf("the page sent %q for %s", sent, before)
		}
		// The job exists when the action has run: it is a task like any other then.
		patiently(t, tab, fmt.Sprintf(`[...%s.querySelectorAll("b.c:not(.ghost)")].some(e => e.getAttribute("aria-label").startsWith(%q))`, newest, before+","))
	})
	t.Run("who may not is told why", func(t *testing.T) {
		dev := s.Tab(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		dev.Go(t, "/jobs?repo=pebble")
		dev.Wait(t, `document.querySelectorAll("b.c").length > 3`)
		openAdd(dev)
		dev.Wait(t, `document.querySelector("[data-trigger]").disabled && document.querySelector("#add-jobs .why")?.innerText.includes("trigger-hook")`)
	})
}

// patiently waits for what a whole server does, which may take longer than what a page does.
func patiently(t *testing.T, tab *uitest.Tab, expression string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !uitest.Eval[bool](t, tab, expression); <-time.After(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the page never came to %s", expression)
		}
	}
}
