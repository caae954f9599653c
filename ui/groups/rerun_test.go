package groups_test

import (
	"strings"
	"testing"

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
	uitest.Eval[bool](t, tab, `(() => { window.fetch = window.send; return true })()`)
	tab.Wait(t, `document.querySelector(".confirm")?.innerText.includes("Run 2 tasks that failed again?")`)
	click("[data-yes=rerun]")
	tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("2 tasks run again."))`)
	tab.Wait(t, `document.querySelector("[data-act=rerun]") === null`)
	list, err := s.Queue.Statuses(t.Context(), ids)
	if err != nil || len(list) != 2 || list[0].State != task.Pending || list[1].State != task.Pending {
		t.Errorf("%+v %v", list, err)
	}
}
