package logs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/bugtracker"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/trackertest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// A line that tells of a failure without saying so is reported, counts in the panel and on the push's page, and goes again.
func TestALineIsReported(t *testing.T) {
	bugs := trackertest.GitHub(t)
	tracker, err := bugtracker.Open("github:"+bugs.URL+"/acme/app", trackertest.Token)
	if err != nil {
		t.Fatal(err)
	}
	s := uitest.New(t, uitest.WithTracker(tracker))
	s.Repository(t, "sample")
	p := s.Record(t, push.Push{Repository: "sample"})
	_, ids := s.Decide(t, p, uitest.Job{State: task.Running, Name: "test-oven", Platform: "linux64", Group: "T", Symbol: "1"})
	id := ids[0]
	log := s.Log(t, id)
	log.Write(t, "[task 2026-01-02T03:04:05.000Z] building\n[task 2026-01-02T03:04:06.000Z] \x1b[31mthe oven is cold\x1b[0m\n\ndone\n")
	log.Finish(t, task.Failed)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=sample&selectedTaskRun="+id+".0")
	tab.Wait(t, `document.querySelector(".failure-lines")?.innerText.includes("failed without an error in the log")`)
	viewed := tab.Beside(t)
	viewed.Go(t, "/tasks/"+id+viewer+"#L2-3")
	viewed.Wait(t, `document.querySelectorAll(".ln.in").length === 2`)
	viewed.Keys(t, "R")
	viewed.Wait(t, `document.querySelector("[data-reported]")?.dataset.reported === "2"`)
	viewed.Wait(t, `document.querySelector(".toast")?.innerText.includes("Line 2 tells of the failure now.")`)
	t.Run("the details of the task tell of it, with who said so", func(t *testing.T) {
		tab.Wait(t, `/^the oven is cold\s*line 2\s*reported by static\/admin/.test(document.querySelector(".failure-lines")?.innerText) && document.querySelectorAll(".failure-lines li").length === 1`)
	})
	t.Run("the page of the push tells of it", func(t *testing.T) {
		page := s.Browser(t).Get(t, "/push/sample/"+p.Revision)
		if got := page.Text("main"); !strings.Contains(got, "the oven is cold") {
			t.Errorf("it says %.300q", got)
		}
	})
	t.Run("the audit log tells of it", func(t *testing.T) {
		list, err := s.Auth.AuditLog(t.Context(), auth.AuditQuery{EntityType: "task", EntityID: id, Limit: 10})
		if err != nil || len(list) != 1 || list[0].Action != "failure line reported" || !strings.Contains(string(list[0].Change), "the oven is cold") {
			t.Errorf("%+v, %v", list, err)
		}
	})
	t.Run("who may not is told which scope it takes", func(t *testing.T) {
		dev := s.Tab(t)
		dev.SignIn(t, uitest.Dev, uitest.DevToken)
		dev.Go(t, "/tasks/"+id+viewer+"#L1")
		denied := `document.querySelector("[data-report]")?.disabled && document.querySelector(".log-tools .why").innerText.includes("triage:classify:sample")`
		dev.Wait(t, denied)
		dev.Go(t, "/tasks/"+id+"?tab=log#L1")
		dev.Wait(t, denied)
	})
	t.Run("a bug is filed with the marked lines", func(t *testing.T) {
		uitest.Eval[any](t, viewed, `document.querySelector("[data-file-bug]").click()`)
		viewed.Wait(t, `document.querySelector("#file-bug")?.open && document.querySelector("[data-file]") !== null`)
		uitest.Eval[any](t, viewed, `document.querySelector("[data-file]").click()`)
		viewed.Wait(t, `!document.querySelector("#file-bug").open`)
		filed, _ := bugs.Bugs()
		if len(filed) != 1 || filed[0].Summary != "Intermittent test-oven | the oven is cold" || !strings.Contains(filed[0].Description, "test-oven failed at "+p.Revision+" of sample.") || !strings.Contains(filed[0].Description, viewer+"#L2-3") {
			t.Errorf("there are %+v", filed)
		}
	})
	t.Run("the log's tab of the task has the same, by click and by key", func(t *testing.T) {
		task := tab.Beside(t)
		click := func(selector string) { // rows of a log are made anew at any time
			t.Helper()
			task.Wait(t, fmt.Sprintf(`(e => e !== null && (e.click(), true))(document.querySelector(%q))`, selector))
		}
		task.Go(t, "/tasks/"+id)
		task.Keys(t, "m")
		task.Wait(t, `location.search === "?tab=log" && document.querySelector(".toast")?.innerText.includes("Mark a line of the log first")`)
		task.Wait(t, `document.querySelector("[data-reported]")?.dataset.reported === "2" && document.querySelector("[data-report]") === null`)
		click(`.ln a[data-n="3"]`)
		task.Wait(t, `document.querySelector("[data-report]")?.disabled === false && document.querySelector("[data-file-bug]") !== null`)
		click("[data-report]")
		task.Wait(t, `document.querySelector('[data-reported="4"]') !== null && [...document.querySelectorAll(".toast")].some(e => e.innerText.includes("Line 4 tells of the failure now."))`)
		task.Shot(t, "task-log-report")
		click("[data-toast-run]")
		task.Wait(t, `document.querySelector('[data-reported="4"]') === null`)
		click(`.ln a[data-n="0"]`)
		task.Keys(t, "m")
		task.Wait(t, `document.querySelector('[data-reported="1"]') !== null`)
		viewed.Wait(t, `document.querySelector('[data-reported="1"]') !== null`) // who has the log open sees it as well
		for _, n := range []int{0, 2} {                                          // on a narrow page the list is there for who has opened it
			click("[data-side]")
			task.Wait(t, fmt.Sprintf(`document.querySelectorAll("[data-reported]").length === %d`, n))
		}
		task.Size(t, 390, 844)
		task.Wait(t, `document.querySelector(".log").getBoundingClientRect().width > 300 && document.querySelector("#tab-log").getBoundingClientRect().height > 20 && document.querySelector(".log").getBoundingClientRect().height > 400`)
		task.Shot(t, "task-log-report-390")
		if w := uitest.Eval[int](t, task, `document.documentElement.scrollWidth`); w > 390 {
			t.Errorf("the page is %d pixels wide", w)
		}
		click(`[data-reported="1"] [data-take-back]`)
		task.Wait(t, `document.querySelector('[data-reported="1"]') === null`)
		viewed.Wait(t, `document.querySelector('[data-reported="1"]') === null`)
	})
	t.Run("it is taken back, and the log is read again", func(t *testing.T) {
		uitest.Eval[any](t, viewed, `document.querySelector("[data-take-back]").click()`)
		viewed.Wait(t, `document.querySelector("[data-reported]") === null`)
		tab.Wait(t, fmt.Sprintf(`document.querySelector(".failure-lines")?.innerText.includes(%q)`, "failed without an error in the log"))
	})
}
