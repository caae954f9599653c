package uitest_test

import (
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
