package groups_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/treeline-ci/treeline/internal/slug"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestRerunFailed: one button runs what failed again and nothing else; a message about a refusal can be copied whole.
func TestRerunFailed(t *testing.T) {
	s := uitest.New(t)
	group := slug.New()
	in := queuetest.In(group)
	s.Task(t, task.Completed, in, uitest.Named("passed"))
	ids := []string{s.Task(t, task.Failed, in, uitest.Named("failed-1")), s.Task(t, task.Failed, in, uitest.Named("lost-1"))}
	running := s.Task(t, task.Running, in, uitest.Named("late"))
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/tasks/groups/"+group)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live" && document.querySelector("[data-act=rerun]") !== null`)
	tab.Shot(t, "group-rerun")
	click := func(selector string) {
		t.Helper()
		tab.Wait(t, `document.querySelector("`+selector+`") !== null`)
		uitest.Eval[bool](t, tab, `(() => { document.querySelector("`+selector+`").click(); return true })()`)
	}
	uitest.Eval[bool](t, tab, `(() => { window.send = fetch; window.fetch = async () => new Response(JSON.stringify({message: "Not now."}), {status: 503, headers: {"X-Request-Id": "r1"}}); return true })()`)
	click("[data-act=rerun]")
	click("[data-yes=rerun]")
	tab.Wait(t, `document.querySelector(".toast [data-details]") !== null`)
	if got := uitest.Eval[string](t, tab, `document.querySelector(".toast [data-details]").dataset.details`); !strings.Contains(got, "Not now.\nPage: http") || !strings.Contains(got, "\nRequest: r1\n") {
		t.Errorf("the details are %q", got)
	}
	tab.Shot(t, "toast-details")
	tab.Dark(t, true)
	tab.Shot(t, "toast-details-dark")
	tab.Size(t, 390, 844)
	tab.Shot(t, "toast-details-390")
	if w := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth`); w > 390 {
		t.Errorf("with a question and a message the page is %d pixels wide", w)
	}
	tab.Dark(t, false)
	tab.Size(t, 1280, 860)
	t.Run("the details are copied; the message stays while the keyboard is in it, and goes when told", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(navigator.clipboard.writeText = async (text) => { window.copied = text }, document.querySelector(".toast [data-details]").focus(), true)`)
		tab.Keys(t, "\r")
		tab.Wait(t, `window.copied?.includes("Request: r1") && document.querySelector(".toast [data-details]").innerText === "Copied"`)
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `document.querySelector(".toast") === null && document.querySelector(".confirm") !== null`)
	})
	t.Run("who says no by the keyboard is where they were", func(t *testing.T) {
		uitest.Eval[bool](t, tab, `(document.querySelector("[data-yes=rerun]").focus(), true)`)
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `document.querySelector(".confirm") === null && document.activeElement.matches("[data-act=rerun]")`)
		before := uitest.Eval[float64](t, tab, `document.querySelector(".tiles").getBoundingClientRect().top`)
		tab.Keys(t, "\r")
		tab.Wait(t, `document.activeElement.matches("[data-yes=rerun]")`)
		if after := uitest.Eval[float64](t, tab, `document.querySelector(".tiles").getBoundingClientRect().top`); after != before {
			t.Errorf("the question moves the page from %v to %v", before, after)
		}
		uitest.Eval[bool](t, tab, `(document.querySelector(".confirm .quiet").focus(), true)`)
		if _, err := s.Queue.ReportFailed(t.Context(), running, 0); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `document.querySelector(".confirm")?.innerText.includes("Run 3 tasks that failed again?")`)
		if !uitest.Eval[bool](t, tab, `document.activeElement.matches(".confirm .quiet")`) {
			t.Error("what happens to the tasks takes the focus")
		}
	})
	uitest.Eval[bool](t, tab, `(() => { window.fetch = window.send; return true })()`)
	tab.Wait(t, `document.querySelector(".confirm")?.innerText.includes("Run 3 tasks that failed again?")`)
	click("[data-yes=rerun]")
	tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("3 tasks run again."))`)
	tab.Wait(t, `document.querySelector("[data-act=rerun]") === null`)
	list, err := s.Queue.Statuses(t.Context(), ids)
	if err != nil || len(list) != 2 || list[0].State != task.Pending || list[1].State != task.Pending {
		t.Errorf("%+v %v", list, err)
	}
}
