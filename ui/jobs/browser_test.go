package jobs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const (
	selectedName = `document.querySelector("b.c.sel")?.getAttribute("aria-label")?.split(",")[0] ?? ""`
	// watchPosts notes what the page sends.
	watchPosts = `(() => { window.posts = []; const real = window.fetch; window.fetch = (u, o) => { if (o?.method === "POST") posts.push(u + "?" + o.body); return real(u, o) }; return true })()`
)

func cellOf(id string) string { return fmt.Sprintf(`b.c[data-id=%q]`, id) }

func cellIs(id, class string) string {
	return fmt.Sprintf(`document.querySelector('%s')?.classList.contains(%q)`, cellOf(id), class)
}

// TestJobs goes through the page with one site and one tab; each part leaves the tab as it likes.
func TestJobs(t *testing.T) {
	s := uitest.New(t)
	_, ids := uitest.Sample(t, s)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	open := func(t *testing.T, query string) {
		t.Helper()
		tab.Go(t, "/jobs?repo=sample"+query)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	}
	open(t, "")
	tab.Wait(t, `document.querySelectorAll("b.c").length === 13`)
	tab.Inspect(t, "jobs")

	t.Run("keys go from failure to failure, round and round", func(t *testing.T) {
		var got []string
		for _, key := range []string{"j", "n", "j", "k", "p"} {
			tab.Keys(t, key)
			tab.Wait(t, `document.querySelector("b.c.sel") !== null`)
			got = append(got, uitest.Eval[string](t, tab, selectedName))
		}
		want := []string{"test-linux64-unit-2", "test-linux64-unit-5", "test-linux64-unit-2", "test-linux64-unit-5", "test-linux64-unit-2"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the selection is in the URL and in the panel", func(t *testing.T) {
		tab.Wait(t, fmt.Sprintf(`location.search.includes("selectedTaskRun=%s.0")`, ids["test-linux64-unit-2"]))
		tab.Wait(t, `document.querySelector(".panel h2")?.innerText === "test-linux64-unit-2" && document.querySelector(".panel .facts") !== null`)
		tab.Shot(t, "jobs-selected")
	})
	t.Run("arrows go through the cells and rows", func(t *testing.T) {
		tab.Keys(t, kb.ArrowRight)
		if got := uitest.Eval[string](t, tab, selectedName); got != "test-linux64-unit-3" {
			t.Errorf("right of unit-2 is %s", got)
		}
		tab.Keys(t, kb.ArrowDown)
		if got := uitest.Eval[string](t, tab, selectedName); !strings.HasPrefix(got, "test-macosx64-unit-") {
			t.Errorf("below unit-3 is %s", got)
		}
		tab.Keys(t, kb.ArrowUp)
		tab.Wait(t, `document.querySelector("b.c.sel").getAttribute("aria-label").endsWith("linux64 opt")`)
	})
	t.Run("J14: it is a grid for screen readers, with one roving focus", func(t *testing.T) {
		tab.Click(t, cellOf(ids["test-linux64-unit-2"]))
		got := uitest.Eval[[]string](t, tab, `(() => {
			const grid = document.querySelector("[role=grid]"), rows = [...grid.querySelectorAll("[role=row]")];
			return [grid.getAttribute("aria-rowcount") === String(rows.length), Number(grid.getAttribute("aria-colcount")) === Math.max(...[...grid.querySelectorAll("[aria-colindex]")].map(e => Number(e.getAttribute("aria-colindex")))),
				grid.querySelectorAll("b.c[tabindex='0']").length, document.activeElement.getAttribute("aria-label")].map(String);
		})()`)
		want := []string{"true", "true", "1", "test-linux64-unit-2, failed, not classified, linux64 opt"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("J4: r is one request however often it is pressed, and none without a selection", func(t *testing.T) {
		open(t, "")
		uitest.Eval[bool](t, tab, watchPosts)
		tab.Keys(t, "r")
		tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("Select a task first"))`)
		tab.Click(t, cellOf(ids["test-linux64-unit-5"]))
		tab.Keys(t, "rr")
		tab.Wait(t, cellIs(ids["test-linux64-unit-5"], "pending"))
		tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("test-linux64-unit-5 runs again."))`)
		posts := uitest.Eval[[]string](t, tab, `posts`)
		if len(posts) != 1 || !strings.Contains(posts[0], "/act/rerun?") || !strings.Contains(posts[0], "task="+ids["test-linux64-unit-5"]) || strings.Count(posts[0], "task=") != 1 {
			t.Errorf("the page sent %q", posts)
		}
		if got := len(s.Status(t, ids["test-linux64-unit-5"]).Runs); got != 2 {
			t.Errorf("the task has %d runs, want 2", got)
		}
		tab.Wait(t, `document.title === "[1] sample · Treeline"`)
	})
	t.Run("J6: what fails shows it at once, and nothing else moves", func(t *testing.T) {
		open(t, "")
		running := ids["test-macosx64-unit-1"]
		uitest.Eval[bool](t, tab, `(() => { window.shift = 0; new PerformanceObserver(l => { for (const e of l.getEntries()) shift += e.value }).observe({type: "layout-shift"}); return true })()`)
		if _, err := s.Queue.ReportFailed(t.Context(), running, 0); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, cellIs(running, "failed"))
		tab.Wait(t, `document.title.startsWith("[2]") && document.querySelector(".unclassified b").innerText === "2"`)
		tab.Wait(t, `document.querySelector(".push:last-of-type .push-verdict").innerText.trim() === "2 new failures"`)
		if got := uitest.Eval[float64](t, tab, `shift`); got >= 0.001 { // a part of a pixel is the width of a digit
			t.Errorf("the layout shifted by %v", got)
		}
	})
	t.Run("J7: a class empties the cell, here and in another browser, and undo fills it again", func(t *testing.T) {
		other := s.Tab(t)
		other.Go(t, "/jobs?repo=sample")
		other.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
		failed := ids["test-linux64-unit-2"]
		tab.Click(t, cellOf(failed))
		tab.Keys(t, "b")
		tab.Wait(t, `document.activeElement?.name === "bug"`)
		tab.Keys(t, "1234")
		tab.Inspect(t, "jobs-pinned")
		uitest.Eval[bool](t, tab, `document.querySelector(".pins [data-save]").click() ?? true`)
		for _, page := range []*uitest.Tab{tab, other} {
			page.Wait(t, cellIs(failed, "done"))
			page.Wait(t, `document.title.startsWith("[1]")`)
		}
		if got, err := s.Triage.Of(t.Context(), []string{failed}); err != nil || got[failed].Bug != "1234" || got[failed].By != uitest.Admin || got[failed].Repository != "sample" {
			t.Errorf("got %+v, %v", got, err)
		}
		tab.Wait(t, fmt.Sprintf(`document.querySelector('%s').getAttribute("aria-label") === "test-linux64-unit-2, failed, intermittent, linux64 opt"`, cellOf(failed)))
		tab.Click(t, "[data-undo]")
		for _, page := range []*uitest.Tab{tab, other} {
			page.Wait(t, "!"+cellIs(failed, "done"))
			page.Wait(t, `document.title.startsWith("[2]")`)
		}
	})
	t.Run("the pinboard by keys: space, comment, ctrl+enter, ctrl+backspace", func(t *testing.T) {
		failed := ids["test-linux64-unit-2"]
		open(t, "&selectedTaskRun="+failed+".0")
		tab.Wait(t, cellIs(failed, "sel"))
		tab.Keys(t, " ")
		tab.Wait(t, `document.querySelector(".pin-count")?.innerText === "1 pinned"`)
		tab.Keys(t, "x")
		tab.Wait(t, `document.querySelector(".pin-count") === null`)
		tab.Keys(t, "c")
		tab.Wait(t, `document.activeElement?.name === "note"`)
		tab.Keys(t, "rj") // they write, and do nothing else
		press(t, tab, `ctrlKey: true, key: "Enter"`)
		tab.Wait(t, cellIs(failed, "done"))
		tab.Keys(t, kb.Escape)
		tab.Click(t, cellOf(failed))
		press(t, tab, `ctrlKey: true, key: "Backspace"`)
		tab.Wait(t, "!"+cellIs(failed, "done"))
	})
	t.Run("tabs of the panel go by t", func(t *testing.T) {
		for _, want := range []string{"Artifacts", "Classification", "Similar tasks", "Runs", "Failure and log"} {
			tab.Keys(t, "t")
			tab.Wait(t, fmt.Sprintf(`document.querySelector(".panel [aria-selected=true]").innerText.startsWith(%q)`, want))
		}
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `document.querySelector(".panel") === null && !location.search.includes("selectedTaskRun")`)
	})
	t.Run("a new push appears, decides and has tasks", func(t *testing.T) {
		open(t, "")
		p := s.Record(t, push.Push{Repository: "sample", Message: "A third push"})
		tab.Wait(t, fmt.Sprintf(`document.querySelector("#push-%d .push-verdict")?.innerText.trim() === "Deciding"`, p.ID))
		s.Decide(t, p, uitest.Job{State: task.Running, Name: "build", Platform: "linux64", Symbol: "B"})
		tab.Wait(t, fmt.Sprintf(`document.querySelectorAll("#push-%d b.c.running").length === 1`, p.ID))
	})
	t.Run("enter opens the selected task", func(t *testing.T) {
		tab.Keys(t, "j"+kb.Enter)
		tab.Wait(t, fmt.Sprintf(`location.pathname === "/tasks/%s"`, ids["test-linux64-unit-2"]))
	})
	t.Run("who may not classify is told which scope is missing", func(t *testing.T) {
		dev := s.Tab(t)
		dev.Expect("403")
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		dev.Go(t, "/jobs?repo=sample&selectedTaskRun="+ids["test-linux64-unit-2"]+".0")
		dev.Wait(t, cellIs(ids["test-linux64-unit-2"], "sel"))
		dev.Keys(t, "b")
		dev.Wait(t, `document.activeElement?.name === "bug"`)
		dev.Keys(t, "7\r")
		dev.Wait(t, `[...document.querySelectorAll(".toast.bad")].some(e => e.innerText.includes("triage:classify:sample"))`)
	})
}

// press sends a key with others held.
func press(t *testing.T, tab *uitest.Tab, event string) {
	t.Helper()
	uitest.Eval[bool](t, tab, `document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {bubbles: true, cancelable: true, `+event+`})) || true`)
}
