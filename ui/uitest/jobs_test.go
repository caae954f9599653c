package uitest_test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

const selectedName = `document.querySelector("b.c.sel")?.getAttribute("aria-label")?.split(",")[0] ?? ""`

// sample makes a repository with two pushes: the older one has two failures and much that passed, the
// newer one could not be decided.
func sample(t *testing.T, s *uitest.Site) (group string, ids map[string]string) {
	t.Helper()
	s.Repository(t, "sample")
	var jobs []uitest.Job
	add := func(state task.State, name, platform, group, symbol string) {
		jobs = append(jobs, uitest.Job{State: state, Name: name, Platform: platform, Group: group, Symbol: symbol})
	}
	add(task.Completed, "build-linux64", "linux64", "", "B")
	add(task.Completed, "build-macosx64", "macosx64", "", "B")
	for i := 1; i <= 6; i++ {
		state := task.Completed
		if i == 2 || i == 5 {
			state = task.Failed
		}
		add(state, fmt.Sprintf("test-linux64-unit-%d", i), "linux64", "U", fmt.Sprint(i))
	}
	add(task.Running, "test-macosx64-unit-1", "macosx64", "U", "1")
	add(task.Pending, "test-macosx64-unit-2", "macosx64", "U", "2")
	add(task.Completed, "lint-go", "linux64", "L", "go")
	add(task.Completed, "lint-docs", "linux64", "L", "docs")
	first := s.Record(t, push.Push{Repository: "sample", Message: "Read the queue's length in one statement\n\nIt took two."})
	group, list := s.Decide(t, first, jobs...)
	ids = map[string]string{}
	for i, id := range list {
		ids[jobs[i].Name] = id
	}
	s.Fail(t, s.Record(t, push.Push{Repository: "sample", Author: "Grace Hopper", Email: "grace@example.com", Message: "Add a nightly build"}), push.Error{
		Code: "template-error", Message: "unknown context value pushh", File: ".taskcluster.yml", Line: 12, Detail: "InterpreterError at template.tasks[0].if",
	})
	return group, ids
}

func TestJobGrid(t *testing.T) {
	s := uitest.New(t)
	_, ids := sample(t, s)
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelectorAll("b.c").length === 13`)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	tab.Shot(t, "jobs-light")

	t.Run("j and n go to the next failure, k and p back, round and round", func(t *testing.T) {
		var got []string
		for _, key := range []string{"j", "n", "j", "k", "p"} {
			tab.Keys(t, key)
			got = append(got, uitest.Eval[string](t, tab, selectedName))
		}
		want := []string{"test-linux64-unit-2", "test-linux64-unit-5", "test-linux64-unit-2", "test-linux64-unit-5", "test-linux64-unit-2"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("the selection is in the URL and in the panel", func(t *testing.T) {
		tab.Wait(t, fmt.Sprintf(`location.search.includes("selectedTaskRun=%s.0")`, ids["test-linux64-unit-2"]))
		tab.Wait(t, `document.querySelector(".panel h2")?.innerText === "test-linux64-unit-2"`)
		tab.Shot(t, "jobs-selected")
	})
	t.Run("arrows go through the cells", func(t *testing.T) {
		tab.Keys(t, kb.ArrowRight)
		if got := uitest.Eval[string](t, tab, selectedName); got != "test-linux64-unit-3" {
			t.Errorf("right of unit-2 is %s", got)
		}
		tab.Keys(t, kb.ArrowDown)
		if got := uitest.Eval[string](t, tab, selectedName); got != "test-macosx64-unit-1" && got != "test-macosx64-unit-2" {
			t.Errorf("below unit-3 is %s", got)
		}
		tab.Keys(t, kb.ArrowUp+kb.ArrowLeft)
	})
	t.Run("r runs the selected task again, once, and its cell moves", func(t *testing.T) {
		tab.Click(t, fmt.Sprintf(`b.c[data-id=%q]`, ids["test-linux64-unit-5"]))
		tab.Keys(t, "rr")
		tab.Wait(t, fmt.Sprintf(`document.querySelector('b.c[data-id=%q]').classList.contains("pending")`, ids["test-linux64-unit-5"]))
		if got := len(s.Status(t, ids["test-linux64-unit-5"]).Runs); got != 2 {
			t.Errorf("the task has %d runs, want 2", got)
		}
		tab.Wait(t, `document.title === "[1] sample · Treeline"`)
		if got := tab.Text(t, ".toast"); got != "test-linux64-unit-5 runs again. ×" {
			t.Errorf("got toast %q", got)
		}
	})
	t.Run("escape closes the panel", func(t *testing.T) {
		tab.Keys(t, kb.Escape)
		tab.Wait(t, `document.querySelector(".panel") === null && !location.search.includes("selectedTaskRun")`)
	})
	t.Run("r without a selection asks nothing of the server", func(t *testing.T) {
		tab.Keys(t, "r")
		tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("Select a task first"))`)
	})
	t.Run("text and state filters are in the URL and survive a reload", func(t *testing.T) {
		tab.Keys(t, "/")
		tab.Type(t, "[data-find]", "linux64 unit")
		tab.Keys(t, kb.Escape+"u")
		tab.Wait(t, `document.querySelectorAll("b.c").length === 1`)
		want := "?repo=sample&searchStr=linux64+unit&resultStatus=testfailed,busted,exception"
		if got := uitest.Eval[string](t, tab, "location.search"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		tab.Go(t, "/jobs"+want)
		tab.Wait(t, `document.querySelectorAll("b.c").length === 1`)
	})
	t.Run("enter opens the selected task", func(t *testing.T) {
		tab.Keys(t, "j"+kb.Enter)
		tab.Wait(t, fmt.Sprintf(`location.pathname === "/tasks/%s"`, ids["test-linux64-unit-2"]))
	})
}

func TestJobsLive(t *testing.T) {
	s := uitest.New(t)
	_, ids := sample(t, s)
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=sample")
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	running := ids["test-macosx64-unit-1"]
	if _, err := s.Queue.ReportFailed(t.Context(), running, 0); err != nil {
		t.Fatal(err)
	}
	tab.Wait(t, fmt.Sprintf(`document.querySelector('b.c[data-id=%q]').classList.contains("failed")`, running))
	tab.Wait(t, `document.title === "[3] sample · Treeline"`)

	p := s.Record(t, push.Push{Repository: "sample", Message: "A third push"})
	tab.Wait(t, fmt.Sprintf(`document.querySelector("#push-%d .verdict")?.innerText.trim() === "Deciding"`, p.ID))
	s.Decide(t, p, uitest.Job{State: task.Running, Name: "build", Platform: "linux64", Symbol: "B"})
	tab.Wait(t, fmt.Sprintf(`document.querySelectorAll("#push-%d b.c.running").length === 1`, p.ID))
}

func TestManyTasks(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "huge")
	var jobs []uitest.Job
	for i := range 500 {
		platform := []string{"linux64", "macosx64", "windows64", "android-arm"}[i%4]
		state := task.Pending
		if i%40 == 7 {
			state = task.Failed
		} else if i%3 == 0 {
			state = task.Completed
		}
		jobs = append(jobs, uitest.Job{State: state, Name: fmt.Sprintf("test-%s-%s-%d", platform, []string{"unit", "web", "perf"}[i%3], i/12), Platform: platform, Group: []string{"U", "W", "P"}[i%3], Symbol: fmt.Sprint(i / 12)})
	}
	group, _ := s.Decide(t, s.Record(t, push.Push{Repository: "huge"}), jobs...)
	tab := s.Tab(t)
	tab.Go(t, "/jobs?repo=huge")
	tab.Wait(t, `document.querySelectorAll("b.c").length > 10`)
	tab.Shot(t, "huge-light")
	t.Run("large groups show failures and counts, and open with e", func(t *testing.T) {
		if got := tab.Count(t, "b.c.failed"); got != 13 {
			t.Errorf("%d failures are shown, want 13", got)
		}
		tab.Keys(t, "e")
		tab.Wait(t, `document.querySelectorAll("b.c").length === 501`)
		tab.Shot(t, "huge-expanded")
	})
	t.Run("j visits each failure once", func(t *testing.T) {
		seen := map[string]int{}
		for range 13 {
			tab.Keys(t, "j")
			seen[uitest.Eval[string](t, tab, `document.querySelector("b.c.sel").dataset.id`)]++
		}
		if len(seen) != 13 {
			t.Errorf("visited %d of 13", len(seen))
		}
	})
	t.Run("the group's table is windowed, and its filters agree", func(t *testing.T) {
		tab.Go(t, "/tasks/groups/"+group)
		tab.Wait(t, `document.querySelectorAll(".v-row").length > 10`)
		if got := tab.Count(t, ".v-row"); got > 120 {
			t.Errorf("%d rows are in the page", got)
		}
		tab.Shot(t, "group-light")
		tab.Keys(t, "1")
		tab.Wait(t, `location.search === "?state=failed" && document.querySelectorAll(".v-row").length === 13`)
		tab.Keys(t, "1v")
		tab.Wait(t, `document.querySelectorAll(".lane i").length > 10`)
		tab.Shot(t, "group-timeline")
	})
}
