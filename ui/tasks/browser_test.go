package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/treeline-ci/treeline/push"
	"github.com/treeline-ci/treeline/queue/queuetest"
	"github.com/treeline-ci/treeline/task"
	"github.com/treeline-ci/treeline/taskgraph/explain"
	"github.com/treeline-ci/treeline/ui/uitest"
)

// TestInABrowser shares one site and one tab.
func TestInABrowser(t *testing.T) {
	s := uitest.New(t)
	s.Repository(t, "sample")
	tab := s.Tab(t)
	t.Run("waiting", func(t *testing.T) { waiting(t, s, tab) })
	t.Run("failed", func(t *testing.T) { failedTask(t, s, tab) })
	t.Run("artifacts", func(t *testing.T) { manyArtifacts(t, s, tab) })
	t.Run("acts", func(t *testing.T) { actsInPage(t, s, tab) })
}

// waiting is T2 and T4's first half.
func waiting(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	build := s.Task(t, task.Running, uitest.Named("build-linux64"))
	id := s.Task(t, task.Unscheduled, uitest.Named("test-linux64-unit-1"), queuetest.After(build), func(d *task.Definition) {
		d.Metadata.Description = "Runs the **unit** tests; see [the docs](https://example.com/docs)."
	})
	tab.SignIn(t, uitest.Dev, uitest.DevToken)
	tab.Go(t, "/tasks/"+id)
	tab.Wait(t, `document.querySelector("#live").dataset.live === "live"`)
	tab.Shot(t, "task-waiting")
	t.Run("a button that is not allowed names the missing scope", func(t *testing.T) {
		if got := tab.Text(t, ".task-head"); !strings.Contains(got, "Cancel: needs queue:cancel-task:-/") {
			t.Errorf("got %q", got)
		}
		if got := tab.Count(t, ".acts > button:disabled"); got != 2 {
			t.Errorf("%d buttons are disabled, want 2", got)
		}
	})
	t.Run("what it waits for ends, and the page moves without a reload", func(t *testing.T) {
		tab.Wait(t, `document.querySelector(".waiting").innerText.includes("build-linux64 is running")`)
		if _, err := s.Queue.ReportCompleted(t.Context(), build, 0); err != nil {
			t.Fatal(err)
		}
		tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "pending"`)
		s.Run(t, id)
		tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "running"`)
	})
	t.Run("t goes through the tabs, and each is in the URL", func(t *testing.T) {
		var got []string
		for range 8 {
			tab.Keys(t, "t")
			got = append(got, uitest.Eval[string](t, tab, "location.search"))
		}
		if diff := cmp.Diff([]string{"?tab=log", "?tab=artifacts", "?tab=tests", "?tab=definition", "?tab=deps", "?tab=similar", "?tab=history", ""}, got); diff != "" {
			t.Error(diff)
		}
		tab.Go(t, "/tasks/"+id+"?tab=definition")
		tab.Shot(t, "task-definition")
		if got := tab.Text(t, ".yaml"); !strings.Contains(got, "name: test-linux64-unit-1") {
			t.Errorf("got %q", got)
		}
	})
	t.Run("what is around it is drawn, and listed", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"?tab=deps")
		tab.Wait(t, `document.querySelectorAll(".around .node").length === 2 && document.querySelectorAll(".around path").length === 1`)
		tab.Shot(t, "task-deps")
		if got := uitest.Eval[string](t, tab, `document.querySelector(".around-list").textContent`); !strings.Contains(got, "build-linux64") {
			t.Errorf("the list has %q", got)
		}
	})
}

// failedTask looks at all that a failed task tells.
func failedTask(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	p := s.Record(t, push.Push{Repository: "sample"})
	group, ids := s.Decide(t, p, uitest.Job{State: task.Running, Name: "test-unit", Changes: []func(*task.Definition){func(d *task.Definition) {
		d.Tags = map[string]string{"label": "test-unit", "kind": "test"}
		d.Scopes = []string{"secrets:get:project/sample"}
	}}})
	rec := &explain.Record{Kinds: []string{"test"}, Tasks: map[string]explain.Recorded{"test-unit": {TaskID: ids[0], Provenance: explain.Provenance{Kind: "test", File: "ci/kinds/test/kind.yml", Line: 3}}}}
	rec.Select(explain.Selection{Label: "test-unit", Filter: "target_tasks_method: default", Kept: true, Rule: "runs for this project and event"})
	s.Explain(t, group, rec)
	id := ids[0]
	summary, err := json.Marshal(map[string]any{
		"tests": 3, "passed": 2, "failed": 1, "seconds": 1.5, "failures": []any{map[string]any{"name": "TestCount", "suite": "pkg/queue", "text": "count_test.go:12: got 3, want 4\n"}},
		"slowest": []any{map[string]any{"name": "TestSlow", "seconds": 1.2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Artifact(t, id, "public/summary.md", "text/markdown", hostile)
	s.Artifact(t, id, "public/test-summary.json", "application/json", string(summary))
	log := s.Log(t, id)
	tab.Go(t, "/tasks/"+id)
	t.Run("the end of the log is there while it grows", func(t *testing.T) {
		var text strings.Builder
		for i := range 60 {
			fmt.Fprintf(&text, "\x1b[32mline %d\x1b[0m\n", i)
		}
		log.Write(t, text.String())
		tab.Wait(t, `document.querySelector("pre.tail")?.textContent.split("\n").length === 30 && document.querySelector("pre.tail").textContent.endsWith("line 59")`)
		log.Write(t, "one more line\n")
		tab.Wait(t, `document.querySelector("pre.tail").textContent.endsWith("one more line")`)
	})
	log.Finish(t, task.Failed)
	t.Run("it fails: the page says where, and why the task is there", func(t *testing.T) {
		tab.Wait(t, `document.querySelector(".failing")?.innerText.includes("count_test.go:12: got 3, want 4")`)
		tab.Wait(t, `document.querySelector(".why-line").innerText.includes("target_tasks_method: default wants it") && document.querySelector(".why-line").innerText.includes("ci/kinds/test/kind.yml:3")`)
		tab.Shot(t, "task-failed")
		if got := tab.Text(t, "dl.facts"); !strings.Contains(got, "May read the secret project/sample.") {
			t.Errorf("the facts are %q", got)
		}
	})
	t.Run("T7: nothing of the summary runs", func(t *testing.T) {
		if tab.Count(t, ".run-summary script, .run-summary img, .run-summary a[href^=javascript]") != 0 || tab.Count(t, ".run-summary strong") != 1 {
			t.Errorf("got %s", uitest.Eval[string](t, tab, `document.querySelector(".run-summary").innerHTML`))
		}
	})
	t.Run("tests, similar tasks and history", func(t *testing.T) {
		tab.Go(t, "/tasks/"+id+"?tab=tests")
		tab.Wait(t, `document.querySelector(".test-counts")?.innerText.includes("1 failed") && document.querySelector(".test summary").innerText.includes("TestCount")`)
		tab.Go(t, "/tasks/"+id+"?tab=similar")
		tab.Wait(t, `document.querySelectorAll("table.list tbody tr").length === 1 && document.querySelector(".similar-head").innerText.includes("passed on 0 of the last 1 push")`)
		tab.Go(t, "/tasks/"+id+"?tab=history")
		tab.Wait(t, `document.querySelector(".history").innerText.includes("Run 0 ended: It ran and failed")`)
	})
	t.Run("at 390 pixels nothing sticks out, in the dark too", func(t *testing.T) {
		tab.Size(t, 390, 844)
		tab.Dark(t, true)
		tab.Go(t, "/tasks/"+id)
		tab.Wait(t, `document.querySelector(".failing") !== null`)
		if got := uitest.Eval[int](t, tab, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
			t.Errorf("the page is %d pixels too wide", got)
		}
		tab.Shot(t, "task-failed-narrow-dark")
		tab.Size(t, 1280, 860)
		tab.Dark(t, false)
	})
	tab.Inspect(t, "task")
}

// manyArtifacts is T8.
func manyArtifacts(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := s.Task(t, task.Running)
	exec(t, s, `INSERT INTO artifacts (task_id, run_id, name, storage_type, content_type, content_length, present, expires)
		SELECT $1, 0, 'public/shot-' || lpad(i::text, 5, '0') || '.png', 'object', 'image/png', i, true, now() + interval '1 day' FROM generate_series(1, 10000) i`, id)
	tab.Go(t, "/tasks/"+id+"?tab=artifacts")
	tab.Wait(t, `document.querySelector(".artifact-count")?.innerText === "10,000 of 10,000"`)
	tab.Wait(t, `document.querySelector(".a-row") !== null`)
	if got := tab.Count(t, ".a-row"); got > 100 {
		t.Errorf("%d rows are in the page", got)
	}
	const filter = `(() => {
		const box = document.querySelector("[data-find]"), began = performance.now();
		box.value = "shot-0999"; box.dispatchEvent(new Event("input", {bubbles: true}));
		return new Promise((done) => { const look = () => document.querySelector(".artifact-count").innerText === "10 of 10,000" ? done(performance.now() - began) : setTimeout(look, 1); look(); });
	})()`
	took := uitest.Eval[float64](t, tab, filter)
	t.Logf("10,000 artifacts are filtered in %.0f ms", took)
	if took > 400 { // four times the budget of an idle machine: two cores are shared by all packages
		t.Errorf("filtering takes %.0f ms", took)
	}
	tab.Shot(t, "task-artifacts-filtered")
}

// actsInPage is T4's second half, with what has no button of its own.
func actsInPage(t *testing.T, s *uitest.Site, tab *uitest.Tab) {
	id := s.Task(t, task.Pending, uitest.Named("test-acts"), func(d *task.Definition) { d.Payload = json.RawMessage(`{"cache": {"checkouts": "/c"}}`) })
	tab.SignIn(t, uitest.Admin, uitest.AdminToken)
	tab.Go(t, "/tasks/"+id)
	tab.Click(t, "#more-acts > summary")
	tab.Shot(t, "task-more")
	if got := uitest.Eval[string](t, tab, `[...document.querySelectorAll("#more-acts a")].map(a => a.getAttribute("href")).join()`); !strings.Contains(got, "/tasks/create?from="+id+",") || !strings.Contains(got, "&interactive=1") {
		t.Errorf("the links are %s", got)
	}
	uitest.Eval[bool](t, tab, `(() => { document.querySelector("#priority").value = "high"; document.querySelector("#priority").form.requestSubmit(); return true })()`)
	tab.Wait(t, `document.querySelector("dl.facts").innerText.includes("high")`)
	uitest.Eval[bool](t, tab, `(() => { document.querySelector("#more-acts input[name=cache]").form.requestSubmit(); return true })()`)
	tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("drop checkouts"))`)
	if list, err := s.Purges.Requests(t.Context(), queuetest.TaskQueueID, time.Time{}); err != nil || len(list) != 1 {
		t.Errorf("%d caches are purged: %v", len(list), err)
	}
	before := groupSize(t, s, id)
	tab.Click(t, `[data-act="retrigger"]`)
	tab.Wait(t, `[...document.querySelectorAll(".toast")].some(e => e.innerText.includes("is made again"))`)
	if got := groupSize(t, s, id); got != before+1 {
		t.Errorf("the group has %d tasks, had %d", got, before)
	}
	tab.Click(t, `[data-act="cancel"]`)
	tab.Wait(t, `document.querySelector('[data-act="cancel"]').innerText.includes("Cancel this task?")`)
	tab.Click(t, `[data-act="cancel"]`)
	tab.Wait(t, `document.querySelector(".task-head .status").innerText.trim() === "cancelled"`)
}

func groupSize(t *testing.T, s *uitest.Site, id string) int {
	t.Helper()
	var n int
	row := s.Pool.QueryRow(context.WithoutCancel(t.Context()), `SELECT count(*) FROM tasks WHERE task_group_id = (SELECT task_group_id FROM tasks WHERE task_id = $1)`, id)
	if err := row.Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
