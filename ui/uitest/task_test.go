package uitest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/ui/uitest"
)

func TestTaskPage(t *testing.T) {
	s := uitest.New(t)
	build := s.Task(t, task.Running, uitest.Named("build-linux64"))
	waiting := s.Task(t, task.Unscheduled, uitest.Named("test-linux64-unit-1"), queuetest.After(build), func(d *task.Definition) {
		d.Metadata.Description = "Runs the **unit** tests; see [the docs](https://example.com/docs)."
	})
	tab := s.Tab(t)
	tab.SignIn(t, uitest.Dev, uitest.DevToken)
	tab.Go(t, "/tasks/"+waiting)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	tab.Shot(t, "task-waiting")
	t.Run("a button that is not allowed names the missing scope", func(t *testing.T) {
		if got := tab.Text(t, ".task-head"); !strings.Contains(got, "Cancel: needs queue:cancel-task:-/") {
			t.Errorf("got %q", got)
		}
		if got := tab.Count(t, ".acts button:disabled"); got != 2 {
			t.Errorf("%d buttons are disabled, want 2", got)
		}
	})
	t.Run("what it waits for ends, and the page moves without a reload", func(t *testing.T) {
		tab.Wait(t, `document.querySelector(".waiting").innerText.includes("build-linux64 is running")`)
		if _, err := s.Queue.ReportCompleted(t.Context(), build, 0); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "pending"`)
		s.Run(t, waiting)
		tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "running"`)
	})
	t.Run("t goes through the tabs, and each is in the URL", func(t *testing.T) {
		var got []string
		for range 5 {
			tab.Keys(t, "t")
			got = append(got, uitest.Eval[string](t, tab, "location.search"))
		}
		if diff := cmp.Diff([]string{"?tab=log", "?tab=artifacts", "?tab=definition", "?tab=deps", ""}, got); diff != "" {
			t.Error(diff)
		}
		tab.Go(t, "/tasks/"+waiting+"?tab=definition")
		tab.Shot(t, "task-definition")
		if got := tab.Text(t, ".yaml"); !strings.Contains(got, "name: test-linux64-unit-1") {
			t.Errorf("got %q", got)
		}
	})
}

func TestLogViewer(t *testing.T) {
	s := uitest.New(t)
	id := s.Task(t, task.Running, uitest.Named("test-linux64-unit-1"))
	log := s.Log(t, id)
	log.Write(t, "\x1b[1m$ go test ./...\x1b[0m\n\x1b[32mok\x1b[0m   first <img src=x onerror=alert(1)>\nprogress 10%\rprogress 100%\n")
	tab := s.Tab(t)
	tab.Go(t, "/tasks/"+id+"/runs/0/logs/public/logs/live.log")
	lines := `[...document.querySelectorAll(".ln > span")].map(e => e.textContent)`
	t.Run("the log is shown while it grows, with colours, and nothing in it is markup", func(t *testing.T) {
		tab.Wait(t, `document.querySelectorAll(".ln").length === 3`)
		want := []string{"$ go test ./...", "ok   first <img src=x onerror=alert(1)>", "progress 100%"}
		if diff := cmp.Diff(want, uitest.Eval[[]string](t, tab, lines)); diff != "" {
			t.Error(diff)
		}
		if tab.Count(t, ".ln .f2") != 1 || tab.Count(t, ".ln .a-b") != 1 || tab.Count(t, ".log img") != 0 {
			t.Error("the colours are not there, or markup is")
		}
		tab.Wait(t, `document.querySelector(".log-size").innerText.includes("so far")`)
	})
	t.Run("what is written appears, and the end stays in view", func(t *testing.T) {
		var many strings.Builder
		for i := 4; i <= 3000; i++ {
			fmt.Fprintf(&many, "line %d of the log\n", i)
		}
		log.Write(t, many.String())
		tab.Wait(t, lines+`.at(-1) === "line 3000 of the log"`)
		if got := tab.Count(t, ".ln"); got > 300 {
			t.Errorf("%d lines are in the page", got)
		}
	})
	t.Run("search counts hits and goes through them", func(t *testing.T) {
		tab.Keys(t, "/")
		tab.Type(t, "[data-find]", "line 29")
		tab.Wait(t, `document.querySelector(".hits").innerText === "1 of 111"`)
		tab.Type(t, "[data-find]", "\r")
		tab.Wait(t, `document.querySelector(".hits").innerText === "2 of 111" && document.querySelector("mark.now").textContent === "line 29"`)
		tab.Shot(t, "log-search")
	})
	t.Run("the same log goes on when the task has ended", func(t *testing.T) {
		log.Write(t, "the end\n")
		log.Finish(t, task.Completed)
		tab.Wait(t, `document.querySelector(".log-size").innerText.startsWith("3,001 lines") && !document.querySelector(".log-size").innerText.includes("so far")`)
	})
	t.Run("a link to lines opens at them", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"/runs/0/logs/public/logs/live.log#L1200-1204")
		tab.Wait(t, `document.querySelectorAll(".ln.in").length === 5 && document.querySelector(".ln.in a").textContent === "1200"`)
		visible := `(() => { const r = document.querySelector(".ln.in").getBoundingClientRect(), b = document.querySelector(".log").getBoundingClientRect(); return r.top > b.top && r.bottom < b.bottom })()`
		tab.Wait(t, visible)
		tab.Shot(t, "log-lines")
	})
	t.Run("clicks on numbers mark lines, with shift a range", func(t *testing.T) {
		tab.Click(t, `.ln > a[data-n="1198"]`)
		tab.Wait(t, `location.hash === "#L1199"`)
		uitest.Eval[bool](t, tab, `document.querySelector('.ln > a[data-n="1201"]').dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, shiftKey: true}))`)
		tab.Wait(t, `location.hash === "#L1199-1202" && document.querySelectorAll(".ln.in").length === 4`)
	})
	t.Run("the task page shows the log too", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"?tab=log")
		tab.Wait(t, `document.querySelectorAll(".ln").length > 10`)
		tab.Shot(t, "task-log")
		tab.Go(t, "/tasks/"+id+"?tab=artifacts")
		if got := tab.Count(t, "table.list tbody tr"); got != 2 {
			t.Errorf("%d artifacts are shown, want 2", got)
		}
		tab.Shot(t, "task-artifacts")
	})
}
