package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/treeline-ci/treeline/ui/uitest"
)

// walk goes from page to page by their links, as somebody who tries everything; of pages of one kind it looks at the
// first.
type walk struct {
	browser *uitest.Browser
	seen    map[string]bool // kinds
	pages   []string        // in the order in which they were found, one of each kind
}

// Downloads and pages that describe the API, which have no layout.
var beside = regexp.MustCompile(`^/(references|schemas|api|ui/assets|ui/api)/|/runs/[0-9]+/(public|private)/|format=|/(export|raw)\b`)

var slugs = regexp.MustCompile(`[A-Za-z0-9_-]{22}`)

// kindOf is an address without what makes it one of many: names below areas, and the values of its query but for the
// view it asks for.
func kindOf(address *url.URL) string {
	steps := strings.Split(slugs.ReplaceAllString(address.Path, "ID"), "/")
	for i := range steps {
		named := i < 2 || i == 2 && (steps[1] == "tasks" || steps[1] == "auth") || steps[i] == "runs" || steps[i] == "logs"
		if !named {
			steps[i] = "*"
		}
	}
	if i := slices.Index(steps, "logs"); i > 0 {
		steps = steps[:i+1]
	}
	q := address.Query()
	return strings.Join(steps, "/") + " " + q.Get("tab") + q.Get("view")
}

// from follows links, at most so many pages; a page that is not there, or has no title and one h1, fails the test.
func (w *walk) from(t *testing.T, start string, most int) {
	t.Helper()
	for queue := []string{start}; len(queue) > 0 && len(w.pages) < most; queue = queue[1:] {
		path := queue[0]
		page := w.browser.Get(t, path)
		if page.Status != http.StatusOK {
			t.Errorf("%s: status %d: %s", path, page.Status, page.Text("main"))
			continue
		}
		if !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
			continue
		}
		if title, heads := page.Text("title"), len(page.Find("h1")); title == "" || heads != 1 || len(page.Find("main")) != 1 {
			t.Errorf("%s without script: title %q, %d h1, %d main", path, title, heads, len(page.Find("main")))
		}
		w.pages = append(w.pages, path)
		for _, link := range page.Find("a") {
			to, err := page.URL.Parse(uitest.Attr(link, "href"))
			if err != nil {
				t.Errorf("%s links to %q: %v", path, uitest.Attr(link, "href"), err)
				continue
			}
			to.Fragment = ""
			if to.Host != page.URL.Host || beside.MatchString(to.RequestURI()) || w.seen[kindOf(to)] {
				continue
			}
			w.seen[kindOf(to)] = true
			queue = append(queue, to.RequestURI())
		}
	}
}

// script is how much script a page has loaded, packed, in bytes.
const script = `performance.getEntriesByType("resource").filter(r => /\.js$/.test(new URL(r.name).pathname)).reduce((sum, r) => sum + r.encodedBodySize, 0)`

var islands = regexp.MustCompile(`^/(tasks/create|config-debug|quickstart|hooks/create|worker-manager/.*tab=config|hooks/.*tab=)`)

// Every page that links lead to from the first is there, with its outline for browsers without script; with script it
// neither complains nor scrolls sideways, wide or narrow.
func TestEveryPageThatLinksLeadTo(t *testing.T) {
	m := shared(t)
	m.green(m.first, 3*time.Minute)
	site := &uitest.Site{URL: strings.TrimSuffix(m.url("/"), "/")}
	w := &walk{browser: site.Browser(t), seen: map[string]bool{}}
	env := m.env()
	w.browser.SignIn(t, env["TASKCLUSTER_CLIENT_ID"], env["TASKCLUSTER_ACCESS_TOKEN"])
	w.from(t, "/", 90)
	t.Logf("%d kinds of pages: %s", len(w.pages), strings.Join(w.pages, " "))
	if len(w.pages) < 25 {
		t.Errorf("only %d kinds of pages were found", len(w.pages))
	}
	tab := site.Tab(t)
	tab.SignIn(t, env["TASKCLUSTER_CLIENT_ID"], env["TASKCLUSTER_ACCESS_TOKEN"])
	for _, path := range w.pages {
		tab.Go(t, path)
		for _, width := range []int64{1280, 390} {
			tab.Size(t, width, 844)
			if got := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
				t.Errorf("%s at %d: the page is %d pixels too wide: %s", path, width, got, uitest.Eval[string](t, tab, uitest.Widest))
			}
			if got := tab.Count(t, "h1"); got != 1 {
				t.Errorf("%s at %d: %d h1", path, width, got)
			}
		}
		// The first view of a page costs little; editors, terminals and charts are islands.
		if got := uitest.Eval[int](t, tab, script); got > 60_000 && !islands.MatchString(path) {
			t.Errorf("%s loads %d bytes of script", path, got)
		}
	}
}

// Addresses of Taskcluster and Treeherder, as they stand in mails and bookmarks, lead to something.
func TestOldAddressesLeadOn(t *testing.T) {
	m := shared(t)
	list := m.resolved(m.first, 3*time.Minute)
	task, group := list[0].Status.TaskID, list[0].Status.TaskGroupID
	repo := url.QueryEscape(m.repoName())
	site := &uitest.Site{URL: strings.TrimSuffix(m.url("/"), "/")}
	browser := site.Browser(t)
	env := m.env()
	browser.SignIn(t, env["TASKCLUSTER_CLIENT_ID"], env["TASKCLUSTER_ACCESS_TOKEN"])
	for _, path := range []string{
		"/tasks/" + task, "/tasks/" + task + "/runs/0", "/tasks/" + task + "/definition", "/tasks/" + task + "/runs/0/logs/live/public/logs/live.log",
		"/tasks/" + task + "/runs/0/logs/public/logs/live.log", "/tasks/groups/" + group, "/tasks/groups/" + group + "/tasks/" + task, "/tasks/groups/" + group + "/tasks/" + task + "/runs/0",
		"/tasks", "/tasks/index", "/tasks/index/treeline", "/tasks/create", "/tasks/" + task + "/create", "/quickstart", "/hooks", "/hooks/create",
		"/provisioners", "/worker-manager", "/auth/clients", "/auth/clients/create", "/auth/roles", "/auth/roles/create", "/auth/scopes", "/secrets", "/secrets/create",
		"/purge-caches", "/pulse-messages", "/tcyaml-debug", "/docs", "/docs/reference/platform/queue/api",
		"/jobs?repo=" + repo, "/jobs?repo=" + repo + "&revision=" + m.first, "/jobs?repo=" + repo + "&selectedTaskRun=" + task + ".0&searchStr=build&tier=1,2,3&resultStatus=success",
		fmt.Sprintf("/logviewer?job_id=1&repo=%s&task=%s.0", repo, task), "/push-health/push?repo=" + repo + "&revision=" + m.first, "/push/" + repo + "/" + m.first, "/userguide",
	} {
		t.Run(path, func(t *testing.T) {
			if page := browser.Get(t, path); page.Status != http.StatusOK || len(page.Find("h1")) != 1 {
				t.Errorf("status %d at %s, %d h1: %.300s", page.Status, page.URL, len(page.Find("h1")), page.Text("main"))
			}
		})
	}
}

// brokenCase is a change to the sample after which one of its tests fails.
var brokenCase = map[string]string{"test/cases/table.md": "| a |\n", "test/cases/table.html": "<table>\n"}

// Somebody who comes to the first page sees the first line of an error after two clicks.
func TestAnErrorIsTwoClicksAway(t *testing.T) {
	m := shared(t)
	revision := m.onBranch("tables", "Tables: first form", brokenCase)
	m.resolved(revision, 3*time.Minute)
	site := &uitest.Site{URL: strings.TrimSuffix(m.url("/"), "/")}
	tab := site.Tab(t)
	tab.Go(t, "/")
	tab.Click(t, `main a[href*="`+revision+`"]`)
	tab.Wait(t, `document.body.dataset.page === "jobs" && document.body.dataset.ready === "true" && document.querySelector("b.c.failed") !== null`)
	tab.Click(t, "b.c.failed")
	tab.Wait(t, `document.querySelector(".panel")?.innerText.includes("FAILED  test/cases/table.md")`)
}
