package jobs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/treeline-ci/treeline/app/bugtracker"
	"github.com/treeline-ci/treeline/auth"
	"github.com/treeline-ci/treeline/internal/trackertest"
	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/triage"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// failAlike makes a push with a task that fails in the same way as that of every other such push.
func failAlike(t *testing.T, s *uitest.Site) (group, id string) {
	t.Helper()
	group, ids := s.Decide(t, s.Record(t, push.Push{Repository: "sample"}), uitest.Job{State: task.Running, Name: "test-oven-1", Platform: "linux64", Group: "T", Symbol: "1"})
	s.Artifact(t, ids[0], "public/test-summary.json", "application/json", `{"failures": [{"name": "kitchen/test_oven.js", "text": "the oven is cold after 12 minutes"}]}`)
	if _, err := s.Queue.ReportFailed(t.Context(), ids[0], 0); err != nil {
		t.Fatal(err)
	}
	return group, ids[0]
}

// bugSite has a failure, one that was classified before, and a tracker.
func bugSite(t *testing.T, token string) (s *uitest.Site, tracker *trackertest.Server, id string) {
	t.Helper()
	tracker = trackertest.GitHub(t, trackertest.Bug{ID: 7, Summary: "Intermittent test_oven.js | the oven is cold", Closed: true}, trackertest.Bug{ID: 8, Summary: "Bake test_oven.js sooner"})
	opened, err := bugtracker.Open("github:"+tracker.URL+"/acme/app", token)
	if err != nil {
		t.Fatal(err)
	}
	s = uitest.New(t, uitest.WithTracker(opened))
	s.Repository(t, "sample")
	group, before := failAlike(t, s)
	target := triage.Target{Repository: "sample", TaskGroupID: group, TaskID: before}
	if _, err := s.Triage.Classify(t.Context(), "ada", []triage.Target{target}, triage.Say{Class: triage.Intermittent, Bug: "#7"}); err != nil {
		t.Fatal(err)
	}
	_, id = failAlike(t, s)
	return s, tracker, id
}

func bugLine(bug, text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".bugs li")].some(e => e.dataset.bug === %q && e.innerText.includes(%q))`, bug, text)
}

func TestBugsOfAFailure(t *testing.T) {
	s, tracker, id := bugSite(t, trackertest.Token)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=sample&selectedTaskRun="+id+".0")
	t.Run("a line tells which bugs were given for the same before, and what the tracker has", func(t *testing.T) {
		tab.Wait(t, bugLine("#7", "given for the same failure once"))
		tab.Wait(t, bugLine("#8", "Bake test_oven.js sooner"))
		if got := uitest.Eval[[]string](t, tab, `[...document.querySelectorAll(".bugs a")].map(a => a.href)`); strings.Join(got, " ") != tracker.URL+"/acme/app/issues/7 "+tracker.URL+"/acme/app/issues/8" {
			t.Errorf("the links lead to %q", got)
		}
	})
	t.Run("one of them is taken", func(t *testing.T) {
		uitest.Eval[any](t, tab, `document.querySelector('.bugs [data-bug="#7"] button').click()`)
		tab.Wait(t, `document.querySelector(".pin-count")?.innerText === "1 pinned" && document.querySelector('.pins [name=bug]').value === "#7"`)
	})
	t.Run("a new one is filed, once, and pinned", func(t *testing.T) {
		uitest.Eval[any](t, tab, `document.querySelector("[data-file-bug]").click()`)
		tab.Wait(t, `document.querySelector("#file-bug [name=summary]")?.value === "Intermittent kitchen/test_oven.js | the oven is cold after 12 minutes"`)
		if got := uitest.Eval[string](t, tab, `document.querySelector("#file-bug [name=description]").value`); !strings.Contains(got, s.URL+"/tasks/"+id+"/runs/0") || !strings.Contains(got, "/push/sample/") {
			t.Errorf("it says %q", got)
		}
		tab.Shot(t, "jobs-file-bug")
		tracker.Break(1)
		tab.Expect("409") // the browser tells of answers that are errors
		uitest.Eval[any](t, tab, `document.querySelector("[data-file]").click()`)
		tab.Wait(t, `document.querySelector("#file-bug [role=alert]")?.innerText.includes("acme/app on 127.0.0.1")`)
		uitest.Eval[any](t, tab, `(() => { const b = document.querySelector("[data-file]"); b.click(); b.click() })()`)
		tab.Wait(t, `!document.querySelector("#file-bug").open && document.querySelector('.pins [name=bug]').value === "#102"`)
		if all, _ := tracker.Bugs(); len(all) != 3 || !strings.HasPrefix(all[2].Summary, "Intermittent kitchen/test_oven.js") {
			t.Errorf("the tracker has %+v", all)
		}
	})
	t.Run("the same failure is not filed again from the page of its push: what there is goes into the form", func(t *testing.T) {
		pushes, err := s.Push.List(t.Context(), "sample", 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		tab.Go(t, "/push/sample/"+pushes[0].Revision)
		tab.Wait(t, `document.querySelector("#live").dataset.live === "live" && document.querySelector(".health-row") !== null`)
		tab.Keys(t, "j\r")
		tab.Wait(t, `document.querySelector("[data-file-bug]") !== null`)
		uitest.Eval[any](t, tab, `document.querySelector("[data-file-bug]").click()`)
		tab.Wait(t, `document.querySelector("#file-bug")?.open && document.querySelector("#file-bug [name=summary]").value.startsWith("Intermittent kitchen/test_oven.js")`)
		uitest.Eval[any](t, tab, `document.querySelector("[data-file]").click()`)
		tab.Wait(t, `document.querySelector(".health-row [name=bug]").value === "#102"`)
		if all, _ := tracker.Bugs(); len(all) != 3 {
			t.Errorf("the tracker has %+v", all)
		}
	})
	t.Run("who filed it stands in the audit log, once", func(t *testing.T) {
		list, err := s.Auth.AuditLog(t.Context(), auth.AuditQuery{EntityType: "bug", Limit: 10})
		if err != nil || len(list) != 1 || list[0].EntityID != tracker.URL+"/acme/app/issues/102" || list[0].Action != "filed" || list[0].ClientID == "" || !strings.Contains(string(list[0].Change), id) {
			t.Errorf("%+v %v", list, err)
		}
		tab.Go(t, "/audit?entity=bug")
		tab.Wait(t, `document.querySelector('main a[href$="/acme/app/issues/102"]') !== null`)
	})
}
