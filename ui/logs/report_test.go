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
		dev.Wait(t, `document.querySelector("[data-report]")?.disabled && document.querySelector(".log-tools .why").innerText.includes("triage:classify:sample")`)
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
	t.Run("it is taken back, and the log is read again", func(t *testing.T) {
		uitest.Eval[any](t, viewed, `document.querySelector("[data-take-back]").click()`)
		viewed.Wait(t, `document.querySelector("[data-reported]") === null`)
		tab.Wait(t, fmt.Sprintf(`document.querySelector(".failure-lines")?.innerText.includes(%q)`, "failed without an error in the log"))
	})
}
